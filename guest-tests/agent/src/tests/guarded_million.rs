// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 29 in bulk: more than a million interrupts with nothing behind them on
//! each queue, at whatever rate they can be written, and every queue lives. At
//! a steady 300 a second that is an hour.
//!
//! One queue has I/O, which makes it easy: the kernel gives an interrupt up
//! when of 100,000 no more than a hundred were claimed. The others have none,
//! so that only the guard's pauses keep them: there, what arrives in between
//! is unclaimed to the last. The test goes on until more than the kernel's
//! 100,000 have arrived on each of these as well, since it is those that the
//! kernel counts. How many arrive hangs on the machine: written ones merge, and
//! under emulation most of them do. Both are reported.

use std::sync::Arc;

use super::sides;
use super::{Bench, Stop, fail};
use crate::guest::queue::Queue;
use irqstorm_agent::protocol::figures;

/// Written on each queue.
const WRITTEN: u64 = 1_000_000;

/// Delivered on each queue without I/O: more than the kernel looks at at a time
/// (kernel/irq/spurious.c).
const DELIVERED: u64 = 110_000;

const STORM: &str = "\
latency = { fixed = '50us' }
[[storm]]
rate = '100kHz'
burst = 20
";

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.disk()?;
    let mut queues = Vec::new();
    for id in 0..disk.queues {
        let id = u16::try_from(id).map_err(|e| format!("number the queues: {e}"))?;
        queues.push(sides::open(bench, id)?);
    }
    let Some((busy, idle)) = queues.split_first() else {
        return fail("the disk has no queue");
    };
    busy.pin().map_err(|e| format!("go back to queue 0: {e}"))?;
    bench.scenario(STORM)?;
    let mut begin = Vec::new();
    for queue in &queues {
        begin.push(sides::look(bench, queue)?);
    }
    let pauses = bench.device()?.status()?.guard_pauses;
    let mut reads = 0u64;
    loop {
        for _ in 0..100 {
            busy.read(reads).map_err(|e| format!("read: {e}"))?;
            reads += 1;
        }
        let (mut least_written, mut least_delivered) = (u64::MAX, u64::MAX);
        for (queue, begin) in queues.iter().zip(&begin) {
            let written = sides::written(bench, queue)?.since(&begin.written).spurious;
            least_written = least_written.min(written);
        }
        for (queue, begin) in idle.iter().zip(begin.iter().skip(1)) {
            let delivered = sides::delivered(queue)?.saturating_sub(begin.delivered);
            least_delivered = least_delivered.min(delivered);
        }
        bench.progress(format!(
            "{least_written} written and {least_delivered} delivered"
        ));
        if least_written > WRITTEN && least_delivered > DELIVERED {
            break;
        }
    }
    bench.device()?.storm(false)?;
    let (mut written, mut delivered) = (0, 0);
    for (queue, begin) in queues.iter().zip(&begin) {
        let change = sides::since(bench, queue, begin)?;
        change.agree()?;
        written += change.device.spurious;
        delivered += change.delivered;
        let name = &queue.interrupt;
        bench.figure(&format!("{name}: written"), change.device.spurious);
        bench.figure(&format!("{name}: delivered"), change.delivered);
    }
    let pauses = bench.device()?.status()?.guard_pauses - pauses;
    bench.figure(figures::SPURIOUS, written);
    bench.figure(figures::DELIVERED, delivered);
    bench.figure("reads meanwhile", reads);
    bench.figure("pauses of the guard", pauses);
    queues.iter().try_for_each(lives)
}

/// Reads through a queue; its last interrupt may have been one of the storm's.
fn lives(queue: &Arc<Queue>) -> Result<(), Stop> {
    for n in 0..20 {
        sides::end(queue.start_read(n))?;
    }
    Ok(())
}
