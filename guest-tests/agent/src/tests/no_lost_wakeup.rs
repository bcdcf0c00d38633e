// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 10: whoever defers a bio while the worker is on its way out still has it
//! ended, with nothing coming after it that would bring the worker.
//!
//! First the device: two bios in flight, and a bi_end_io that sleeps, so that
//! the second completes at any time of the worker's run. Then each instruction
//! of the worker, with an interrupt behind it that defers the last bio. Then
//! each instruction of the function in which a preemptible caller defers, with
//! the worker let in: it ends an earlier bio there, and the caller goes on with
//! what it has seen before.

use super::bench::tagged_in_task;
use super::sweep::{self, PATIENCE_MS, Sweep};
use super::{Bench, Stop, fail};
use crate::guest::deferral::Between;
use crate::guest::probe::Run;

/// Through the device; each costs a sleep.
const BIOS: u64 = 400;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    bench.progress("two bios at a time, the device's interrupts");
    bench.scenario(
        "latency = { uniform = { min = '0us', max = '1ms' } }\ninterrupt = 'per-completion'",
    )?;
    let mut run = Run::new(&disk, bench.param("bios", BIOS)?);
    run.tag_every = 1;
    run.depth = 2;
    run.end_io_sleep_us = 300;
    run.timeout_ms = PATIENCE_MS;
    let summary = bench.run(&mut run)?;
    tagged_in_task(&summary)?;

    let worker = swept(bench, Between::InterruptWorker, "the worker")?;
    if worker.windows == 0 {
        return fail("no instruction of the worker could be stopped at");
    }
    // Without preemptible callers there is nothing to be seen here.
    swept(bench, Between::PreemptCaller, "the caller")?;
    Ok(())
}

fn swept(bench: &mut Bench, between: Between, whose: &str) -> Result<Sweep, Stop> {
    bench.progress(format!("each instruction of {whose}"));
    let sweep = sweep::each_instruction(bench, between)?;
    bench.figure(&format!("instructions of {whose} met"), sweep.windows);
    bench.figure(
        &format!("bios deferred at instructions of {whose}"),
        sweep.deferred,
    );
    match sweep.lost_at {
        Some(offset) => fail(format!(
            "a bio deferred at instruction +{offset:#x} of {whose} did not end within \
             {PATIENCE_MS} ms"
        )),
        None => Ok(sweep),
    }
}
