// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The table itself, by what the tests are about.

mod basics;
mod contexts;
mod deferral;
mod designs;
mod device;
mod users;

use super::{ByDesign, Disks, Needs, Shape, TestInfo};
use basics::BASICS;
use contexts::CONTEXTS;
use deferral::DEFERRAL;
use designs::{EXT4_UNTAGGED, IN_TASK_GATE, MOVED_WORKER, QUEUES_EACH, SYSTEM_WORKQUEUE};
use device::DEVICE;
use users::USERS;

/// The parts, in the order in which a run takes them.
const PARTS: [&[TestInfo]; 5] = [BASICS, DEVICE, DEFERRAL, USERS, CONTEXTS];

/// Every test, in the order in which a run takes them; those of one machine
/// together.
pub const TESTS: &[TestInfo] = &joined::<{ total(&PARTS) }>(&PARTS);

/// How many tests the parts have.
const fn total(parts: &[&[TestInfo]]) -> usize {
    let mut tests = 0;
    let mut part = 0;
    while part < parts.len() {
        tests += parts[part].len();
        part += 1;
    }
    tests
}

/// The parts as one.
const fn joined<const TOTAL: usize>(parts: &[&[TestInfo]]) -> [TestInfo; TOTAL] {
    let mut tests = [ALWAYS; TOTAL];
    let (mut part, mut place, mut next) = (0, 0, 0);
    while next < TOTAL {
        if place == parts[part].len() {
            (part, place) = (part + 1, 0);
        } else {
            tests[next] = parts[part][place];
            (place, next) = (place + 1, next + 1);
        }
    }
    tests
}

/// What a test is that is always run, in a guest whose kernel has nothing to
/// complain of.
const ALWAYS: TestInfo = TestInfo {
    name: "",
    claim: "",
    claims: &[],
    configs: &[],
    needs: DISK,
    limit_seconds: 240,
    by_name: false,
    expects: None,
    by_design: &[],
};

/// Needs the disk alone.
const DISK: Needs = Needs {
    probe: false,
    flag: false,
    cpus: 1,
    control: false,
    disks: Disks::All,
    machine: Shape::RUN,
};

/// Needs the device under control.
const CONTROL: Needs = Needs {
    control: true,
    ..DISK
};

/// Needs the same and a queue that is left alone.
const TWO_QUEUES: Needs = Needs { cpus: 2, ..CONTROL };

/// Needs the probe and nothing of the kernel.
const PROBE: Needs = Needs {
    probe: true,
    cpus: 2,
    ..DISK
};

/// Needs the flag, seen through the probe, with the device under control.
const FLAG: Needs = Needs {
    control: true,
    ..FLAG_ALONE
};

/// Needs the flag, seen through the probe, on a disk that does as it likes.
const FLAG_ALONE: Needs = Needs {
    probe: true,
    flag: true,
    cpus: 2,
    ..DISK
};

/// Those that settle most of what a change to the deferral can break in the
/// least time, all on the run's own machine: together some seconds.
pub const CORE: &[&str] = &[
    "baseline-io",
    "hardirq-inline",
    "task-context",
    "untagged-inline",
    "fifo-per-cpu",
    "exactly-once",
    "hotplug-drain",
    "inline-in-task",
    "no-lost-wakeup",
    "queue-calls",
    "whole-batches",
    "chains",
    "stacked",
    "exact-status",
];
