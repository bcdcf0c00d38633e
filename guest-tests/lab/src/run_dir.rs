// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The folder of one run's sockets: private, short, and gone afterwards.
//!
//! `BASE/irqstorm-UID/PID`, where `ctl` finds the control socket of what runs.
//! A Unix socket's path has at most 107 bytes (unix(7)), so BASE is the first
//! short one of $XDG_RUNTIME_DIR, $TMPDIR and /tmp.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, io_failure};
use crate::interrupt;

/// The longest BASE: leaves room for "/irqstorm-UID/PID/SOCKET".
const MAX_BASE: usize = 60;

/// The control socket's name in the folder.
pub(crate) const CONTROL_SOCKET: &str = "control.sock";

/// The folder; removed with all that is in it when dropped.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Makes the folder of this process, and removes those of processes that
    /// were killed before they could.
    pub(crate) fn create() -> Result<RunDir, Failure> {
        let base = base();
        private_dir(&base)?;
        remove_orphans(&base);
        let path = base.join(std::process::id().to_string());
        private_dir(&path)?;
        interrupt::set_run_dir(Some(path.clone()));
        Ok(RunDir { path })
    }

    /// A place in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// It.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        interrupt::set_run_dir(None);
    }
}

/// The control sockets of all runs of this user.
pub(crate) fn control_sockets() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(base()) else {
        return Vec::new();
    };
    let mut sockets: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path().join(CONTROL_SOCKET))
        .filter(|socket| socket.exists())
        .collect();
    sockets.sort();
    sockets
}

fn base() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    let candidates = ["XDG_RUNTIME_DIR", "TMPDIR"];
    let usable =
        |path: &PathBuf| path.is_absolute() && path.is_dir() && path.as_os_str().len() <= MAX_BASE;
    candidates
        .iter()
        .filter_map(std::env::var_os)
        .map(PathBuf::from)
        .find(usable)
        .unwrap_or_else(|| PathBuf::from("/tmp"))
        .join(format!("irqstorm-{user}"))
}

/// Makes a folder that only this user can enter. One that is there already
/// must be such a folder: anybody can make names in /tmp.
fn private_dir(path: &Path) -> Result<(), Failure> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(io_failure("create folder", path)(e)),
    }
    let found = fs::symlink_metadata(path).map_err(io_failure("look at", path))?;
    let ours = found.is_dir()
        && found.uid() == rustix::process::getuid().as_raw()
        && found.mode() & 0o077 == 0;
    if ours {
        return Ok(());
    }
    Err(Failure::BadArgument {
        what: path.display().to_string(),
        reason: "it is not a folder that only this user can enter; remove it, or set TMPDIR to a short path".into(),
    })
}

fn remove_orphans(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().filter(|name| name.parse::<u32>().is_ok());
        if let Some(process) = process
            && !Path::new("/proc").join(process).exists()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
