// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 18, what is asserted of it: with many completions to an interrupt, the
//! worker is queued at most once for each interrupt, and runs at most as often.
//! An interrupt adds all of its bios before the worker can take any, so only
//! its first can find the list empty. The calls are counted where they are
//! made: those for a work that is pending already are in no tracepoint.

use super::bench::{coalesced, precise, ratio, tagged_in_task};
use super::{Bench, Stop, fail};
use crate::guest::probe::{CALLS, Run, TAGGED};

const BIOS: u64 = 6_000;

/// Completions to an interrupt.
const BATCH: u32 = 32;

/// With fewer, the two designs could not be told apart.
const LEAST_BATCH: u64 = 4;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    bench.scenario(&coalesced(BATCH, "5ms"))?;
    let before = bench.count_interrupts()?;
    let mut run = Run::new(&disk, bench.param("bios", BIOS)?);
    run.tag_every = 1;
    run.depth = BATCH;
    run.flags = CALLS;
    let summary = bench.run(&mut run)?;
    let interrupts = bench.interrupts_since(&before)?;
    let bios = summary.ended[TAGGED];
    let calls = summary.queue_calls;
    let runs = summary.worker_runs;
    bench.report_worker(&summary);
    bench.measure("calls that queue the worker", precise(calls), "");
    bench.measure("such calls per bio", ratio(calls, bios), "");
    bench.measure("bios per interrupt", ratio(bios, interrupts), "");
    tagged_in_task(&summary)?;
    if bios < interrupts * LEAST_BATCH {
        return fail(format!(
            "{bios} bios came with {interrupts} interrupts, and {BATCH} were to come with each"
        ));
    }
    if calls == 0 {
        return fail("no call was seen to queue the worker");
    }
    if calls > interrupts {
        return fail(format!(
            "{calls} calls queued the worker for {bios} bios of {interrupts} interrupts"
        ));
    }
    if runs > interrupts {
        return fail(format!(
            "the worker ran {runs} times for {bios} bios of {interrupts} interrupts"
        ));
    }
    Ok(())
}
