// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests × mutants: is each test seen to fail on the kernel that it must catch,
//! and on no sound one?
//!
//! [`Selection`] says what is asked for, [`Matrix`] which kernels and tests that
//! is, from what the kernels' descriptions and the tests' catalogue say.
//! [`Runner`] makes a session for each kernel and seed and writes every test's
//! verdict into the [`Verdicts`], from which a later run goes on. [`Report`]
//! judges what is in the ledger; [`text()`], [`markdown()`] and JSON show it, and
//! [`put_into()`] keeps it in a file.

mod cell;
mod grids;
mod matrix;
mod report;
mod runner;
mod selection;
mod show;
mod verdicts;
mod write;

#[cfg(test)]
mod documents;

pub(crate) use matrix::Matrix;
pub(crate) use report::Report;
pub(crate) use runner::{Reuse, Runner};
pub(crate) use selection::{Selection, Which};
pub(crate) use show::{markdown, text};
pub(crate) use verdicts::Verdicts;
pub(crate) use write::put_into;
