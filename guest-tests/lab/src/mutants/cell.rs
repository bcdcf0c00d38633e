// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One test on one kernel with one seed.

use serde::{Deserialize, Serialize};

use crate::ledger::Builds;
use crate::suite::Way;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ended {
    /// The claim held.
    Passed,
    /// It did not.
    Failed,
    /// It cannot be settled on this kernel.
    Skipped,
    /// It was not run: the kernel could not be built or booted, or the lab
    /// itself failed.
    NotRun,
}

/// A verdict, with all that tells it from others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// The kernel, with configurations.
    pub(crate) kernel: String,
    /// The test.
    pub(crate) test: String,
    /// The seed.
    pub(crate) seed: u64,
    /// How it ended.
    pub(crate) ended: Ended,
    /// In which ways, if it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ways: Vec<Way>,
    /// Why it failed, was skipped or was not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) reasons: Vec<String>,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
    /// What it was made with.
    pub(crate) builds: Builds,
    /// The run's folder, in that of the matrix.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) run: String,
}

impl Cell {
    /// Whether it is the same place of the matrix.
    pub(crate) fn is(&self, kernel: &str, test: &str, seed: u64) -> bool {
        self.kernel == kernel && self.test == test && self.seed == seed
    }
}
