// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One interrupt on every queue, written at one instant, as close together as
//! the device can: how close that is, it says itself (from the first write to
//! the last), and each queue's interrupt is delivered.
//!
//! A volley follows only when every queue has counted the one before, so that
//! nothing merges: as many are delivered on each queue as were written on it,
//! all of them unclaimed. With four queues: `irqstorm run --cpus 4`.

use irqstorm_core::units::Nanos;

use super::bench::precise;
use super::sides;
use super::{Bench, Stop, fail};
use crate::guest::queue::Queue;
use irqstorm_agent::protocol::figures;

const VOLLEYS: u64 = 300;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.disk()?;
    let ids = (0..disk.queues).filter_map(|id| u16::try_from(id).ok());
    let queues = ids
        .map(|id| Queue::open(&disk, id))
        .collect::<Result<Vec<Queue>, _>>()
        .map_err(|e| format!("open the queues: {e}"))?;
    bench.scenario("")?;
    let mut begin = Vec::new();
    for queue in &queues {
        begin.push(sides::look(bench, queue)?);
    }
    let mut skews = Vec::new();
    for _ in 0..bench.param("volleys", VOLLEYS)? {
        let before = sides::interrupts()?;
        let volley = bench.device()?.volley()?;
        sides::exactly(
            "queues of a volley",
            volley.queues.into(),
            disk.queues.into(),
        )?;
        skews.push(volley.skew);
        sides::wait_until("every queue's interrupt", || {
            let now = sides::interrupts()?;
            let came = |queue: &Queue| now.of(&queue.interrupt) > before.of(&queue.interrupt);
            Ok(queues.iter().all(came))
        })?;
    }
    let volleys = skews.len() as u64;
    let (mut delivered, mut written) = (0, 0);
    for (queue, begin) in queues.iter().zip(&begin) {
        let change = sides::since(bench, queue, begin)?;
        let what = format!("interrupts on {}", queue.interrupt);
        sides::exactly(&format!("{what} written"), change.device.spurious, volleys)?;
        sides::exactly(&format!("{what} delivered"), change.delivered, volleys)?;
        if change.unclaimed == 0 {
            return fail(format!("{what}: none was unclaimed"));
        }
        delivered += change.delivered;
        written += change.device.spurious;
    }
    bench.figure("queues", disk.queues.into());
    bench.figure("volleys", volleys);
    bench.figure(figures::SPURIOUS, written);
    bench.figure(figures::DELIVERED, delivered);
    report_skew(bench, skews);
    Ok(())
}

/// The device's own figure: what its writes take, one after the other.
fn report_skew(bench: &mut Bench, mut skews: Vec<Nanos>) {
    skews.sort_unstable();
    let at = |index: usize| skews.get(index).copied().unwrap_or_default();
    let last = skews.len().saturating_sub(1);
    let figures = [
        ("skew, least", at(0)),
        ("skew, median", at(last / 2)),
        ("skew, greatest", at(last)),
    ];
    for (name, skew) in figures {
        bench.measure(name, precise(skew.0) / 1e3, "us");
    }
}
