// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 5: with PREEMPT_RT interrupt handlers are tasks, and preemptible ones.
//! Completions come in them with softirqs off, within an RCU read-side section
//! (kernel/softirq.c, __local_bh_disable_ip()), and may not sleep: neither a
//! gate that asks in_task() nor one that asks preemptible() sees that.

use super::contexts::{Context, meaning, report, settle};
use super::{Bench, Stop, skip};
use crate::guest::cpu;
use crate::guest::disk::Affinity;
use crate::guest::probe::Summary;

const GATE: &str = "the kernel takes a handler's task, preemptible and within an RCU read-side \
    section, for one that may sleep, as a gate that asks in_task() or preemptible() does";

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    if !cpu::kernel_is_rt() {
        return skip("the kernel is built without PREEMPT_RT; KERNEL:rt has it");
    }
    bench.prepare(Affinity::Group)?;
    let mut total = Summary::default();
    let outcome = settle(bench, Context::AtomicTask, &mut total);
    report(bench, &total, Context::AtomicTask);
    meaning(outcome, GATE)
}
