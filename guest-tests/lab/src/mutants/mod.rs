// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests × mutants: is each test seen to fail on the kernel that it must catch,
//! and on no sound one?
//!
//! [`Selection`] says what is asked for, [`Matrix`] which kernels and tests that
//! is, from what the kernels' descriptions and the tests' catalogue say.
//! [`Runner`] makes a session for each kernel and seed and writes every test's
//! verdict into the [`Ledger`], from which a later run goes on. [`Report`]
//! judges what is in the ledger; [`text()`], [`markdown()`] and JSON show it, and
//! [`put_into()`] keeps it in a file.

mod cell;
mod eta;
mod grids;
mod ledger;
mod matrix;
mod report;
mod runner;
mod selection;
mod show;
mod write;

#[cfg(test)]
mod documents;

pub(crate) use ledger::Ledger;
pub(crate) use matrix::Matrix;
pub(crate) use report::Report;
pub(crate) use runner::{Reuse, Runner};
pub(crate) use selection::{Seeds, Selection, Share, Which};
pub(crate) use show::{markdown, text};
pub(crate) use write::put_into;
