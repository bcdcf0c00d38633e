// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! With `nvme.use_threaded_interrupts=1` completions are handled in a task that
//! may be preempted and may sleep: nothing is gained by deferring a tagged bio,
//! which ends there.

use super::{Bench, Stop, fail};
use crate::guest::disk::Affinity;
use crate::guest::probe::{CALLS, Run, TAGGED};
use irqstorm_agent::protocol::figures;

const BIOS: u64 = 5_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare(Affinity::Interrupted)?;
    let mut run = Run::new(&disk, bench.param("bios", BIOS)?);
    run.tag_every = 1;
    run.flags = CALLS;
    let summary = bench.run(&mut run)?;
    let ended = summary.ended[TAGGED];
    let sleepable = summary.endio_task[TAGGED] - summary.endio_task_atomic[TAGGED];
    bench.figure(figures::TAGGED, ended);
    bench.figure(figures::TAGGED_IN_TASK, summary.end_task[TAGGED]);
    bench.figure("tagged bios completed in a task that may sleep", sleepable);
    bench.report_worker(&summary);
    if sleepable != ended {
        return fail(format!(
            "the run was to complete bios in tasks that may sleep, and {sleepable} of {ended} were: \
             {} came in hardirq, {} in softirq, {} in atomic task context",
            summary.endio_hardirq[TAGGED],
            summary.endio_softirq[TAGGED],
            summary.endio_task_atomic[TAGGED]
        ));
    }
    if summary.worker_bios > 0 || summary.queue_calls > 0 {
        return fail(format!(
            "{} of {ended} tagged bios were deferred although they could end where they were",
            summary.worker_bios.max(summary.queue_calls)
        ));
    }
    Ok(())
}
