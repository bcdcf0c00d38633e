// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 4: with `threadirqs` interrupt handlers are tasks, and completions come
//! in one that may not sleep: interrupts or softirqs are off around the handler
//! (kernel/irq/manage.c, irq_forced_thread_fn()).

use super::contexts::{Context, meaning, report, settle};
use super::{Bench, Stop};
use crate::guest::disk::Affinity;
use crate::guest::probe::Summary;

/// What a failure says of the kernel.
const GATE: &str = "the kernel takes a handler's task, which may not sleep, for one \
    that may, as a gate that asks in_task() does";

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    bench.prepare(Affinity::Group)?;
    let mut total = Summary::default();
    let outcome = settle(bench, Context::AtomicTask, &mut total);
    report(bench, &total, Context::AtomicTask);
    meaning(outcome, GATE)
}
