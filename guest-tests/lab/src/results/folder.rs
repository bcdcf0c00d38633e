// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The folder of one run's results.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use chrono::Utc;
use serde::Serialize;

use super::record::{Case, Record};
use super::{case_lines, header_lines, junit};
use crate::failure::{Failure, io_failure};

/// The link to the newest run.
const LATEST: &str = "latest";

/// What a run leaves beside its record, and the folder of its traces.
const BULK: [&str; 5] = [
    "console.log",
    "decisions.ndjson",
    "device.log",
    "events.ndjson",
    "qemu.log",
];

/// The folder of the traces.
pub(crate) const TRACES: &str = "trace";

/// More runs than that do not begin within one second.
const MOST_NAMESAKES: u32 = 1000;

/// A folder that is written to after every test.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes `parent`/TIME-KERNEL and points `parent`/latest at it.
    pub(crate) fn create(parent: &Path, kernel: &str) -> Result<Folder, Failure> {
        fs::create_dir_all(parent).map_err(io_failure("create folder", parent))?;
        // The device and QEMU are told of it: a path that holds anywhere.
        let parent = parent.canonicalize().map_err(io_failure("find", parent))?;
        let name = format!("{}-{}", Utc::now().format("%Y%m%dT%H%M%SZ"), plain(kernel));
        let (name, path) = make_new(&parent, &name)?;
        point_at(&parent.join(LATEST), &name)?;
        Ok(Folder { path })
    }

    /// Makes a folder of this name in it.
    pub(crate) fn inside(&self, name: &str) -> Result<Folder, Failure> {
        let path = self.path.join(name);
        fs::create_dir(&path).map_err(io_failure("create folder", &path))?;
        Ok(Folder { path })
    }

    /// Removes what takes space: the steps of every request, what was decided
    /// about it, and what everybody said.
    pub(crate) fn keep_records(&self) -> Result<(), Failure> {
        for name in BULK {
            let path = self.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_failure("remove", &path)(error));
                }
                _ => {}
            }
        }
        let traces = self.join(TRACES);
        match fs::remove_dir_all(&traces) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_failure("remove", &traces)(error))
            }
            _ => Ok(()),
        }
    }

    /// Adds a line of JSON to a file.
    pub(crate) fn add_line(&self, name: &str, line: &impl Serialize) -> Result<(), Failure> {
        let path = self.join(name);
        let write = || -> io::Result<()> {
            let mut text = serde_json::to_vec(line).map_err(io::Error::other)?;
            text.push(b'\n');
            let mut file = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)?;
            file.write_all(&text)
        };
        write().map_err(io_failure("write", &path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// A file in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Begins ktap.txt with a plan of so many cases.
    pub(crate) fn begin(&self, record: &Record, cases: usize) -> Result<(), Failure> {
        self.write("ktap.txt", header_lines(record, cases, None).as_bytes())?;
        self.write_reports(record)
    }

    /// Adds the newest case of the record to every report.
    pub(crate) fn add(&self, record: &Record, case: &Case) -> Result<(), Failure> {
        self.add_ktap(&case_lines(record.cases.len(), case))?;
        self.write_reports(record)
    }

    /// Adds lines to ktap.txt.
    pub(crate) fn add_ktap(&self, text: &str) -> Result<(), Failure> {
        let path = self.join("ktap.txt");
        fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(io_failure("write", &path))
    }

    /// Writes results.json and junit.xml anew.
    pub(crate) fn write_reports(&self, record: &Record) -> Result<(), Failure> {
        let as_io = |error: serde_json::Error| io::Error::other(error);
        let mut json = serde_json::to_vec_pretty(record)
            .map_err(as_io)
            .map_err(io_failure("write", &self.join("results.json")))?;
        json.push(b'\n');
        self.write("results.json", &json)?;
        let xml = junit::document(record)
            .map_err(io::Error::other)
            .map_err(io_failure("write", &self.join("junit.xml")))?;
        self.write("junit.xml", xml.as_bytes())
    }

    /// Writes a file so that it is there whole, the old one or the new one.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        let path = self.join(name);
        let write = || -> io::Result<()> {
            let mut file = tempfile::Builder::new()
                .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
                .tempfile_in(&self.path)?;
            file.write_all(content)?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(io_failure("write", &path))
    }
}

/// A kernel may be named by a path: its last part, in characters that need no
/// quoting.
fn plain(kernel: &str) -> String {
    let last = Path::new(kernel).file_name().unwrap_or_default();
    let keep = |c: char| match c.is_ascii_alphanumeric() || "+.-_~".contains(c) {
        true => c,
        false => '_',
    };
    last.to_string_lossy().chars().map(keep).collect()
}

fn make_new(parent: &Path, name: &str) -> Result<(String, PathBuf), Failure> {
    for count in 1..=MOST_NAMESAKES {
        let name = match count {
            1 => name.to_owned(),
            _ => format!("{name}-{count}"),
        };
        let path = parent.join(&name);
        match fs::create_dir(&path) {
            Ok(()) => return Ok((name, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io_failure("create folder", &path)(error)),
        }
    }
    let path = parent.join(name);
    Err(io_failure("create folder", &path)(
        io::ErrorKind::AlreadyExists.into(),
    ))
}

/// Points the link at a name, replacing only a link.
fn point_at(link: &Path, name: &str) -> Result<(), Failure> {
    match fs::symlink_metadata(link) {
        Ok(found) if !found.is_symlink() => {
            return Err(Failure::BadArgument {
                what: link.display().to_string(),
                reason: "it is to be the link to the newest results, and something else is there; move it away".into(),
            });
        }
        _ => {}
    }
    let mut temporary = link.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    symlink(name, &temporary)
        .and_then(|()| fs::rename(&temporary, link))
        .map_err(io_failure("make link", link))
}

#[cfg(test)]
mod tests {
    use super::super::record::samples;
    use super::*;

    #[test]
    fn two_runs_at_once_have_folders_of_their_own_and_latest_is_the_second() {
        let parent = tempfile::tempdir().unwrap();
        let one = Folder::create(parent.path(), "7.2+v4").unwrap();
        let two = Folder::create(parent.path(), "7.2+v4").unwrap();
        assert_ne!(one.path(), two.path());
        let latest = parent.path().join(LATEST).canonicalize().unwrap();
        assert_eq!(latest, two.path());
    }

    #[test]
    fn the_records_stay_when_the_bulk_goes() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path(), "x").unwrap();
        let one = folder.inside("0001").unwrap();
        assert!(folder.inside("0001").is_err());
        one.begin(&samples::record(), 3).unwrap();
        for name in BULK {
            one.write(name, b"much").unwrap();
        }
        one.inside(TRACES).unwrap().write("x", b"more").unwrap();
        one.keep_records().unwrap();
        one.keep_records().unwrap();
        let left = fs::read_dir(one.path()).unwrap().flatten();
        let mut left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        left.sort();
        assert_eq!(left, ["junit.xml", "ktap.txt", "results.json"]);
    }

    #[test]
    fn what_is_no_link_is_not_replaced() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join(LATEST), "mine").unwrap();
        let failure = Folder::create(parent.path(), "x").unwrap_err();
        assert!(failure.to_string().contains("move it away"), "{failure}");
        assert_eq!(fs::read(parent.path().join(LATEST)).unwrap(), b"mine");
    }

    #[test]
    fn reports_are_whole_after_every_case() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path(), "/a/b c").unwrap();
        assert!(folder.path().to_string_lossy().ends_with("-b_c"));
        let full = samples::record();
        let mut record = full.clone();
        record.cases.clear();
        folder.begin(&record, full.cases.len()).unwrap();
        for case in &full.cases {
            record.cases.push(case.clone());
            folder.add(&record, case).unwrap();
            let json = fs::read(folder.join("results.json")).unwrap();
            assert_eq!(serde_json::from_slice::<Record>(&json).unwrap(), record);
        }
        let ktap = fs::read_to_string(folder.join("ktap.txt")).unwrap();
        assert!(ktap.starts_with("KTAP version 1\n") && ktap.contains("\nnot ok 2 "));
    }
}
