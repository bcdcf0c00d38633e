// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is to be run.

use serde::{Deserialize, Serialize};

/// The version of campaign.json; raised when a reader must change.
pub(crate) const SCHEMA: u32 = 1;

/// A matrix of runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// [`SCHEMA`].
    pub(crate) schema: u32,
    /// Kernels, by name or path.
    pub(crate) kernels: Vec<String>,
    /// Scenarios, by name or path.
    pub(crate) scenarios: Vec<String>,
    /// Seeds.
    pub(crate) seeds: Vec<u64>,
    /// How often each is run.
    pub(crate) rounds: u32,
    /// How many rounds more come first, and count for nothing.
    pub(crate) warm_up: u32,
    /// The guest tests, by name.
    pub(crate) tests: Vec<String>,
    /// The guest's CPUs.
    pub(crate) cpus: u16,
    /// The guest's memory in MiB.
    pub(crate) memory_mib: u32,
}

/// A cell of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The kernel.
    pub(crate) kernel: String,
    /// The scenario.
    pub(crate) scenario: String,
    /// The seed.
    pub(crate) seed: u64,
    /// The round, from 0.
    pub(crate) round: u32,
}

impl Plan {
    /// All cells in the order in which they are run: subjects take turns, so
    /// that what changes about the machine meanwhile is nobody's alone.
    pub(crate) fn cells(&self) -> Vec<Place> {
        let mut cells = Vec::new();
        for round in 0..self.warm_up.saturating_add(self.rounds) {
            for &seed in &self.seeds {
                for scenario in &self.scenarios {
                    cells.extend(self.kernels.iter().map(|kernel| Place {
                        kernel: kernel.clone(),
                        scenario: scenario.clone(),
                        seed,
                        round,
                    }));
                }
            }
        }
        cells
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    /// Two kernels, a scenario, two seeds.
    pub(crate) fn plan() -> Plan {
        Plan {
            schema: SCHEMA,
            kernels: vec!["7.2+v4".into(), "7.3".into()],
            scenarios: vec!["plain".into()],
            seeds: vec![1, 2],
            rounds: 1,
            warm_up: 1,
            tests: vec!["task-context".into()],
            cpus: 2,
            memory_mib: 512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_take_turns_within_a_round() {
        let cells = samples::plan().cells();
        let order: Vec<(u32, u64, &str)> = cells
            .iter()
            .map(|cell| (cell.round, cell.seed, cell.kernel.as_str()))
            .collect();
        assert_eq!(order.len(), 8);
        assert_eq!(
            order[..5],
            [
                (0, 1, "7.2+v4"),
                (0, 1, "7.3"),
                (0, 2, "7.2+v4"),
                (0, 2, "7.3"),
                (1, 1, "7.2+v4"),
            ]
        );
    }
}
