// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a process has open, and how much more that has become.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::failure::{Failure, io_failure};

/// What a process has at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    fds: i64,
    threads: i64,
    /// Memory in KiB.
    resident: i64,
}

/// How much more it has become; less is below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Growth {
    /// File descriptors.
    pub(crate) fds: i64,
    /// Threads.
    pub(crate) threads: i64,
    /// Resident memory in KiB.
    pub(crate) memory_kib: i64,
}

impl Usage {
    /// A process', as /proc has it (proc_pid_status(5)).
    pub(super) fn of(pid: u32) -> Result<Usage, Failure> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let status = process.join("status");
        let text = fs::read_to_string(&status).map_err(io_failure("read", &status))?;
        Ok(Usage {
            fds: entries(&process.join("fd"))?,
            threads: entries(&process.join("task"))?,
            // A process that has just ended has none.
            resident: field(&text, "VmRSS:").unwrap_or(0),
        })
    }

    /// The growth since an earlier moment.
    pub(super) fn since(&self, before: &Usage) -> Growth {
        Growth {
            fds: self.fds - before.fds,
            threads: self.threads - before.threads,
            memory_kib: self.resident - before.resident,
        }
    }
}

fn entries(folder: &Path) -> Result<i64, Failure> {
    let count = fs::read_dir(folder)
        .map_err(io_failure("list", folder))?
        .count();
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

/// `VmRSS:      1234 kB` as 1234.
fn field(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_stays_open_is_growth() {
        let pid = std::process::id();
        let before = Usage::of(pid).unwrap();
        assert!(before.threads > 0 && before.resident > 0);
        let kept: Vec<fs::File> = (0..100)
            .map(|_| fs::File::open("/dev/null").unwrap())
            .collect();
        // Other tests of this process may open and close some as well.
        let growth = Usage::of(pid).unwrap().since(&before);
        assert!(growth.fds > 50, "{growth:?}");
        drop(kept);
    }

    #[test]
    fn a_status_without_the_field_has_none() {
        assert_eq!(field("Name:\tx\nVmRSS:\t  1234 kB\n", "VmRSS:"), Some(1234));
        assert_eq!(field("Name:\tx\n", "VmRSS:"), None);
    }
}
