// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The interrupt of the configuration: delivered on a vector of its own,
//! always claimed, and of no consequence to the queues.
//!
//! Each is fired, and the next only when /proc/interrupts has counted it; then
//! a storm of them. As many are delivered as were written, or fewer in the
//! storm, since QEMU raises one for all messages that it has not read. More can
//! come where the device has to show another capacity for each (QEMU before
//! 10): after a second with an odd number of them it shows the right one
//! again, by an interrupt that nobody asked for. The kernel begins to count
//! unclaimed interrupts with the first of them, and here never does.
//!
//! Before anything is counted two are fired: QEMU, a slow one, may have some of
//! the queues' interrupts to deliver yet that were written before, and comes to
//! them no later than to these.

use std::time::{Duration, Instant};

use irqstorm_agent::interrupts::Unclaimed;
use irqstorm_core::control::Fire;

use super::sides;
use super::{Bench, Stop, fail};
use crate::guest::queue;

/// Even, so that a capacity that was changed is the right one at the end.
const SHOTS: u64 = 20;

const STORM: &str = "\
[[storm]]
config = true
rate = '20Hz'
";

/// Written by the storm before it ends.
const STORMED: u64 = 20;

/// Fired before those that count; even as well.
const FIRST_SHOTS: u64 = 2;

/// A disk that seems resized is itself again after a second.
const RESTORED: Duration = Duration::from_millis(900);

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.disk()?;
    let virtio = queue::device_name(&disk).map_err(|e| format!("find the disk's device: {e}"))?;
    let vector = Vector(format!("{virtio}-config"));
    bench.scenario("")?;
    shoot(bench, &vector, FIRST_SHOTS)?;
    let (queues, delivered) = (sides::interrupts()?.of_disk_queues(), vector.delivered()?);
    let begin = Instant::now();
    shoot(bench, &vector, SHOTS)?;
    let arrived = vector.delivered()? - delivered;
    let restored = begin.elapsed().as_millis() / RESTORED.as_millis();
    if u128::from(arrived) > u128::from(SHOTS) + restored {
        return fail(format!("{arrived} interrupts arrived for {SHOTS} shots"));
    }
    bench.figure("configuration interrupts fired", SHOTS);
    bench.figure("delivered of these", arrived);
    storm(bench, &vector)?;
    let unclaimed = vector.unclaimed()?;
    sides::exactly("unclaimed interrupts of the configuration", unclaimed, 0)?;
    let queues_now = sides::interrupts()?.of_disk_queues();
    sides::exactly("interrupts of queues meanwhile", queues_now - queues, 0)?;
    bench.figure("of all these unclaimed", unclaimed);
    Ok(())
}

/// Fires so many, each when the one before has arrived.
fn shoot(bench: &mut Bench, vector: &Vector, shots: u64) -> Result<(), Stop> {
    for shot in 1..=shots {
        let before = vector.delivered()?;
        let fired = bench.device()?.fire(Fire {
            config: true,
            ..Fire::default()
        })?;
        sides::exactly("interrupts fired", fired.fired, 1)?;
        sides::wait_until(&format!("shot {shot} of {shots} to arrive"), || {
            Ok(vector.delivered()? > before)
        })?;
    }
    Ok(())
}

/// Has the device storm the vector by itself.
fn storm(bench: &mut Bench, vector: &Vector) -> Result<(), Stop> {
    let before = (bench.device()?.status()?.config, vector.delivered()?);
    bench.scenario(STORM)?;
    sides::wait_until("the storm", || {
        let written = bench.device()?.status()?.config.signalled;
        Ok(written >= before.0.signalled + STORMED)
    })?;
    bench.device()?.storm(false)?;
    let config = bench.device()?.status()?.config;
    let written = config.signalled - before.0.signalled;
    sides::wait_until("the storm to arrive", || Ok(vector.delivered()? > before.1))?;
    bench.figure("configuration interrupts stormed", written);
    bench.figure("refused meanwhile", config.refused - before.0.refused);
    bench.figure("delivered of the storm", vector.delivered()? - before.1);
    Ok(())
}

/// The vector by its name in /proc/interrupts.
struct Vector(String);

impl Vector {
    fn delivered(&self) -> Result<u64, Stop> {
        Ok(sides::interrupts()?.of(&self.0))
    }

    fn unclaimed(&self) -> Result<u64, Stop> {
        let irq = sides::interrupts()?.number_of(&self.0);
        let irq = irq.ok_or_else(|| format!("there is no interrupt {}", self.0))?;
        let now = Unclaimed::now(irq).map_err(|e| format!("see what nobody claimed: {e}"))?;
        Ok(now.run + now.counted)
    }
}
