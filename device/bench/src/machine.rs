// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! When and where figures were taken: without that they are none.

use std::fs;
use std::process::Command;
use std::thread;

use serde::Serialize;

use crate::subject::PEER;

/// What stands above every table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) cpu: String,
    pub(crate) cpus: usize,
    pub(crate) kernel: String,
    pub(crate) peer: String,
    /// Threads that wanted a CPU, over the minute before.
    pub(crate) load: f64,
}

impl Machine {
    pub(crate) fn here() -> Machine {
        let date = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
        Machine {
            date: date.format("%Y-%m-%d %H:%M UTC").to_string(),
            cpu: cpu().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cpus: thread::available_parallelism().map_or(1, usize::from),
            kernel: text("/proc/sys/kernel/osrelease").unwrap_or_default(),
            peer: peer().unwrap_or_else(|| PEER.to_owned()),
            load: load().unwrap_or(f64::NAN),
        }
    }

    /// Whether something else ran as well, so that the figures say little.
    pub(crate) fn is_busy(&self) -> bool {
        self.load > 0.5
    }
}

fn text(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn cpu() -> Option<String> {
    let info = text("/proc/cpuinfo")?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn load() -> Option<f64> {
    text("/proc/loadavg")?.split(' ').next()?.parse().ok()
}

/// Its name and version.
fn peer() -> Option<String> {
    let out = Command::new(PEER).arg("--version").output().ok()?;
    let out = String::from_utf8(out.stdout).ok()?;
    let version = out.split_whitespace().nth(2)?;
    Some(format!("{PEER} {version}"))
}
