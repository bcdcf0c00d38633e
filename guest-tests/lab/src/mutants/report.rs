// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the ledger says about mutants and sound kernels.

use irqstorm_agent::catalogue::TestInfo;
use serde::{Deserialize, Serialize};

use super::cell::{Cell, Ended};
use super::matrix::{Matrix, Row};
use super::verdicts::Verdicts;
use crate::failure::Exit;
use crate::suite::{QUIET, Way};

/// The version of the format of `--json`.
pub(crate) const SCHEMA: u32 = 1;

/// The matrix, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// [`SCHEMA`].
    pub(crate) schema: u32,
    /// The lab's version.
    pub(crate) irqstorm: String,
    /// The seeds that each test was to be run with.
    pub(crate) seeds: Vec<u64>,
    /// Kernels that are broken on purpose.
    pub(crate) mutants: Vec<Broken>,
    /// Kernels that are not, test by test.
    pub(crate) sound: Vec<Whole>,
}

/// A mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Broken {
    /// Its name, with the configurations it was run with.
    pub(crate) kernel: String,
    /// The claim that it breaks.
    pub(crate) claim: u32,
    /// The fault.
    pub(crate) breaks: String,
    /// What became of it.
    pub(crate) verdict: BrokenVerdict,
    /// The tests that must catch it.
    pub(crate) tests: Vec<Tally>,
    /// The other tests that were run on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<Tally>,
}

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BrokenVerdict {
    /// With every seed, a test of its claim failed.
    Caught,
    /// With some seed, none did.
    Missed,
    /// No test has its claim yet.
    NoTest,
    /// Something was not run.
    Unsettled,
}

/// A test on a sound kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Whole {
    /// The kernel, with the configurations it was run with.
    pub(crate) kernel: String,
    /// The claims of the test.
    pub(crate) claims: Vec<u32>,
    /// What became of it.
    pub(crate) verdict: WholeVerdict,
    /// Why the kernel's design breaks the claim, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by_design: Option<String>,
    /// The test.
    #[serde(flatten)]
    pub(crate) tally: Tally,
}

/// What became of a test on a sound kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WholeVerdict {
    /// The claim holds.
    Holds,
    /// The kernel's design breaks it, and the test says so.
    Broken,
    /// The test failed on a kernel whose design does not break the claim: a
    /// false alarm, or a fault that nobody knew of.
    Accused,
    /// The design is said to break the claim, and the test did not fail.
    NotBroken,
    /// It cannot be settled on this kernel.
    Skipped,
    /// Something was not run.
    Unsettled,
}

/// A test's verdicts on one kernel, by seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Its name.
    pub(crate) test: String,
    /// The seeds with which it passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) passed: Vec<u64>,
    /// With which it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) failed: Vec<u64>,
    /// With which it was skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) skipped: Vec<u64>,
    /// With which it was not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_run: Vec<u64>,
    /// In which ways it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ways: Vec<Way>,
    /// The first reason of the first that did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl Tally {
    fn of(cells: &[Cell], kernel: &str, test: &str, seeds: &[u64]) -> Tally {
        let mut tally = Tally {
            test: test.to_owned(),
            ..Tally::default()
        };
        for &seed in seeds {
            let cell = cells.iter().find(|cell| cell.is(kernel, test, seed));
            let list = match cell.map(|cell| cell.ended) {
                Some(Ended::Passed) => &mut tally.passed,
                Some(Ended::Failed) => &mut tally.failed,
                Some(Ended::Skipped) => &mut tally.skipped,
                Some(Ended::NotRun) | None => &mut tally.not_run,
            };
            list.push(seed);
            let Some(cell) = cell else { continue };
            tally.ways.extend(&cell.ways);
            if tally.reason.is_none() {
                tally.reason = cell.reasons.first().cloned();
            }
        }
        tally.ways.sort_unstable();
        tally.ways.dedup();
        tally
    }

    /// How many verdicts there are to it.
    pub(crate) fn runs(&self) -> usize {
        self.passed.len() + self.failed.len() + self.skipped.len()
    }
}

