// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A completion that is visible and whose interrupt never comes. NVMe's driver
//! looks by itself when the request times out, says "completion polled", and
//! completes it in a task that holds a lock (drivers/nvme/host/pci.c,
//! nvme_timeout() and nvme_poll_irqdisable()): where a tagged bio may not end.
//!
//! That nothing else had the driver look is in the counts: the device has
//! written no interrupt, and none was delivered.

use super::bench::tagged_in_task;
use super::sides;
use super::timeout::Timeout;
use super::{Bench, Stop, contexts, fail};
use crate::guest::kmsg::KernelLog;
use crate::guest::probe::{Run, Summary, TAGGED};
use irqstorm_agent::protocol::{Disk, figures};

const SILENT: &str = "interrupt = { never = { recovered_by = 'polling' } }";

const SAYS: &str = "completion polled";

const BIOS: u64 = 4;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let timeout = Timeout::shorten(&disk)?;
    bench.scenario(SILENT)?;
    let mut total = Summary::default();
    for n in 0..BIOS {
        bench.progress(format!("bio {n} waits for its timeout"));
        let summary = one_bio(bench, &disk)?;
        contexts::add(&mut total, &summary);
    }
    bench.scenario("")?;
    drop(timeout);
    bench.figure(figures::TAGGED, total.ended[TAGGED]);
    bench.figure(figures::TAGGED_IN_TASK, total.end_task[TAGGED]);
    tagged_in_task(&total)
}

/// A bio that ends although no interrupt says so.
fn one_bio(bench: &mut Bench, disk: &Disk) -> Result<Summary, Stop> {
    let mut log = KernelLog::follow()?;
    let before = bench.device()?.status()?.total;
    let delivered = sides::interrupts()?.of_disk_queues();
    let mut run = Run::new(disk, 1);
    run.tag_every = 1;
    let summary = bench.run(&mut run)?;
    let since = bench.device()?.status()?.total.since(&before);
    let delivered = sides::interrupts()?.of_disk_queues() - delivered;
    sides::exactly("completions", since.completed, 1)?;
    sides::exactly("interrupts written", since.written(), 0)?;
    sides::exactly("interrupts delivered", delivered, 0)?;
    match log.has(SAYS)? {
        true => Ok(summary),
        false => fail(format!("a bio ended and the driver did not say {SAYS:?}")),
    }
}
