// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The verdicts in a ledger: which there are, and which of them count.

use super::cell::{Cell, Ended};
use crate::ledger::{Builds, Entry, Ledger};

impl Entry for Cell {
    fn same_part(&self, other: &Cell) -> bool {
        self.is(&other.kernel, &other.test, other.seed)
    }
}

/// Every verdict of a results folder.
pub(crate) type Verdicts = Ledger<Cell>;

impl Verdicts {
    /// A verdict, if there is one. What was not run has none.
    pub(super) fn find(&self, kernel: &str, test: &str, seed: u64) -> Option<&Cell> {
        let mut settled = self
            .cells()
            .iter()
            .filter(|cell| cell.ended != Ended::NotRun);
        settled.find(|cell| cell.is(kernel, test, seed))
    }

    /// Whether there is one that was made with these builds.
    pub(super) fn has(&self, kernel: &str, test: &str, seed: u64, builds: &Builds) -> bool {
        let found = self.find(kernel, test, seed);
        found.is_some_and(|cell| cell.builds == *builds)
    }

    /// Forgets a verdict.
    pub(super) fn forget(&mut self, kernel: &str, test: &str, seed: u64) {
        self.retain(|cell| !cell.is(kernel, test, seed));
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    /// A verdict without further ado.
    pub(crate) fn cell(kernel: &str, test: &str, seed: u64, ended: Ended) -> Cell {
        Cell {
            kernel: kernel.into(),
            test: test.into(),
            seed,
            ended,
            ways: Vec::new(),
            reasons: Vec::new(),
            seconds: 2.0,
            builds: Builds {
                kernel: "k".into(),
                guest: "g".into(),
                device: "d".into(),
            },
            run: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::samples::cell;
    use super::*;

    #[test]
    fn what_was_added_is_there_again_and_newer_verdicts_replace_older() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Verdicts::open(&folder.path().join("new")).unwrap();
        ledger.add(cell("k", "a", 1, Ended::Passed)).unwrap();
        ledger.add(cell("k", "a", 2, Ended::Passed)).unwrap();
        ledger.add(cell("k", "a", 1, Ended::Failed)).unwrap();
        let again: Verdicts = Verdicts::read(ledger.folder()).unwrap();
        assert_eq!(again.cells(), ledger.cells());
        assert_eq!(again.cells().len(), 2);
        assert_eq!(again.find("k", "a", 1).unwrap().ended, Ended::Failed);
    }

    #[test]
    fn only_a_verdict_of_the_same_builds_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Verdicts::open(folder.path()).unwrap();
        let known = cell("k", "a", 1, Ended::Passed);
        let builds = known.builds.clone();
        ledger.add(known).unwrap();
        ledger.add(cell("k", "b", 1, Ended::NotRun)).unwrap();
        assert!(ledger.has("k", "a", 1, &builds));
        let other = Builds {
            guest: "other".into(),
            ..builds.clone()
        };
        assert!(!ledger.has("k", "a", 1, &other));
        assert!(!ledger.has("k", "b", 1, &builds));
        ledger.forget("k", "a", 1);
        assert!(!ledger.has("k", "a", 1, &builds));
    }

    #[test]
    fn a_folder_in_use_and_a_foreign_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let held = Verdicts::open(folder.path()).unwrap();
        let failure = Verdicts::open(folder.path()).unwrap_err();
        assert!(
            failure.to_string().contains("another irqstorm"),
            "{failure}"
        );
        drop(held);
        fs::write(
            folder.path().join("ledger.json"),
            r#"{"schema":9,"cells":[]}"#,
        )
        .unwrap();
        let failure = Verdicts::open(folder.path()).unwrap_err();
        assert!(failure.to_string().contains("schema is 9"), "{failure}");
    }
}
