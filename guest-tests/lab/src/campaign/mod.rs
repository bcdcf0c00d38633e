// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Runs of a matrix: kernels × scenarios × seeds, some rounds of each.
//!
//! A [`Plan`] names the cells, the [`Runner`] makes a session for each that has
//! no result yet, and a [`Campaign`] is the folder that they are kept in: any
//! cell can be run anywhere, at any time, and [`merge()`] puts folders of parts
//! together. A comparison is a campaign of one seed and several rounds, whose
//! kernels take turns. Nothing in here looks at figures.

mod cell;
mod folder;
mod merge;
mod plan;
mod runner;
mod show;

#[cfg(test)]
pub(crate) use cell::Cell;
pub(crate) use cell::Ended;
pub(crate) use folder::Campaign;
pub(crate) use merge::merge;
pub(crate) use plan::{Place, Plan, SCHEMA};
pub(crate) use runner::Runner;
pub(crate) use show::{exit, json, text};
