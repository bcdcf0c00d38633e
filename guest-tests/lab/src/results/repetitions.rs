// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What several runs of the same tests found together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::record::Record;
use super::table;

/// A line of repetitions.ndjson.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repetition {
    /// Its number, from 1; its folder is called so, in four digits or more.
    pub(crate) number: u64,
    /// Its seed.
    pub(crate) seed: u64,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
    /// Cases that passed.
    pub(crate) passed: usize,
    /// Cases for which it failed.
    pub(crate) failed: usize,
    /// Cases that failed as expected.
    pub(crate) known: usize,
    /// Cases that were skipped.
    pub(crate) skipped: usize,
    /// The names of those for which it failed.
    pub(crate) failing: Vec<String>,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    made: u64,
    failed: u64,
    /// By name, in the order of the first run.
    order: Vec<String>,
    tests: BTreeMap<String, Counts>,
}

/// One test in all repetitions.
#[derive(Debug, Default)]
struct Counts {
    passed: u64,
    failed: u64,
    known: u64,
    skipped: u64,
    /// The first that failed: its number and its seed.
    first: Option<(u64, u64)>,
}

impl Tally {
    /// Repetitions made.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    /// Those among them that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// Counts one more.
    pub(crate) fn add(&mut self, number: u64, record: &Record) {
        self.made += 1;
        self.failed += u64::from(record.totals().failed > 0);
        for case in &record.cases {
            if !self.tests.contains_key(&case.name) {
                self.order.push(case.name.clone());
            }
            let counts = self.tests.entry(case.name.clone()).or_default();
            let outcome = case.outcome();
            match outcome {
                Outcome::Passed | Outcome::Fixed => counts.passed += 1,
                Outcome::Known => counts.known += 1,
                Outcome::Skipped => counts.skipped += 1,
                Outcome::Failed | Outcome::NotFailed | Outcome::NotRun => counts.failed += 1,
            }
            if outcome.fails_run() {
                counts.first.get_or_insert((number, record.seed));
            }
        }
    }

    /// A repetition in a line.
    pub(crate) fn line(&self, number: u64, record: &Record) -> Repetition {
        let totals = record.totals();
        let failing = record.cases.iter();
        let failing = failing.filter(|case| case.outcome().fails_run());
        Repetition {
            number,
            seed: record.seed,
            seconds: record.seconds,
            passed: totals.passed,
            failed: totals.failed,
            known: totals.known,
            skipped: totals.skipped,
            failing: failing.map(|case| case.name.clone()).collect(),
        }
    }

    /// The table of tests, and all in a sentence.
    pub(crate) fn summary(&self, seed: u64) -> String {
        let mut table = table::new(&[
            "test",
            "passed",
            "failed",
            "known",
            "skipped",
            "first failed",
        ]);
        for name in &self.order {
            let Some(counts) = self.tests.get(name) else {
                continue;
            };
            let first = counts
                .first
                .map(|(number, seed)| format!("{number}, seed {seed}"));
            table.add_row([
                name.clone(),
                counts.passed.to_string(),
                counts.failed.to_string(),
                counts.known.to_string(),
                counts.skipped.to_string(),
                first.unwrap_or_default(),
            ]);
        }
        for column in 1..=4 {
            table::align_column_right(&mut table, column);
        }
        format!(
            "{}\n\n{} repetitions, {} of them failed (the first had seed {seed}, from which all others follow)\n",
            table::text(&table),
            self.made,
            self.failed,
        )
    }
}

/// Repetitions as KTAP: a document in which each is a test with tests in it.
pub(crate) mod repetition_lines {
    use super::super::record::Record;

    /// The version and, if it is known, the plan.
    pub(crate) fn header(count: Option<u64>, seed: u64) -> String {
        let plan = count.map(|count| format!("1..{count}\n"));
        let plan = plan.unwrap_or_default();
        format!("KTAP version 1\n# repetitions, the first with seed {seed}\n{plan}")
    }

    /// What a repetition is called.
    pub(crate) fn name(number: u64) -> String {
        format!("repetition-{number}")
    }

    /// Its result, after its tests.
    pub(crate) fn result(number: u64, record: &Record) -> String {
        let ok = match record.totals().failed {
            0 => "ok",
            _ => "not ok",
        };
        format!("{ok} {number} {}\n", name(number))
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::samples;
    use super::*;

    #[test]
    fn tests_are_counted_over_all_and_the_first_that_failed_is_told_with_its_seed() {
        let mut tally = Tally::default();
        let mut record = samples::record();
        let failed = record.cases.remove(1);
        tally.add(1, &record);
        record.cases.push(failed);
        for (number, seed) in [(2, 99), (3, 100)] {
            record.seed = seed;
            tally.add(number, &record);
        }
        assert_eq!((tally.made(), tally.failed()), (3, 2));
        let text = tally.summary(7);
        let row = |name: &str| -> Vec<String> {
            let line = text.lines().find(|line| line.starts_with(name));
            line.unwrap()
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(row("task-context"), ["task-context", "3", "0", "0", "0"]);
        assert_eq!(
            row("exactly-once"),
            ["exactly-once", "0", "2", "0", "0", "2,", "seed", "99"]
        );
        assert_eq!(row("hotplug-drain"), ["hotplug-drain", "0", "0", "0", "3"]);
        assert!(text.contains("3 repetitions, 2 of them failed"), "{text}");
        assert!(text.contains("seed 7"), "{text}");
        let line = tally.line(3, &record);
        assert_eq!((line.seed, line.failed), (100, 1));
        assert_eq!(line.failing, ["exactly-once"]);
    }
}
