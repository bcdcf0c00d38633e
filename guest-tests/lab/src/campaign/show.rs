// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A campaign as a table, and as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cell::{Cell, Ended};
use super::folder::Campaign;
use super::plan::{Place, Plan};
use crate::failure::Exit;
use crate::results::table;

/// All cells, with those that were not tried.
#[derive(Serialize)]
struct Document<'c> {
    plan: &'c Plan,
    cells: Vec<&'c Cell>,
    missing: Vec<Place>,
}

/// How many cells of a kernel and scenario ended how.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    not_run: usize,
    missing: usize,
    failing: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, cell: Option<&Cell>) {
        let Some(cell) = cell else {
            self.missing += 1;
            return;
        };
        match cell.ended {
            Ended::Passed => self.passed += 1,
            Ended::Failed => self.failed += 1,
            Ended::NotRun => self.not_run += 1,
        }
        for test in &cell.failing {
            *self.failing.entry(test.clone()).or_default() += 1;
        }
    }

    fn cells(&self) -> [String; 5] {
        let failing = self.failing.iter();
        let failing: Vec<String> = failing
            .map(|(test, times)| format!("{test} x{times}"))
            .collect();
        [
            self.passed.to_string(),
            self.failed.to_string(),
            self.not_run.to_string(),
            self.missing.to_string(),
            failing.join(", "),
        ]
    }
}

/// A line for each kernel and scenario.
pub(crate) fn text(campaign: &Campaign) -> String {
    let plan = &campaign.plan;
    let heads = [
        "kernel",
        "scenario",
        "passed",
        "failed",
        "not run",
        "missing",
        "failing tests",
    ];
    let mut lines = table::new(&heads);
    for kernel in &plan.kernels {
        for scenario in &plan.scenarios {
            let mut tally = Tally::default();
            for place in plan.cells() {
                if place.kernel == *kernel && place.scenario == *scenario {
                    tally.add(campaign.cell(&place));
                }
            }
            let names = [kernel.clone(), scenario.clone()];
            lines.add_row(names.into_iter().chain(tally.cells()));
        }
    }
    for column in 2..6 {
        table::align_column_right(&mut lines, column);
    }
    table::text(&lines)
}

/// Every cell.
pub(crate) fn json(campaign: &Campaign) -> serde_json::Result<String> {
    let places = campaign.plan.cells();
    serde_json::to_string_pretty(&Document {
        plan: &campaign.plan,
        cells: places
            .iter()
            .filter_map(|place| campaign.cell(place))
            .collect(),
        missing: places
            .iter()
            .filter(|place| campaign.cell(place).is_none())
            .cloned()
            .collect(),
    })
}

/// How a command ends that shows it: what was not tried yet is no failure.
pub(crate) fn exit(campaign: &Campaign) -> Exit {
    let places = campaign.plan.cells();
    let ended = |how| {
        let cells = places.iter().filter_map(|place| campaign.cell(place));
        cells.filter(|cell| cell.ended == how).count()
    };
    if ended(Ended::NotRun) > 0 {
        Exit::LabFailed
    } else if ended(Ended::Failed) > 0 {
        Exit::TestsFailed
    } else {
        Exit::Passed
    }
}
