// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 3: with fewer queues than CPUs a completion interrupt comes on another
//! CPU than submitted, and an IPI takes the completion back, into softirq.
//! There the bio is deferred, and there it ends.
//!
//! One CPU submits at a time. The interrupts of its queue come on one of the
//! CPUs that share it: on that one completions stay in hardirq, on the others
//! they are brought by IPI (blk-mq.c, blk_mq_complete_request_remote(): with
//! more than one queue nothing else makes a softirq of them).

use super::bench::tagged_in_task;
use super::contexts::{Context, add, completed_in, deferred_where_completed, report};
use super::{Bench, Stop, fail, skip};
use crate::guest::cpu;
use crate::guest::disk::Affinity;
use crate::guest::probe::{Run, Summary, TAGGED};

/// Bios of each CPU.
const BIOS: u64 = 1_500;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    if cpu::kernel_is_rt() {
        return skip("PREEMPT_RT completes in the handler's task, and sends no IPI");
    }
    let disk = bench.prepare(Affinity::Submitter)?;
    if disk.queues < 2 || disk.queues >= bench.cpus() {
        return fail(format!(
            "{} has {} queues for {} CPUs: completions come by IPI only with two queues or more, \
             and fewer than CPUs",
            disk.name,
            disk.queues,
            bench.cpus()
        ));
    }
    let (mut by_ipi, mut total) = (0, Summary::default());
    for cpu in 0..bench.cpus() {
        bench.progress(format!("bios of CPU {cpu}"));
        let mut run = Run::new(&disk, bench.param("bios", BIOS)?);
        run.tag_every = 1;
        run.cpus = 1 << cpu;
        let summary = bench.run(&mut run)?;
        tagged_in_task(&summary)?;
        on_its_own_cpu(&summary)?;
        if Context::Hardirq.count(&summary, TAGGED) == 0 {
            completed_in(&summary, TAGGED, Context::Softirq)?;
            add(&mut total, &summary);
            by_ipi += 1;
        }
    }
    report(bench, &total, Context::Softirq);
    bench.figure("CPUs whose completions came by IPI", by_ipi);
    if by_ipi == 0 {
        return fail("no CPU's completions came by IPI alone: the claim was not put to the test");
    }
    Ok(())
}

fn on_its_own_cpu(summary: &Summary) -> Result<(), Stop> {
    if summary.endio_away[TAGGED] > 0 {
        return fail(format!(
            "the run was to complete bios on the submitter's CPU, and {} of {} were not",
            summary.endio_away[TAGGED], summary.ended[TAGGED]
        ));
    }
    deferred_where_completed(summary)
}
