// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One queue's interrupts from both sides: what the device wrote, what
//! /proc/interrupts counted, and what no handler claimed.
//!
//! The sides agree like this. The device writes an eventfd; QEMU's main loop
//! reads it and injects one interrupt however often it was written by then
//! (with KVM's irqfd the kernel does the same); what comes while the handler
//! runs is one more run. So never more is delivered than was written, and with
//! one interrupt at a time, the next written only after the one before was
//! seen, precisely as many. The kernel counts an interrupt as unclaimed
//! (IRQ_NONE) if the handler found nothing in the ring.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use irqstorm_agent::interrupts::{Interrupts, Unclaimed};
use irqstorm_agent::protocol::figures;
use irqstorm_core::counters::Counters;

use super::{Bench, Stop, fail};
use crate::guest::queue::{PendingRead, Queue};

/// What has to come comes within this, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks.
const POLL: Duration = Duration::from_millis(2);

/// Longer than HZ/10, after which the kernel counts unclaimed interrupts anew.
const REST: Duration = Duration::from_millis(130);

/// One queue at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sides {
    pub(super) delivered: u64,
    unclaimed: Unclaimed,
    pub(super) written: Counters,
}

/// What came between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Interrupts in /proc/interrupts.
    pub(super) delivered: u64,
    /// Of these, the ones for which the handler found nothing.
    pub(super) unclaimed: u64,
    /// What the device counted.
    pub(super) device: Counters,
}

impl Change {
    /// Adds another round's.
    pub(super) fn add(&mut self, other: &Change) {
        self.delivered += other.delivered;
        self.unclaimed += other.unclaimed;
        self.device.add(&other.device);
    }

    /// Fails if more arrived than was written: then the sides are not about the
    /// same.
    pub(super) fn agree(&self) -> Result<(), Stop> {
        let written = self.device.written();
        if self.delivered > written {
            return fail(format!(
                "{} interrupts were delivered and only {written} written",
                self.delivered
            ));
        }
        Ok(())
    }

    /// Reports both sides: all kinds of interrupts that were written, and what
    /// came of them.
    pub(super) fn report(&self, bench: &mut Bench) {
        let device = &self.device;
        let kinds = [
            (figures::SIGNALLED, device.signalled),
            (figures::EARLY, device.early),
            (figures::DROPPED, device.dropped),
            (figures::RESCUED, device.rescued),
            (figures::DUPLICATED, device.duplicated),
            (figures::SPURIOUS, device.spurious),
        ];
        bench.figure("requests completed", device.completed);
        for (name, count) in kinds.into_iter().filter(|&(_, count)| count > 0) {
            bench.figure(name, count);
        }
        bench.figure(figures::DELIVERED, self.delivered);
        bench.figure(figures::UNCLAIMED, self.unclaimed);
    }
}

/// A queue of the disk by its number; the calling thread submits to it from now
/// on.
pub(super) fn open(bench: &Bench, id: u16) -> Result<Arc<Queue>, Stop> {
    let disk = bench.disk()?;
    let opened = Queue::open(&disk, id).and_then(|queue| {
        queue.pin()?;
        Ok(queue)
    });
    let queue = opened.map_err(|e| format!("open queue {id} of {}: {e}", disk.name))?;
    Ok(Arc::new(queue))
}

/// What the device counts of a queue.
pub(super) fn written(bench: &mut Bench, queue: &Queue) -> Result<Counters, Stop> {
    let status = bench.device()?.status()?;
    let counters = status.queues.get(usize::from(queue.id));
    Ok(counters.copied().unwrap_or_default())
}

/// Interrupts delivered on a queue.
pub(super) fn delivered(queue: &Queue) -> Result<u64, Stop> {
    Ok(interrupts()?.of(&queue.interrupt))
}

/// /proc/interrupts.
pub(super) fn interrupts() -> Result<Interrupts, Stop> {
    Interrupts::now().map_err(|e| Stop::Fail(format!("read /proc/interrupts: {e}")))
}

/// Both sides once all that was written before has arrived. An answer of the
/// device comes through QEMU's main loop like an interrupt, possibly ahead of
/// one in the same round of it: after the second answer there is none left.
pub(super) fn look(bench: &mut Bench, queue: &Queue) -> Result<Sides, Stop> {
    bench.device()?.status()?;
    let written = written(bench, queue)?;
    let unclaimed = Unclaimed::now(queue.irq);
    Ok(Sides {
        delivered: delivered(queue)?,
        unclaimed: unclaimed.map_err(|e| format!("see what nobody claimed: {e}"))?,
        written,
    })
}

/// The same before a round, with the kernel's count of unclaimed interrupts
/// about to begin anew.
pub(super) fn look_rested(bench: &mut Bench, queue: &Queue) -> Result<Sides, Stop> {
    thread::sleep(REST);
    look(bench, queue)
}

/// What came since an earlier look.
pub(super) fn since(bench: &mut Bench, queue: &Queue, before: &Sides) -> Result<Change, Stop> {
    let now = look(bench, queue)?;
    Ok(Change {
        delivered: now.delivered.saturating_sub(before.delivered),
        unclaimed: now.unclaimed.since(&before.unclaimed),
        device: now.written.since(&before.written),
    })
}

/// Waits until the device has counted this since an earlier look; `what` reads
/// after "waited for".
pub(super) fn wait_for_device(
    bench: &mut Bench,
    queue: &Queue,
    before: &Sides,
    what: &str,
    come: impl Fn(&Counters) -> bool,
) -> Result<(), Stop> {
    wait_until(what, || {
        Ok(come(&written(bench, queue)?.since(&before.written)))
    })
}

/// Waits until something has come, and fails if it does not.
pub(super) fn wait_until(
    what: &str,
    mut come: impl FnMut() -> Result<bool, Stop>,
) -> Result<(), Stop> {
    let deadline = Instant::now() + PATIENCE;
    while !come()? {
        if Instant::now() > deadline {
            return fail(format!(
                "waited {} s for {what} in vain",
                PATIENCE.as_secs()
            ));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// Waits for the end of a read and fails if there is none, or an error.
pub(super) fn end(read: PendingRead) -> Result<(), Stop> {
    wait_until("a read to end", || Ok(read.is_done()))?;
    read.result()
        .map_err(|e| Stop::Fail(format!("read the disk: {e}")))
}

/// Fails unless a count is what it has to be; `what` says of what.
pub(super) fn exactly(what: &str, found: u64, wanted: u64) -> Result<(), Stop> {
    match found == wanted {
        true => Ok(()),
        false => fail(format!("{what}: {found}, and {wanted} were to come")),
    }
}

/// Takes rounds until `wanted` of them have shown what they were to show: what
/// a round has to show in time may not be seen on a busy machine, while what it
/// counts has to be right in each. Fails if four times as many do not do.
pub(super) fn rounds(
    wanted: u64,
    what: &str,
    mut round: impl FnMut(u64) -> Result<bool, Stop>,
) -> Result<u64, Stop> {
    let mut shown = 0;
    for n in 0..wanted * 4 {
        shown += u64::from(round(n)?);
        if shown == wanted {
            return Ok(n + 1);
        }
    }
    fail(format!(
        "{shown} of {} rounds have shown {what}, and {wanted} were to",
        wanted * 4
    ))
}
