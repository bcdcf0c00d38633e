// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! All verdicts of a results folder, written after each.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cell::{Builds, Cell, Ended};
use crate::failure::{Failure, io_failure};

/// The version of this format.
const SCHEMA: u32 = 1;

/// Its name in the folder.
const FILE: &str = "ledger.json";

/// Held by who writes it.
const LOCK: &str = ".lock";

#[derive(Default, Serialize, Deserialize)]
struct Document {
    schema: u32,
    cells: Vec<Cell>,
}

/// The verdicts.
#[derive(Debug)]
pub(crate) struct Ledger {
    folder: PathBuf,
    cells: Vec<Cell>,
    _lock: Option<File>,
}

impl Ledger {
    /// Reads what is there; there may be nothing.
    pub(crate) fn read(folder: &Path) -> Result<Ledger, Failure> {
        let path = folder.join(FILE);
        let cells = match fs::read(&path) {
            Ok(text) => parse(&path, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(io_failure("read", &path)(error)),
        };
        Ok(Ledger {
            folder: folder.to_owned(),
            cells,
            _lock: None,
        })
    }

    /// The same, to be written to: makes the folder, and holds it against
    /// others.
    pub(crate) fn open(folder: &Path) -> Result<Ledger, Failure> {
        fs::create_dir_all(folder).map_err(io_failure("create folder", folder))?;
        let path = folder.join(LOCK);
        let lock = File::create(&path).map_err(io_failure("create", &path))?;
        if lock.try_lock().is_err() {
            return Err(Failure::BadArgument {
                what: format!("--results {}", folder.display()),
                reason: "another irqstorm writes there; wait for it, or name another folder".into(),
            });
        }
        Ok(Ledger {
            _lock: Some(lock),
            ..Ledger::read(folder)?
        })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// All of it.
    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// A verdict, if there is one. What was not run has none.
    pub(crate) fn find(&self, kernel: &str, test: &str, seed: u64) -> Option<&Cell> {
        let mut settled = self.cells.iter().filter(|cell| cell.ended != Ended::NotRun);
        settled.find(|cell| cell.is(kernel, test, seed))
    }

    /// Whether there is one that was made with these builds.
    pub(crate) fn has(&self, kernel: &str, test: &str, seed: u64, builds: &Builds) -> bool {
        let found = self.find(kernel, test, seed);
        found.is_some_and(|cell| cell.builds == *builds)
    }

    /// Adds a verdict, in place of an older one, and writes it all.
    pub(crate) fn add(&mut self, cell: Cell) -> Result<(), Failure> {
        self.cells
            .retain(|old| !old.is(&cell.kernel, &cell.test, cell.seed));
        self.cells.push(cell);
        self.write()
    }

    /// Forgets a verdict.
    pub(crate) fn forget(&mut self, kernel: &str, test: &str, seed: u64) {
        self.cells.retain(|cell| !cell.is(kernel, test, seed));
    }

    fn write(&self) -> Result<(), Failure> {
        let path = self.folder.join(FILE);
        let write = || -> io::Result<()> {
            let mut file = tempfile::Builder::new()
                .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
                .tempfile_in(&self.folder)?;
            let document = Document {
                schema: SCHEMA,
                cells: self.cells.clone(),
            };
            serde_json::to_writer_pretty(&mut file, &document)?;
            file.write_all(b"\n")?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(io_failure("write", &path))
    }
}

fn parse(path: &Path, text: &[u8]) -> Result<Vec<Cell>, Failure> {
    let refuse = |reason: String| Failure::BadArgument {
        what: path.display().to_string(),
        reason,
    };
    let document: Document =
        serde_json::from_slice(text).map_err(|error| refuse(error.to_string()))?;
    match document.schema {
        SCHEMA => Ok(document.cells),
        other => Err(refuse(format!(
            "its schema is {other}, and this irqstorm reads {SCHEMA}; name another folder"
        ))),
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
    use super::samples::cell;
    use super::*;

    #[test]
    fn what_was_added_is_there_again_and_newer_verdicts_replace_older() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(&folder.path().join("new")).unwrap();
        ledger.add(cell("k", "a", 1, Ended::Passed)).unwrap();
        ledger.add(cell("k", "a", 2, Ended::Passed)).unwrap();
        ledger.add(cell("k", "a", 1, Ended::Failed)).unwrap();
        let again = Ledger::read(ledger.folder()).unwrap();
        assert_eq!(again.cells(), ledger.cells());
        assert_eq!(again.cells().len(), 2);
        assert_eq!(again.find("k", "a", 1).unwrap().ended, Ended::Failed);
    }

    #[test]
    fn only_a_verdict_of_the_same_builds_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(folder.path()).unwrap();
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
        let held = Ledger::open(folder.path()).unwrap();
        let failure = Ledger::open(folder.path()).unwrap_err();
        assert!(
            failure.to_string().contains("another irqstorm"),
            "{failure}"
        );
        drop(held);
        fs::write(folder.path().join(FILE), r#"{"schema":9,"cells":[]}"#).unwrap();
        let failure = Ledger::open(folder.path()).unwrap_err();
        assert!(failure.to_string().contains("schema is 9"), "{failure}");
    }
}
