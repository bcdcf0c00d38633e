// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A completion that becomes visible and whose interrupt is lost: the request
//! hangs, for good as far as virtio_blk is concerned, and ends with the next
//! interrupt of its queue, whatever that is for. Here it is the device's
//! rescue.
//!
//! For each read the device counts an interrupt dropped and a rescue, and none
//! for the completion; the guest counts one delivery, which finds the
//! completion. No other interrupt comes near that queue meanwhile, so that the
//! counts alone tell what the read ended with.

use super::sides::{self, Change};
use super::{Bench, Stop};

const DROPPED: &str = "interrupt = { dropped = { rescue = '100ms' } }";

const READS: u64 = 8;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let queue = sides::open(bench, 0)?;
    bench.scenario(DROPPED)?;
    let mut all = Change::default();
    for n in 0..READS {
        let before = sides::look_rested(bench, &queue)?;
        queue.read(n).map_err(|e| format!("read: {e}"))?;
        let change = sides::since(bench, &queue, &before)?;
        let device = &change.device;
        sides::exactly("completions", device.completed, 1)?;
        sides::exactly("interrupts dropped", device.dropped, 1)?;
        sides::exactly("rescues", device.rescued, 1)?;
        sides::exactly("interrupts for completions", device.signalled, 0)?;
        sides::exactly("interrupts delivered", change.delivered, 1)?;
        sides::exactly("of these unclaimed", change.unclaimed, 0)?;
        all.add(&change);
    }
    all.report(bench);
    Ok(())
}
