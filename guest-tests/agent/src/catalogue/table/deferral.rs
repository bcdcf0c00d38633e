// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The deferral at its edges: wakeups, CPUs that go, work of others, counts.

use super::{
    ALWAYS, ByDesign, FLAG, FLAG_ALONE, MOVED_WORKER, QUEUES_EACH, SYSTEM_WORKQUEUE, TestInfo,
};

pub(super) const DEFERRAL: &[TestInfo] = &[
    TestInfo {
        name: "inline-in-task",
        claim: "a tagged bio that completes where it may sleep ends there, within bio_endio()",
        claims: &[7],
        needs: FLAG_ALONE,
        limit_seconds: 180,
        by_design: &[ByDesign {
            kernel: "7.3:no-preempt-count",
            why: "without a preemption count it cannot know that a bio may end where it is",
        }],
        ..ALWAYS
    },
    TestInfo {
        name: "no-lost-wakeup",
        claim: "no deferred bio waits for a wakeup that does not come, wherever its interrupt meets the worker",
        claims: &[10],
        needs: FLAG,
        limit_seconds: 300,
        ..ALWAYS
    },
    TestInfo {
        name: "gives-way",
        claim: "a worker that gives way to a SCHED_FIFO task comes back for the rest",
        claims: &[11],
        configs: &["no-preempt-count"],
        needs: FLAG,
        ..ALWAYS
    },
    TestInfo {
        name: "moved-caller",
        claim: "a caller that is moved while it defers a bio has it ended by the worker of the bio's CPU, there",
        claims: &[12],
        needs: FLAG_ALONE,
        limit_seconds: 300,
        ..ALWAYS
    },
    TestInfo {
        name: "failed-offline",
        claim: "bios deferred while a CPU fails to go offline end, and later ones too",
        claims: &[14],
        needs: FLAG,
        by_design: MOVED_WORKER,
        ..ALWAYS
    },
    TestInfo {
        name: "foreign-work",
        claim: "works that wait for deferred bios, however many, do not keep them from ending",
        claims: &[16],
        needs: FLAG_ALONE,
        by_design: SYSTEM_WORKQUEUE,
        ..ALWAYS
    },
    TestInfo {
        name: "reclaim-progress",
        claim: "deferred bios end although no thread can be had for another worker",
        claims: &[17],
        needs: FLAG,
        by_design: SYSTEM_WORKQUEUE,
        ..ALWAYS
    },
    TestInfo {
        name: "queue-calls",
        claim: "the worker is queued and run no more often than an interrupt finds nothing deferred",
        claims: &[18],
        needs: FLAG,
        by_design: QUEUES_EACH,
        ..ALWAYS
    },
    TestInfo {
        name: "no-starvation",
        claim: "a CPU that defers more than it can end still runs its other tasks in time",
        claims: &[19],
        needs: FLAG,
        ..ALWAYS
    },
    TestInfo {
        name: "alone-in-time",
        claim: "a deferred bio that comes alone ends well within a jiffy",
        claims: &[20],
        needs: FLAG,
        by_design: &[ByDesign {
            kernel: "7.2+llist",
            why: "its worker comes a jiffy after it was asked for",
        }],
        ..ALWAYS
    },
    TestInfo {
        name: "whole-batches",
        claim: "of many completions to an interrupt all end, in order",
        claims: &[24],
        needs: FLAG,
        ..ALWAYS
    },
];
