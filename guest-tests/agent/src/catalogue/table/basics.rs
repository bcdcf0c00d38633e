// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The disk and the deferral in short: what a run settles first.

use super::{ALWAYS, CONTROL, DISK, FLAG, FLAG_ALONE, PROBE, TestInfo};

pub(super) const BASICS: &[TestInfo] = &[
    TestInfo {
        name: "baseline-io",
        claim: "what is written through the block layer reads back the same",
        needs: DISK,
        limit_seconds: 120,
        ..ALWAYS
    },
    TestInfo {
        name: "hardirq-inline",
        claim: "with a queue per CPU, the device drives completions in hardirq",
        needs: PROBE,
        limit_seconds: 120,
        ..ALWAYS
    },
    TestInfo {
        name: "task-context",
        claim: "a tagged bio completed in hardirq ends in preemptible task context",
        claims: &[1],
        needs: FLAG_ALONE,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "untagged-inline",
        claim: "untagged bios next to tagged ones still end in hardirq",
        claims: &[6],
        needs: FLAG_ALONE,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "fifo-per-cpu",
        claim: "deferred bios end in the order in which their CPU deferred them",
        claims: &[8],
        needs: FLAG,
        ..ALWAYS
    },
    TestInfo {
        name: "exactly-once",
        claim: "under a storm every bio ends exactly once, with its data",
        claims: &[9],
        needs: FLAG,
        limit_seconds: 300,
        ..ALWAYS
    },
    TestInfo {
        name: "hotplug-drain",
        claim: "bios deferred on a CPU that goes offline still end, in task context",
        claims: &[13],
        needs: FLAG,
        ..ALWAYS
    },
    TestInfo {
        name: "switch-count",
        claim: "worker runs, bios per run and context switches are what the design says",
        claims: &[18],
        needs: FLAG,
        ..ALWAYS
    },
    TestInfo {
        name: "storm-sweep",
        claim: "what deferral costs, over completion rate, completions per interrupt and the work of bi_end_io",
        needs: FLAG,
        limit_seconds: 1800,
        by_name: true,
        ..ALWAYS
    },
    TestInfo {
        name: "dontcache",
        claim: "what uncached writes cost, on the loads for which the list has fio's figures",
        needs: FLAG,
        limit_seconds: 900,
        by_name: true,
        ..ALWAYS
    },
    TestInfo {
        name: "endurance",
        claim: "what is written reads back the same, once, whatever happens meanwhile",
        needs: PROBE,
        limit_seconds: 600,
        by_name: true,
        ..ALWAYS
    },
    TestInfo {
        name: "spurious-storm",
        claim: "a storm below the kill line disables no interrupt and loses no bio",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
];
