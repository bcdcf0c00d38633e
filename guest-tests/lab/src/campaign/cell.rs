// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What became of a cell.

use serde::{Deserialize, Serialize};

use super::plan::Place;
use crate::ledger::{Builds, Entry};

/// How a cell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ended {
    /// Nothing failed it.
    Passed,
    /// Something did.
    Failed,
    /// The kernel could not be built or booted, or the lab itself failed.
    NotRun,
}

impl Ended {
    /// As a table has it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Ended::Passed => "passed",
            Ended::Failed => "failed",
            Ended::NotRun => "not run",
        }
    }
}

/// A cell that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// Which.
    pub(crate) place: Place,
    /// How it ended.
    pub(crate) ended: Ended,
    /// The tests that failed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) failing: Vec<String>,
    /// Why it failed or was not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) reasons: Vec<String>,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
    /// What it was made with.
    pub(crate) builds: Builds,
    /// The run's folder, in that of the campaign.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) run: String,
}

impl Entry for Cell {
    fn same_part(&self, other: &Cell) -> bool {
        self.place == other.place
    }
}
