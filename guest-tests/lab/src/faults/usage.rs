// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a process has open, and how much more that has become.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::failure::{Failure, io_failure};

/// After so many faults all that is made once has been made.
const SETTLED: u32 = 2;

/// What a process has at one moment.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    fds: i64,
    threads: i64,
    /// Mappings that it shares with others: of the guest's memory, and of what
    /// is in flight.
    shared: i64,
    /// Memory of its own in KiB: that of the guest comes to be resident as the
    /// guest uses it.
    memory: i64,
    /// Its sockets, by inode.
    sockets: BTreeSet<PathBuf>,
}

/// How much more it has become; less is below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Growth {
    /// File descriptors.
    pub(crate) fds: i64,
    /// Threads.
    pub(crate) threads: i64,
    /// Mappings shared with others.
    pub(crate) shared: i64,
    /// Memory of its own in KiB.
    pub(crate) memory_kib: i64,
}

impl Usage {
    /// A process', as /proc has it (proc_pid_status(5)).
    pub(super) fn of(pid: u32) -> Result<Usage, Failure> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let read = |name: &str| {
            let path = process.join(name);
            fs::read_to_string(&path).map_err(io_failure("read", &path))
        };
        let fds = entries(&process.join("fd"))?;
        // One may have been closed since.
        let targets = fds.iter().filter_map(|fd| fs::read_link(fd).ok());
        Ok(Usage {
            fds: count(&fds),
            threads: count(&entries(&process.join("task"))?),
            shared: shared(&read("maps")?),
            // A process that has just ended has none.
            memory: field(&read("status")?, "RssAnon:").unwrap_or(0),
            sockets: targets.filter(|target| is_socket(target)).collect(),
        })
    }

    /// The sockets: as long as they are the same, nobody has connected again.
    pub(super) fn connections(&self) -> &BTreeSet<PathBuf> {
        &self.sockets
    }

    /// The growth since an earlier moment.
    fn since(&self, before: &Usage) -> Growth {
        Growth {
            fds: self.fds - before.fds,
            threads: self.threads - before.threads,
            shared: self.shared - before.shared,
            memory_kib: self.memory - before.memory,
        }
    }
}

/// A process looked at now and then.
#[derive(Debug, Default)]
pub(super) struct Watch {
    first: Option<Usage>,
    last: Option<Usage>,
}

impl Watch {
    /// Takes a look, after so many faults.
    pub(super) fn look(&mut self, usage: Option<Usage>, times: u32) {
        match &self.first {
            _ if times < SETTLED => {}
            None => self.first = usage,
            Some(_) => self.last = usage,
        }
    }

    /// From the first look to the last.
    pub(super) fn growth(&self) -> Option<Growth> {
        let (first, last) = (self.first.as_ref()?, self.last.as_ref()?);
        Some(last.since(first))
    }
}

/// What is in a folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(io_failure("list", folder))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

fn count(entries: &[PathBuf]) -> i64 {
    i64::try_from(entries.len()).unwrap_or(i64::MAX)
}

/// Lines like `7f00-7f01 rw-s 0 00:01 5 /memfd:ram (deleted)`, as proc_pid_maps(5)
/// has them.
fn shared(maps: &str) -> i64 {
    let permissions = maps.lines().filter_map(|line| line.split(' ').nth(1));
    let count = permissions.filter(|word| word.ends_with('s')).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// `socket:[12345]`, as proc_pid_fd(5) has it.
fn is_socket(target: &Path) -> bool {
    target
        .as_os_str()
        .as_encoded_bytes()
        .starts_with(b"socket:")
}

/// `RssAnon:      1234 kB` as 1234.
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
        assert!(before.threads > 0 && before.memory > 0);
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
        let status = "Name:\tx\nRssAnon:\t  1234 kB\n";
        assert_eq!(field(status, "RssAnon:"), Some(1234));
        assert_eq!(field("Name:\tx\n", "RssAnon:"), None);
    }

    #[test]
    fn what_is_shared_is_told_from_what_is_not() {
        let maps = "7f00-7f01 rw-s 00000000 00:01 5 /memfd:ram (deleted)\n\
                    7f02-7f03 rw-p 00000000 00:00 0\n\
                    7f04-7f05 r--p 00000000 08:01 9 /usr/lib/s s\n";
        assert_eq!(shared(maps), 1);
    }

    fn used(fds: i64) -> Option<Usage> {
        Some(Usage {
            fds,
            threads: 3,
            shared: 1,
            memory: 100,
            sockets: BTreeSet::new(),
        })
    }

    #[test]
    fn growth_begins_when_all_that_is_made_once_has_been_made() {
        let mut watch = Watch::default();
        watch.look(used(1), SETTLED - 1);
        watch.look(used(5), SETTLED);
        assert_eq!(watch.growth(), None, "there is nothing to compare with");
        watch.look(used(9), SETTLED + 1);
        watch.look(used(7), SETTLED + 2);
        assert_eq!(watch.growth().map(|growth| growth.fds), Some(2));
    }

    #[test]
    fn a_new_connection_is_another_one() {
        let pid = std::process::id();
        let open = std::os::unix::net::UnixStream::pair().unwrap();
        let before = Usage::of(pid).unwrap();
        drop(open);
        let open = std::os::unix::net::UnixStream::pair().unwrap();
        assert_ne!(before.connections(), Usage::of(pid).unwrap().connections());
        drop(open);
    }
}
