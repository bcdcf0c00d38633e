// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What runs of one experiment say when they are held against each other.
//!
//! [`gather()`] reads results folders into samples, leaves out warm-ups and
//! rounds that are not whole, and keeps why. [`Study`] has for each setting and
//! measure every subject's median, how sure it is, and how it stands to the
//! first subject's; [`findings`](Study::findings) hold what was said of designs
//! against that. [`text()`], [`html()`], [`csv()`] and serde show it. Nothing in here runs
//! anything, and nothing is dropped for its value.

mod bootstrap;
mod csv;
mod expect;
mod figures;
mod gather;
mod html;
mod measure;
#[cfg(test)]
mod samples;
mod subject;
mod table;
mod text;

pub(crate) use csv::csv;
pub(crate) use gather::gather;
pub(crate) use html::html;
pub(crate) use table::Study;
pub(crate) use text::text;
