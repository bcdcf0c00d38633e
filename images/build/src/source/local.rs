// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The user's own tree or tarball: copied, never worked in.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::cache::KeyBuilder;
use crate::command::run_logged;
use crate::error::{Error, io_error};
use crate::progress::Progress;

use super::{LOCAL_SOURCE, extract};

/// Names the state that a tree or tarball is in: by path, size and time of
/// every file, since to read them all would take longer than to build.
pub(super) fn state_of(local: &Path) -> Result<String, Error> {
    let path = local
        .canonicalize()
        .map_err(io_error("find the source of Linux at", local))?;
    let mut key = KeyBuilder::default();
    key.add("path", path.as_os_str().as_encoded_bytes());
    add_state(&path, &mut key)?;
    Ok(key.finish())
}

fn add_state(path: &Path, key: &mut KeyBuilder) -> Result<(), Error> {
    let metadata = fs::symlink_metadata(path).map_err(io_error("look at", path))?;
    if !metadata.is_dir() {
        add_file_state(path, &metadata, key);
        return Ok(());
    }
    let mut entries = entries_of(path)?;
    entries.sort();
    for entry in entries {
        add_state(&entry, key)?;
    }
    Ok(())
}

fn add_file_state(path: &Path, metadata: &Metadata, key: &mut KeyBuilder) {
    let time = format!("{}.{}", metadata.mtime(), metadata.mtime_nsec());
    key.add("file", path.as_os_str().as_encoded_bytes());
    key.add("size", &metadata.len().to_le_bytes());
    key.add("time", time.as_bytes());
}

/// What is in a folder, but for git's own.
fn entries_of(folder: &Path) -> Result<Vec<std::path::PathBuf>, Error> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let entry = entry.map_err(io_error("list", folder))?;
        if entry.file_name() != ".git" {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

pub(super) fn copy(
    local: &Path,
    version: &str,
    folder: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<String, Error> {
    if local.is_dir() {
        // Before gigabytes are copied in vain.
        check_version(local, local, version)?;
        progress.begin(&format!("copy {}", local.display()), None);
        let mut copy = Command::new("cp");
        copy.args(["-a", "--reflink=auto"]);
        copy.args(entries_of(local)?).arg(folder);
        run_logged("copy the source tree", &mut copy, log, |_| ())?;
        // A tree that was built in cannot be built from elsewhere.
        let mut clean = Command::new("make");
        clean.arg("-C").arg(folder).arg("mrproper");
        run_logged("clean the copied tree", &mut clean, log, |_| ())?;
    } else {
        extract(local, folder, log, progress)?;
        check_version(folder, local, version)?;
    }
    Ok(format!("local {}", local.display()))
}

fn check_version(tree: &Path, named: &Path, version: &str) -> Result<(), Error> {
    let makefile = tree.join("Makefile");
    let text = fs::read_to_string(&makefile).map_err(io_error("read", &makefile))?;
    let found = version_of(&text);
    if found.as_deref() == Some(version) {
        return Ok(());
    }
    Err(Error::NotAKernel {
        path: named.to_owned(),
        reason: format!(
            "it is Linux {}, and Linux {version} is wanted; unset {LOCAL_SOURCE} to fetch that",
            found.unwrap_or_else(|| "of no known version".into())
        ),
    })
}

/// `7.2` of a Makefile that says VERSION = 7 and PATCHLEVEL = 2.
fn version_of(makefile: &str) -> Option<String> {
    let value = |key: &str| {
        let line = makefile
            .lines()
            .find(|line| line.split('=').next().map(str::trim) == Some(key))?;
        Some(line.split_once('=')?.1.trim().to_owned())
    };
    Some(format!("{}.{}", value("VERSION")?, value("PATCHLEVEL")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    const MAKEFILE: &str = "# SPDX\nVERSION = 7\nPATCHLEVEL = 2\nmrproper:\n\trm -f built.o\n";

    #[test]
    fn a_makefile_tells_its_version() {
        assert_eq!(version_of(MAKEFILE).as_deref(), Some("7.2"));
        assert_eq!(version_of("all:\n"), None);
    }

    #[test]
    fn a_tree_is_copied_clean_and_without_its_history() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join(".git")).unwrap();
        fs::create_dir_all(from.join("block")).unwrap();
        fs::create_dir_all(&to).unwrap();
        fs::write(from.join("Makefile"), MAKEFILE).unwrap();
        fs::write(from.join("built.o"), "").unwrap();
        fs::write(from.join("block/bio.c"), "int bio;").unwrap();
        let log = folder.path().join("log");
        copy(&from, "7.2", &to, &log, &mut Silent).unwrap();
        assert_eq!(
            fs::read_to_string(to.join("block/bio.c")).unwrap(),
            "int bio;"
        );
        assert!(!to.join(".git").exists() && !to.join("built.o").exists());
        assert!(from.join("built.o").exists());
        let error = copy(&from, "7.3", &to, &log, &mut Silent).unwrap_err();
        assert!(error.to_string().contains("it is Linux 7.2"), "{error}");
    }

    #[test]
    fn a_changed_tree_is_another_state() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bio.c");
        fs::write(&file, "one").unwrap();
        let before = state_of(folder.path()).unwrap();
        assert_eq!(state_of(folder.path()).unwrap(), before);
        fs::write(&file, "longer").unwrap();
        assert_ne!(state_of(folder.path()).unwrap(), before);
    }
}
