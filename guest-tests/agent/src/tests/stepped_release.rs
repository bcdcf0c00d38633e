// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Completions that are held and let go by the guest, one step at a time.
//!
//! Of a few held requests one is released: precisely one completion, one
//! interrupt, one delivery, and the read that it belongs to ends, no other;
//! then the next, from the oldest on, and in another round from the newest.
//! Then completion and interrupt apart: the completions of all become visible,
//! nothing is written, delivered or ended; one interrupt for all of them is
//! let go, and all end.

use std::sync::Arc;

use irqstorm_core::control::{Part, Selection};

use super::sides::{self, Change};
use super::{Bench, Stop, fail};
use crate::guest::queue::{PendingRead, Queue};

const HOLD: &str = "hold = true";

const READS: u64 = 4;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let queue = sides::open(bench, 0)?;
    bench.scenario(HOLD)?;
    let mut all = Change::default();
    for newest in [false, true] {
        all.add(&one_by_one(bench, &queue, newest)?);
    }
    all.add(&apart(bench, &queue)?);
    all.report(bench);
    bench.figure("reads released one by one", 2 * READS);
    bench.figure("reads released with the interrupt apart", READS);
    Ok(())
}

/// Submits reads one after the other, so that their order is known, each of
/// which the device then holds.
fn submit(bench: &mut Bench, queue: &Arc<Queue>) -> Result<Vec<PendingRead>, Stop> {
    let mut reads = Vec::new();
    for n in 0..READS {
        reads.push(queue.start_read(n));
        sides::wait_until("a request to be held", || {
            Ok(bench.device()?.held()? == n + 1)
        })?;
    }
    Ok(reads)
}

fn one_by_one(bench: &mut Bench, queue: &Arc<Queue>, newest: bool) -> Result<Change, Stop> {
    let begin = sides::look_rested(bench, queue)?;
    let mut reads = submit(bench, queue)?;
    let untouched = sides::since(bench, queue, &begin)?;
    sides::exactly("completions while held", untouched.device.completed, 0)?;
    sides::exactly("deliveries while held", untouched.delivered, 0)?;
    while !reads.is_empty() {
        let before = sides::look(bench, queue)?;
        let released = bench.device()?.release(Selection {
            count: Some(1),
            newest,
            ..Selection::default()
        })?;
        sides::exactly("requests released", released, 1)?;
        let turn = if newest { reads.len() - 1 } else { 0 };
        sides::end(reads.remove(turn))?;
        let step = sides::since(bench, queue, &before)?;
        sides::exactly("completions of a release", step.device.completed, 1)?;
        sides::exactly("interrupts of a release", step.device.written(), 1)?;
        sides::exactly("deliveries of a release", step.delivered, 1)?;
        if reads.iter().any(PendingRead::is_done) {
            return fail("a read ended whose completion is held");
        }
    }
    sides::since(bench, queue, &begin)
}

fn apart(bench: &mut Bench, queue: &Arc<Queue>) -> Result<Change, Stop> {
    let begin = sides::look_rested(bench, queue)?;
    let reads = submit(bench, queue)?;
    let released = bench.device()?.release(part(Part::Completion))?;
    sides::exactly("completions released", released, READS)?;
    let visible = sides::since(bench, queue, &begin)?;
    sides::exactly("completions", visible.device.completed, READS)?;
    sides::exactly("interrupts written", visible.device.written(), 0)?;
    sides::exactly("interrupts delivered", visible.delivered, 0)?;
    if reads.iter().any(PendingRead::is_done) {
        return fail("a read ended without an interrupt");
    }
    let released = bench.device()?.release(part(Part::Interrupt))?;
    sides::exactly("completions whose interrupt was released", released, READS)?;
    reads.into_iter().try_for_each(sides::end)?;
    let change = sides::since(bench, queue, &begin)?;
    sides::exactly("interrupts written", change.device.written(), 1)?;
    sides::exactly("interrupts delivered", change.delivered, 1)?;
    sides::exactly("of these unclaimed", change.unclaimed, 0)?;
    Ok(change)
}

fn part(part: Part) -> Selection {
    Selection {
        part,
        ..Selection::default()
    }
}
