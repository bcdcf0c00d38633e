// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! An interrupt that is written ahead of its completion: it is delivered, the
//! handler finds the ring as it was and claims nothing (IRQ_NONE), and the
//! completion then lies there, visible, until another interrupt has the driver
//! look. virtio_blk looks at no clock: here that is the device's rescue.
//!
//! For each read the device counts an early interrupt, none for the completion
//! and a rescue, and the guest two deliveries, one of them unclaimed. Nothing
//! can merge: a fifth of a second is between the two. Did a read end with the
//! rescue? Then the device had written it when the read was back. On a machine
//! that takes longer than that fifth to deliver the first, the handler finds
//! the completion after all and the rescue finds nothing: the same counts, and
//! the read is back before the rescue. Such a round counts for nothing.

use super::sides::{self, Change};
use super::{Bench, Stop};

const EARLY: &str = "\
latency = { fixed = '200ms' }
interrupt = { early = { by = '200ms', rescue = '200ms' } }
";

const READS: u64 = 4;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let queue = sides::open(bench, 0)?;
    bench.scenario(EARLY)?;
    let mut all = Change::default();
    let what = "a read that ends with the rescue";
    let tries = sides::rounds(READS, what, |n| {
        let before = sides::look_rested(bench, &queue)?;
        queue.read(n).map_err(|e| format!("read: {e}"))?;
        let back = sides::written(bench, &queue)?;
        let rescued = back.rescued > before.written.rescued;
        sides::wait_for_device(bench, &queue, &before, "the rescue", |d| d.rescued == 1)?;
        let change = sides::since(bench, &queue, &before)?;
        let device = &change.device;
        sides::exactly("early interrupts written", device.early, 1)?;
        sides::exactly("interrupts for completions", device.signalled, 0)?;
        sides::exactly("interrupts delivered", change.delivered, 2)?;
        sides::exactly("of these unclaimed", change.unclaimed, 1)?;
        all.add(&change);
        Ok(rescued)
    })?;
    all.report(bench);
    bench.figure("reads that ended with the rescue", READS);
    bench.figure("reads", tries);
    Ok(())
}
