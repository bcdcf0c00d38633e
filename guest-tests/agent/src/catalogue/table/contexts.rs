// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Completions in other contexts than hardirq, most on machines of their own.

use super::{ALWAYS, Disks, FLAG_ALONE, IN_TASK_GATE, Needs, Shape, TestInfo};

pub(super) const CONTEXTS: &[TestInfo] = &[
    TestInfo {
        name: "preempt-rt",
        claim: "with PREEMPT_RT tagged bios end where they may sleep",
        claims: &[5],
        configs: &["rt"],
        needs: FLAG_ALONE,
        by_design: IN_TASK_GATE,
        ..ALWAYS
    },
    TestInfo {
        name: "softirq-context",
        claim: "a tagged bio completed in softirq ends in preemptible task context",
        claims: &[2],
        needs: Needs {
            machine: Shape {
                queues: Some(1),
                ..Shape::RUN
            },
            ..FLAG_ALONE
        },
        ..ALWAYS
    },
    TestInfo {
        name: "ipi-context",
        claim: "a tagged bio completed by IPI ends in task context, on that CPU",
        claims: &[3],
        needs: Needs {
            machine: Shape {
                cpus: Some(4),
                queues: Some(2),
                ..Shape::RUN
            },
            ..FLAG_ALONE
        },
        limit_seconds: 300,
        ..ALWAYS
    },
    TestInfo {
        name: "forced-threading",
        claim: "a tagged bio completed in a handler's task ends where it may sleep",
        claims: &[4],
        needs: Needs {
            machine: Shape {
                words: &["threadirqs"],
                ..Shape::RUN
            },
            ..FLAG_ALONE
        },
        by_design: IN_TASK_GATE,
        ..ALWAYS
    },
    TestInfo {
        name: "late-cpus",
        claim: "CPUs that come online after boot defer and end bios as others do",
        claims: &[15],
        needs: Needs {
            cpus: 1,
            machine: Shape {
                cpus: Some(3),
                online: Some(1),
                ..Shape::RUN
            },
            ..FLAG_ALONE
        },
        ..ALWAYS
    },
    TestInfo {
        name: "threaded-nvme",
        claim: "a tagged bio completed in a task that may sleep ends there",
        needs: Needs {
            disks: Disks::Nvme,
            machine: Shape {
                words: &["nvme.use_threaded_interrupts=1"],
                ..Shape::RUN
            },
            ..FLAG_ALONE
        },
        ..ALWAYS
    },
];
