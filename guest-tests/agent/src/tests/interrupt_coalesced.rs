// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Several completions for one interrupt.
//!
//! By count: four requests are in flight, each from a thread of its own on one
//! CPU. Three of them are complete, and visible, and still nothing is written
//! and none ends; with the fourth one interrupt comes and all four end. Then
//! the count is turned to two while the scenario is in force. By time: what
//! completes within the time of the first shares its interrupt; how many that
//! are hangs on how fast the guest submits, so that some rounds may take two.
//!
//! Each interrupt finds completions, and the next is written only for requests
//! submitted later: as many are delivered as were written.

use std::sync::Arc;

use super::sides::{self, Change};
use super::{Bench, Stop, fail};
use crate::guest::queue::Queue;

const BY_COUNT: &str = "interrupt = { coalesced = { count = 4 } }";
const BY_TIME: &str = "interrupt = { coalesced = { time = '300ms' } }";

const ROUNDS: u64 = 3;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let queue = sides::open(bench, 0)?;
    let mut all = Change::default();
    bench.scenario(BY_COUNT)?;
    for _ in 0..ROUNDS {
        all.add(&by_count(bench, &queue, 4)?);
    }
    bench.device()?.set("interrupt.coalesced.count", 2.into())?;
    for _ in 0..ROUNDS {
        all.add(&by_count(bench, &queue, 2)?);
    }
    bench.scenario(BY_TIME)?;
    let what = "four completions for one interrupt";
    let tries = sides::rounds(ROUNDS, what, |_| {
        let before = sides::look_rested(bench, &queue)?;
        let reads: Vec<_> = (0..4).map(|n| queue.start_read(n)).collect();
        reads.into_iter().try_for_each(sides::end)?;
        let change = sides::since(bench, &queue, &before)?;
        as_many_as_written(&change)?;
        all.add(&change);
        Ok(change.delivered == 1)
    })?;
    all.report(bench);
    bench.figure("rounds by count with one interrupt", 2 * ROUNDS);
    bench.figure("rounds by time with one interrupt", ROUNDS);
    bench.figure("rounds by time", tries);
    Ok(())
}

/// So many reads, of which the last brings the interrupt of all.
fn by_count(bench: &mut Bench, queue: &Arc<Queue>, count: u64) -> Result<Change, Stop> {
    let before = sides::look_rested(bench, queue)?;
    let mut reads: Vec<_> = (1..count).map(|n| queue.start_read(n)).collect();
    let all_but_one = |d: &irqstorm_core::counters::Counters| d.completed == count - 1;
    sides::wait_for_device(bench, queue, &before, "completions", all_but_one)?;
    let waiting = sides::since(bench, queue, &before)?;
    sides::exactly("interrupts written too soon", waiting.device.written(), 0)?;
    sides::exactly("interrupts delivered too soon", waiting.delivered, 0)?;
    if reads.iter().any(|read| read.is_done()) {
        return fail("a read ended before any interrupt was written");
    }
    reads.push(queue.start_read(0));
    reads.into_iter().try_for_each(sides::end)?;
    let change = sides::since(bench, queue, &before)?;
    as_many_as_written(&change)?;
    sides::exactly("interrupts delivered", change.delivered, 1)?;
    Ok(change)
}

fn as_many_as_written(change: &Change) -> Result<(), Stop> {
    let device = &change.device;
    sides::exactly("interrupts written", device.written(), device.signalled)?;
    sides::exactly("interrupts delivered", change.delivered, device.signalled)?;
    sides::exactly("of these unclaimed", change.unclaimed, 0)
}
