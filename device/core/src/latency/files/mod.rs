// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The files that a latency may be taken from.
//!
//! A file is read whole, up to [`MAX_FILE`] bytes, and told apart by what is
//! in it; its reader bounds how many values it takes. Nothing is guessed: what
//! is not as its tool writes it is refused with its line.

mod fio;
mod hgrm;
mod interval_log;
mod trace;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Latency, MAX_LATENCY, Part, RecordedOperation, Recording, TimeUnit, Trace, quantiles};
use crate::units::Nanos;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// How much of a wrong line an error shows.
const EXCERPT: usize = 60;

/// A file that gives no latency.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It could not be read.
    #[error("read {key} = {path}: {source}")]
    Read {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line of it is not what it should be.
    #[error("use {key} = {path}: line {line}: {found}: {allowed}")]
    Line {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is there.
        found: String,
        /// What may be there.
        allowed: String,
    },
    /// As a whole it is not what it should be.
    #[error("use {key} = {path}: {found}: {allowed}")]
    Whole {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it may be.
        allowed: String,
    },
}

impl Latency {
    /// Reads every file that is named, relative to `folder`: a histogram
    /// becomes [`Latency::Percentiles`], a trace its values.
    ///
    /// # Errors
    /// The first file that cannot be read or that has no latencies; `self` may
    /// then be resolved in part.
    pub fn resolve(&mut self, folder: &Path) -> Result<(), FileError> {
        match self {
            Latency::Histogram(recording) => *self = read_histogram(folder, recording)?,
            Latency::Trace(Trace::File { file, operation }) => {
                let source = Source::read("trace.file", folder, file)?;
                let values = trace::values(&source, *operation)?;
                *self = Latency::Trace(Trace::Values(values.into()));
            }
            Latency::Mixture(parts) => resolve_parts(parts, folder)?,
            _ => {}
        }
        Ok(())
    }
}

fn resolve_parts(parts: &mut Arc<[Part]>, folder: &Path) -> Result<(), FileError> {
    let mut resolved = parts.to_vec();
    for part in &mut resolved {
        part.latency.resolve(folder)?;
    }
    *parts = resolved.into();
    Ok(())
}

fn read_histogram(folder: &Path, recording: &Recording) -> Result<Latency, FileError> {
    let source = Source::read("histogram.file", folder, &recording.file)?;
    let points = if source.text.trim_start().starts_with('{') {
        if let Some(unit) = recording.unit {
            let allowed = "fio's times say theirs: leave `unit` out";
            return Err(source.error(format!("unit = \"{}\"", unit.name()), allowed));
        }
        fio::points(&source, recording.operation)?
    } else {
        let unit = hdr_unit(&source, recording)?;
        if interval_log::is_one(&source.text) {
            interval_log::points(&source, unit)?
        } else {
            hgrm::points(&source, unit)?
        }
    };
    Ok(Latency::Percentiles(quantiles::thin(points).into()))
}

/// What the numbers of an HdrHistogram count, which only its user knows.
fn hdr_unit(source: &Source, recording: &Recording) -> Result<TimeUnit, FileError> {
    if let Some(operation) = recording.operation {
        let found = format!("operation = \"{}\"", operation.name());
        let allowed = "an HdrHistogram does not tell them apart: leave `operation` out";
        return Err(source.error(found, allowed));
    }
    recording.unit.ok_or_else(|| {
        source.error(
            "it does not say its unit",
            "write what its numbers count, as in unit = \"us\": ns, us, ms or s",
        )
    })
}

/// A file's text and how to blame it.
struct Source {
    key: &'static str,
    path: PathBuf,
    text: String,
}

impl Source {
    /// Reads a file that `key` names.
    fn read(key: &'static str, folder: &Path, file: &Path) -> Result<Source, FileError> {
        let path = folder.join(file);
        let bytes = read_bounded(&path).map_err(|source| FileError::Read {
            key,
            path: path.clone(),
            source,
        })?;
        let (text, broken) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let before = error.as_bytes().iter().take(valid);
                let line = before.filter(|byte| **byte == b'\n').count() + 1;
                (String::new(), Some(line))
            }
        };
        let source = Source { key, path, text };
        match broken {
            Some(line) => Err(source.line_error(line, "bytes that are no text", "UTF-8 text")),
            None => Ok(source),
        }
    }

    /// The lines with something in them, less what is around it, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate();
        numbered
            .map(|(index, line)| (index + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty())
    }

    /// The error of the file as a whole.
    fn error(&self, found: impl Into<String>, allowed: impl Into<String>) -> FileError {
        FileError::Whole {
            key: self.key,
            path: self.path.clone(),
            found: found.into(),
            allowed: allowed.into(),
        }
    }

    /// The error of one line.
    fn line_error(
        &self,
        line: usize,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) -> FileError {
        FileError::Line {
            key: self.key,
            path: self.path.clone(),
            line,
            found: found.into(),
            allowed: allowed.into(),
        }
    }

    /// The error of a line that is nothing which is known.
    fn strange_line(&self, line: usize, text: &str, allowed: impl Into<String>) -> FileError {
        let shown: String = text.chars().take(EXCERPT).collect();
        let more = if shown.len() < text.len() { "..." } else { "" };
        self.line_error(line, format!("'{shown}{more}'"), allowed)
    }
}

/// Reads a regular file of at most [`MAX_FILE`] bytes: a pipe or a device
/// might never end.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("only regular files can be read"));
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path)?.take(MAX_FILE + 1);
    if file.read_to_end(&mut bytes)? as u64 > MAX_FILE {
        let limit = format!("a file of latencies has at most {MAX_FILE} bytes");
        return Err(io::Error::other(limit));
    }
    Ok(bytes)
}

/// What a time above [`MAX_LATENCY`] is told.
fn too_long() -> String {
    format!("a latency is at most {MAX_LATENCY}")
}

impl TimeUnit {
    fn name(self) -> &'static str {
        match self {
            TimeUnit::Ns => "ns",
            TimeUnit::Us => "us",
            TimeUnit::Ms => "ms",
            TimeUnit::S => "s",
        }
    }

    /// So many of them, if that is a time that a latency may be.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "times up to MAX_LATENCY are below 2^53 ns; others are refused before"
    )]
    fn times(self, count: f64) -> Option<Nanos> {
        let nanos = (count * self.nanos().0 as f64).round();
        let possible = nanos >= 0.0 && nanos <= MAX_LATENCY.0 as f64;
        possible.then_some(Nanos(nanos as u64))
    }
}

impl RecordedOperation {
    const ALL: [RecordedOperation; 5] = [
        RecordedOperation::Read,
        RecordedOperation::Write,
        RecordedOperation::Trim,
        RecordedOperation::Sync,
        RecordedOperation::Mixed,
    ];

    fn name(self) -> &'static str {
        match self {
            RecordedOperation::Read => "read",
            RecordedOperation::Write => "write",
            RecordedOperation::Trim => "trim",
            RecordedOperation::Sync => "sync",
            RecordedOperation::Mixed => "mixed",
        }
    }
}
