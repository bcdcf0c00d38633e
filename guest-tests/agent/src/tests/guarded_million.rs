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
//! kernel counts. "nobody cared" ends it at once. How many arrive hangs on the machine: written ones merge, and
//! under emulation most of them do. Both are reported.

use std::sync::Arc;

use super::sides::{self, Sides};
use super::{Bench, Stop, fail};
use crate::guest::kmsg::KernelLog;
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
    let busy = queues
        .first()
        .ok_or_else(|| "the disk has no queue".to_owned())?;
    busy.pin().map_err(|e| format!("go back to queue 0: {e}"))?;
    let log = KernelLog::follow()?;
    bench.scenario(STORM)?;
    let mut begin = Vec::new();
    for queue in &queues {
        begin.push(sides::look(bench, queue)?);
    }
    let pauses = bench.device()?.status()?.guard_pauses;
    let reads = read_under_storm(bench, &queues, &begin, log)?;
    bench.device()?.storm(false)?;
    let pauses = bench.device()?.status()?.guard_pauses - pauses;
    report(bench, &queues, &begin)?;
    bench.figure("reads meanwhile", reads);
    bench.figure("pauses of the guard", pauses);
    queues.iter().try_for_each(lives)
}

/// Reads through the first queue until enough has come on each; how often.
fn read_under_storm(
    bench: &mut Bench,
    queues: &[Arc<Queue>],
    begin: &[Sides],
    mut log: KernelLog,
) -> Result<u64, Stop> {
    let mut reads = 0u64;
    loop {
        for _ in 0..100 {
            // All but the first are left alone.
            if let Some(busy) = queues.first() {
                busy.read(reads).map_err(|e| format!("read: {e}"))?;
            }
            reads += 1;
        }
        if log.has("nobody cared")? {
            return fail("the kernel has given an interrupt up, in spite of the guard");
        }
        let (mut written, mut delivered) = (u64::MAX, u64::MAX);
        for (number, (queue, begin)) in queues.iter().zip(begin).enumerate() {
            let since = sides::written(bench, queue)?.since(&begin.written);
            written = written.min(since.spurious);
            if number > 0 {
                let since = sides::delivered(queue)?.saturating_sub(begin.delivered);
                delivered = delivered.min(since);
            }
        }
        bench.progress(format!("{written} written and {delivered} delivered"));
        if written > WRITTEN && delivered > DELIVERED {
            return Ok(reads);
        }
    }
}

/// Both sides of each queue, and their sums.
fn report(bench: &mut Bench, queues: &[Arc<Queue>], begin: &[Sides]) -> Result<(), Stop> {
    let (mut written, mut delivered) = (0, 0);
    for (queue, begin) in queues.iter().zip(begin) {
        let change = sides::since(bench, queue, begin)?;
        change.agree()?;
        written += change.device.spurious;
        delivered += change.delivered;
        let name = &queue.interrupt;
        bench.figure(&format!("{name}: written"), change.device.spurious);
        bench.figure(&format!("{name}: delivered"), change.delivered);
    }
    bench.figure(figures::SPURIOUS, written);
    bench.figure(figures::DELIVERED, delivered);
    Ok(())
}

/// Reads through a queue; its last interrupt may have been one of the storm's.
fn lives(queue: &Arc<Queue>) -> Result<(), Stop> {
    for n in 0..20 {
        sides::end(queue.start_read(n))?;
    }
    Ok(())
}
