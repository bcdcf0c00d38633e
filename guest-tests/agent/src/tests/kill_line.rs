// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 30: unclaimed interrupts without a guard, until the kernel gives the
//! interrupt up: "nobody cared", which the lab requires of this test's console.
//!
//! What virtio_blk makes of it: the vector is not shared, so that nobody polls
//! it; there is no timeout. A request of that queue is taken by the device,
//! its completion becomes visible, its interrupt is written, as are others
//! after it, and none is delivered: it hangs for good. Other queues have their
//! own interrupts and live. NVMe's vectors are marked as shared, so that the
//! kernel polls one that it has given up, ten times a second: a request of that
//! queue ends then (kernel/irq/spurious.c, poll_spurious_irqs()). The guest is
//! of no use afterwards.
//!
//! The kernel gives up when of 100,000 interrupts more than 99,900 were
//! unclaimed, each no later than 100 ms after the one before: it is the
//! delivered ones that count. A machine that stalls for longer has the kernel
//! begin anew, so that the storm lasts as long as it takes. Under emulation on
//! two cores that both have other work, 10 to 40 kHz did alike, in 15 to 20 s;
//! the first judgement may fall into a count begun before, and the second is
//! another 100,000 away.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use irqstorm_core::control::Fire;
use irqstorm_core::filter::Choice;
use irqstorm_core::request::QueueId;

use super::sides;
use super::{Bench, Stop, fail};
use crate::guest::kmsg::KernelLog;
use crate::guest::queue::{Queue, is_nvme};
use irqstorm_agent::protocol::figures;

/// The queue that is given up.
const VICTIM: u16 = 1;

/// Between two looks at the kernel's log.
const POLL: Duration = Duration::from_millis(100);

/// The guard has forgotten the storm after this.
const GUARD: Duration = Duration::from_millis(200);

/// Fired at the dead interrupt, one by one.
const SHOTS: u64 = 20;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let victim = sides::open(bench, VICTIM)?;
    let survivor = sides::open(bench, 0)?;
    let rate = bench.param("rate", "40kHz".to_owned())?;
    let burst = bench.param("burst", 1)?;
    let limit = Duration::from_secs(bench.param("limit", 900)?);
    let mut log = KernelLog::follow()?;
    let before = sides::look(bench, &victim)?;
    bench.scenario(&format!(
        "[[storm]]\nqueues = {VICTIM}\nrate = '{rate}'\nburst = {burst}\ncross_kill_line = true"
    ))?;
    let begin = Instant::now();
    let given_up = format!("irq {}: nobody cared", victim.irq);
    while !log.has(&given_up)? {
        if begin.elapsed() > limit {
            let delivered = sides::since(bench, &victim, &before)?.delivered;
            return fail(format!(
                "the kernel has not said '{given_up}' within {} s: {delivered} were delivered",
                limit.as_secs()
            ));
        }
        thread::sleep(POLL);
        bench.progress("storming without the guard");
    }
    let seconds = begin.elapsed().as_secs_f64();
    bench.device()?.storm(false)?;
    let storm = sides::since(bench, &victim, &before)?;
    bench.measure("until the kernel gave up", seconds, "s");
    bench.figure(figures::SPURIOUS, storm.device.spurious);
    bench.figure(figures::DELIVERED, storm.delivered);
    match is_nvme(&bench.disk()?) {
        true => is_polled(bench, &victim)?,
        false => hangs(bench, &victim)?,
    }
    for n in 0..100 {
        survivor.read(n).map_err(|e| format!("read: {e}"))?;
    }
    bench.figure("reads of another queue afterwards", 100);
    Ok(())
}

/// Sees that requests of the queue end although no interrupt comes for them.
fn is_polled(bench: &mut Bench, victim: &Arc<Queue>) -> Result<(), Stop> {
    let before = sides::look(bench, victim)?;
    for n in 0..SHOTS {
        sides::end(victim.start_read(n))?;
    }
    let change = sides::since(bench, victim, &before)?;
    sides::exactly("interrupts delivered", change.delivered, 0)?;
    bench.figure("reads that ended with the kernel's polls", SHOTS);
    Ok(())
}

/// Sees that a request of the queue never ends, whatever is written for it.
fn hangs(bench: &mut Bench, victim: &Arc<Queue>) -> Result<(), Stop> {
    thread::sleep(GUARD);
    let before = sides::look(bench, victim)?;
    let read = victim.start_read(0);
    let signalled = "its completion and interrupt";
    sides::wait_for_device(bench, victim, &before, signalled, |d| {
        d.completed == 1 && d.signalled == 1
    })?;
    for _ in 0..SHOTS {
        bench.device()?.fire(Fire {
            queue: Choice::one(QueueId(VICTIM)),
            ..Fire::default()
        })?;
        thread::sleep(POLL);
    }
    let change = sides::since(bench, victim, &before)?;
    sides::exactly(
        "interrupts written for it",
        change.device.written(),
        1 + SHOTS,
    )?;
    sides::exactly("interrupts delivered", change.delivered, 0)?;
    if read.is_done() {
        return fail("a read of the queue that was given up has ended");
    }
    bench.figure("written for a read that hangs", change.device.written());
    bench.figure("delivered of these", change.delivered);
    Ok(())
}
