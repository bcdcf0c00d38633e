// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! An interrupt that is written a while after its completion is visible: until
//! then nothing ends, since nobody has the driver look; then the handler finds
//! the completion and claims it.
//!
//! One interrupt is written for each read and one is delivered, never
//! unclaimed: a single one cannot merge. That the completion lay there is seen
//! between two answers of the device, both of which say that it is visible and
//! that no interrupt has been written: in between, the read has not ended and
//! /proc/interrupts has not moved.

use super::sides::{self, Change};
use super::{Bench, Stop};

const LATE: &str = "interrupt = { late = { by = '200ms' } }";

const READS: u64 = 4;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let queue = sides::open(bench, 0)?;
    bench.scenario(LATE)?;
    let mut all = Change::default();
    let what = "a visible completion that waits";
    let tries = sides::rounds(READS, what, |n| {
        let before = sides::look_rested(bench, &queue)?;
        let read = queue.start_read(n);
        sides::wait_for_device(bench, &queue, &before, "a completion", |d| d.completed == 1)?;
        let waits = !read.is_done() && sides::delivered(&queue)? == before.delivered;
        let silent = sides::written(bench, &queue)?.since(&before.written);
        sides::end(read)?;
        let change = sides::since(bench, &queue, &before)?;
        sides::exactly("interrupts for completions", change.device.signalled, 1)?;
        sides::exactly("interrupts delivered", change.delivered, 1)?;
        sides::exactly("of these unclaimed", change.unclaimed, 0)?;
        all.add(&change);
        Ok(waits && silent.written() == 0)
    })?;
    all.report(bench);
    bench.figure("completions seen to lie there", READS);
    bench.figure("reads", tries);
    Ok(())
}
