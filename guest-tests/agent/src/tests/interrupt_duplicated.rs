// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! An interrupt that comes several times: the first finds the completion, and
//! the others find nothing (IRQ_NONE).
//!
//! With a gap between them that is longer than one takes to be handled, all
//! arrive: as many are delivered as were written, and all but one are
//! unclaimed. A machine that is busy for longer than the gap merges two of
//! them, which is why not every round has to show all; never does more arrive
//! than was written. Back to back they merge for certain as long as nobody
//! takes the first, so that of four written one to four are delivered: this is
//! what merging looks like, and is reported.

use super::sides::{self, Change};
use super::{Bench, Stop, fail};

const MORE: u64 = 3;

const SPACED: &str = "interrupt = { duplicated = { count = 3, gap = '30ms' } }";
const BACK_TO_BACK: &str = "interrupt = { duplicated = { count = 3 } }";

const READS: u64 = 4;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let queue = sides::open(bench, 0)?;
    bench.scenario(SPACED)?;
    let mut all = Change::default();
    let what = "every duplicate delivered";
    let tries = sides::rounds(READS, what, |n| {
        let change = one_read(bench, &queue, n)?;
        all.add(&change);
        Ok(change.delivered == 1 + MORE && change.unclaimed == MORE)
    })?;
    all.report(bench);
    bench.figure("reads with every duplicate delivered", READS);
    bench.figure("reads", tries);
    bench.scenario(BACK_TO_BACK)?;
    let mut merged = Change::default();
    for n in 0..READS {
        merged.add(&one_read(bench, &queue, n)?);
    }
    bench.figure("written back to back", merged.device.written());
    bench.figure("delivered of these", merged.delivered);
    Ok(())
}

/// One read and its four interrupts.
fn one_read(bench: &mut Bench, queue: &crate::guest::queue::Queue, n: u64) -> Result<Change, Stop> {
    let before = sides::look_rested(bench, queue)?;
    queue.read(n).map_err(|e| format!("read: {e}"))?;
    let all = |d: &irqstorm_core::counters::Counters| d.duplicated == MORE;
    sides::wait_for_device(bench, queue, &before, "the duplicates", all)?;
    let change = sides::since(bench, queue, &before)?;
    change.agree()?;
    sides::exactly("interrupts for completions", change.device.signalled, 1)?;
    if change.delivered == 0 {
        return fail("a read ended without an interrupt");
    }
    Ok(change)
}