impl Report {
    /// Judges what there is of a matrix.
    pub(crate) fn of(ledger: &Verdicts, matrix: &Matrix, seeds: &[u64]) -> Report {
        let cells = ledger.cells();
        let mut report = Report {
            schema: SCHEMA,
            irqstorm: env!("CARGO_PKG_VERSION").to_owned(),
            seeds: seeds.to_vec(),
            mutants: Vec::new(),
            sound: Vec::new(),
        };
        for row in &matrix.rows {
            match &row.mutant {
                Some(_) => report.mutants.extend(broken(cells, row, seeds)),
                None => report.sound.extend(whole(cells, row, seeds)),
            }
        }
        report
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        let mutants = self.mutants.iter().map(|mutant| mutant.verdict);
        let sound = self.sound.iter().map(|whole| whole.verdict);
        let unsettled = mutants.clone().any(|v| v == BrokenVerdict::Unsettled)
            || sound.clone().any(|v| v == WholeVerdict::Unsettled);
        let caught = mutants
            .clone()
            .all(|verdict| verdict == BrokenVerdict::Caught);
        let wrong = [WholeVerdict::Accused, WholeVerdict::NotBroken];
        let accused = sound.clone().any(|verdict| wrong.contains(&verdict));
        match (unsettled, caught && !accused) {
            (true, _) => Exit::LabFailed,
            (false, true) => Exit::Passed,
            (false, false) => Exit::TestsFailed,
        }
    }
}

fn broken(cells: &[Cell], row: &Row, seeds: &[u64]) -> Option<Broken> {
    let mutant = row.mutant.as_ref()?;
    let (own, others): (Vec<&TestInfo>, Vec<&TestInfo>) = row
        .tests
        .iter()
        .partition(|test| test.claims.contains(&mutant.claim));
    let tally = |test: &TestInfo| Tally::of(cells, &row.kernel, test.name, seeds);
    // A test that fails on the kernel that the mutant was made of says nothing.
    let telling = own
        .iter()
        .filter(|test| test.fails_by_design(&row.kernel).is_none());
    let tests: Vec<Tally> = telling.map(|test| tally(test)).collect();
    let caught_with = |seed: &u64| tests.iter().any(|tally| tally.failed.contains(seed));
    let not_run = tests.iter().any(|tally| !tally.not_run.is_empty());
    let verdict = match () {
        () if tests.is_empty() => BrokenVerdict::NoTest,
        () if seeds.iter().all(caught_with) => BrokenVerdict::Caught,
        () if not_run => BrokenVerdict::Unsettled,
        () => BrokenVerdict::Missed,
    };
    Some(Broken {
        kernel: row.kernel.clone(),
        claim: mutant.claim,
        breaks: mutant.breaks.clone(),
        verdict,
        tests,
        others: others.iter().map(|test| tally(test)).collect(),
    })
}

fn whole(cells: &[Cell], row: &Row, seeds: &[u64]) -> Vec<Whole> {
    let of = |test: &TestInfo| {
        let tally = Tally::of(cells, &row.kernel, test.name, seeds);
        let by_design = test.fails_by_design(&row.kernel);
        Whole {
            kernel: row.kernel.clone(),
            claims: test.claims.to_vec(),
            verdict: verdict_of(&tally, by_design.is_some()),
            by_design: by_design.map(str::to_owned),
            tally,
        }
    };
    let mut wholes: Vec<Whole> = row.tests.iter().map(|test| of(test)).collect();
    // The console outside of tests has a place only if it says something.
    let mut console = Tally::of(cells, &row.kernel, QUIET, seeds);
    console.not_run.clear();
    if !console.failed.is_empty() {
        wholes.push(Whole {
            kernel: row.kernel.clone(),
            claims: Vec::new(),
            verdict: WholeVerdict::Accused,
            by_design: None,
            tally: console,
        });
    }
    wholes
}

fn verdict_of(tally: &Tally, by_design: bool) -> WholeVerdict {
    let (passed, failed) = (!tally.passed.is_empty(), !tally.failed.is_empty());
    match () {
        () if failed && !by_design => WholeVerdict::Accused,
        () if passed && by_design => WholeVerdict::NotBroken,
        () if !tally.not_run.is_empty() => WholeVerdict::Unsettled,
        () if failed => WholeVerdict::Broken,
        () if passed => WholeVerdict::Holds,
        () => WholeVerdict::Skipped,
    }
}

#[cfg(test)]
pub(super) mod samples;

#[cfg(test)]
mod tests;
