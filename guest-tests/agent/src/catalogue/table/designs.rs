// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Designs that break a claim, and the kernels that have them.

use super::ByDesign;

/// The same reason for each of the kernels.
const fn all<const N: usize>(kernels: [&'static str; N], why: &'static str) -> [ByDesign; N] {
    let mut all = [ByDesign { kernel: "", why }; N];
    let mut place = 0;
    while place < N {
        all[place].kernel = kernels[place];
        place += 1;
    }
    all
}

/// Kernels that take a task that may not sleep for one that may.
pub(super) const IN_TASK_GATE: &[ByDesign] = &all(
    ["7.2+v4", "7.2+was-empty", "7.2+llist", "7.2+wq"],
    "the gate is in_task(), which a task passes that may not sleep",
);

/// Kernels whose worker is on the system's workqueue: it has no worker there
/// that no one else can take, and none that was made beforehand.
pub(super) const SYSTEM_WORKQUEUE: &[ByDesign] = &all(
    ["7.2+v4", "7.2+was-empty", "7.2+llist"],
    "its worker is on the system's workqueue, among works of others and without a rescuer",
);

/// Kernels whose ext4 does not tag what it writes back: all there are.
pub(super) const EXT4_UNTAGGED: &[ByDesign] = &all(
    [
        "7.2",
        "7.2+v4",
        "7.2+was-empty",
        "7.2+llist",
        "7.2+wq",
        "7.3",
    ],
    "its ext4 tags nothing: what overwrites ends in an interrupt, where no page is dropped",
);

/// Kernels whose worker another CPU takes over while its own goes down.
pub(super) const MOVED_WORKER: &[ByDesign] = &all(
    ["7.2+v4", "7.2+was-empty", "7.2+wq"],
    "while the CPU is on its way down the worker runs on another, where it takes that CPU's list",
);

/// Kernels that queue their worker for every bio.
pub(super) const QUEUES_EACH: &[ByDesign] =
    &all(["7.2+v4", "7.2+wq"], "it queues its worker for every bio");
