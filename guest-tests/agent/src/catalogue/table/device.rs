// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The device: what it writes, and what arrives.

use super::{ALWAYS, CONTROL, Disks, FLAG, IN_TASK_GATE, Needs, PROBE, TWO_QUEUES, TestInfo};

pub(super) const DEVICE: &[TestInfo] = &[
    TestInfo {
        name: "interrupt-early",
        claim: "an interrupt ahead of its completion finds nothing, and the completion waits for the rescue",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "interrupt-late",
        claim: "a completion is visible before its interrupt, and nothing ends until that comes",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "interrupt-dropped",
        claim: "a completion whose interrupt is lost ends with the rescue",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "interrupt-duplicated",
        claim: "each duplicate of an interrupt arrives and finds nothing, or merges",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "interrupt-coalesced",
        claim: "many completions have one interrupt, by their count or by time",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "interrupt-when-read",
        claim: "an interrupt that waits for its driver to have read comes then, and every bio ends",
        needs: Needs {
            control: true,
            ..PROBE
        },
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "stepped-release",
        claim: "held completions and their interrupts are let go one by one, and apart",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "config-vector",
        claim: "the configuration's interrupt arrives and is always claimed",
        needs: Needs {
            disks: Disks::Virtio,
            ..CONTROL
        },
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "volley",
        claim: "interrupts of all queues are written at one instant, and each arrives",
        needs: TWO_QUEUES,
        ..ALWAYS
    },
    TestInfo {
        name: "marks",
        claim: "phases end with the guest's marks, and a wait is answered by the device's",
        needs: CONTROL,
        limit_seconds: 120,
        ..ALWAYS
    },
    TestInfo {
        name: "same-decisions",
        claim: "the same seed decides the same for the same requests",
        needs: TWO_QUEUES,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "guarded-million",
        claim: "a million spurious interrupts on each queue, guarded, and every queue lives",
        needs: TWO_QUEUES,
        limit_seconds: 1200,
        by_name: true,
        ..ALWAYS
    },
    TestInfo {
        name: "kill-line",
        claim: "unguarded, the kernel gives an interrupt up, and what its queue owes never comes",
        needs: TWO_QUEUES,
        limit_seconds: 1200,
        by_name: true,
        expects: Some("nobody cared"),
        ..ALWAYS
    },
    TestInfo {
        name: "controller-reset",
        claim: "over a reset no bio is lost, not one that was deferred and not one that the device had",
        needs: Needs {
            disks: Disks::Nvme,
            ..FLAG
        },
        ..ALWAYS
    },
    TestInfo {
        name: "completion-polled",
        claim: "a tagged bio whose interrupt never comes is found at its timeout, and ends where it may sleep",
        needs: Needs {
            disks: Disks::Nvme,
            ..FLAG
        },
        by_design: IN_TASK_GATE,
        ..ALWAYS
    },
    TestInfo {
        name: "command-lost",
        claim: "a command that the device does not complete is given up at its second timeout, and ends with the reset",
        needs: Needs {
            disks: Disks::Nvme,
            ..CONTROL
        },
        ..ALWAYS
    },
    TestInfo {
        name: "command-aborted",
        claim: "a command that the device keeps is aborted at its timeout and submitted again, without a reset",
        needs: Needs {
            disks: Disks::Nvme,
            ..CONTROL
        },
        ..ALWAYS
    },
    TestInfo {
        name: "controller-fatal",
        claim: "a controller that has failed is reset at the first timeout, and what it had ends after that",
        needs: Needs {
            disks: Disks::Nvme,
            ..CONTROL
        },
        ..ALWAYS
    },
];
