// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What became of each part of a large run, in its results folder: written after
//! each, so that the same command goes on where it stopped.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, io_failure};

/// The version of this format.
const SCHEMA: u32 = 1;

/// Its name in the folder.
const FILE: &str = "ledger.json";

/// Held by who writes it.
const LOCK: &str = ".lock";

/// What is kept of a part.
pub(crate) trait Entry: Clone + Serialize + DeserializeOwned {
    /// Whether it is about the same part, whatever became of it.
    fn same_part(&self, other: &Self) -> bool;
}

#[derive(Serialize, Deserialize)]
struct Document<E> {
    schema: u32,
    cells: Vec<E>,
}

/// All that is kept.
#[derive(Debug)]
pub(crate) struct Ledger<E> {
    folder: PathBuf,
    cells: Vec<E>,
    _lock: Option<File>,
}

impl<E: Entry> Ledger<E> {
    /// Reads what is there; there may be nothing.
    pub(crate) fn read(folder: &Path) -> Result<Ledger<E>, Failure> {
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
    pub(crate) fn open(folder: &Path) -> Result<Ledger<E>, Failure> {
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
    pub(crate) fn cells(&self) -> &[E] {
        &self.cells
    }

    /// Adds what became of a part, in place of what was known before, and writes
    /// it all.
    pub(crate) fn add(&mut self, cell: E) -> Result<(), Failure> {
        self.cells.retain(|old| !old.same_part(&cell));
        self.cells.push(cell);
        self.write()
    }

    /// Keeps only what is wanted, when it is written next.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&E) -> bool) {
        self.cells.retain(wanted);
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

fn parse<E: Entry>(path: &Path, text: &[u8]) -> Result<Vec<E>, Failure> {
    let refuse = |reason: String| Failure::BadArgument {
        what: path.display().to_string(),
        reason,
    };
    let document: Document<E> =
        serde_json::from_slice(text).map_err(|error| refuse(error.to_string()))?;
    match document.schema {
        SCHEMA => Ok(document.cells),
        other => Err(refuse(format!(
            "its schema is {other}, and this irqstorm reads {SCHEMA}; name another folder"
        ))),
    }
}
