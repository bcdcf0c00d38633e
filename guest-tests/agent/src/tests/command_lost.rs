// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A command that the device has lost. At its timeout NVMe's driver has the
//! controller abort it, which does not know it, and at the next resets the
//! controller (drivers/nvme/host/pci.c, nvme_timeout()). The queue is deleted on
//! the way, for which the device gives up what it keeps: the read ends, and
//! nothing is left of before.

use super::held::{let_go, wait_for_held};
use super::sides::{self, wait_until};
use super::timeout::Timeout;
use super::{Bench, Stop, fail};
use crate::guest::disk::Affinity;
use crate::guest::kmsg::KernelLog;
use crate::guest::queue::PendingRead;

/// A device that completes nothing, and of whose commands none can be aborted.
const LOSES: &str = "fault = { lost = {} }";

/// What the driver says, in turn.
const SAYS: [&str; 2] = ["timeout, aborting", "timeout, reset controller"];

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare(Affinity::Group)?;
    let queue = sides::open(bench, 0)?;
    let timeout = Timeout::shorten(&disk)?;
    let mut log = KernelLog::follow()?;
    bench.scenario(LOSES)?;
    let read = queue.start_read(0);
    let given_up = give_up(bench, &mut log, &read);
    let held = bench.device()?.held()?;
    // Whatever came of it, the read ends.
    bench.scenario("")?;
    let_go(bench)?;
    given_up?;
    sides::end(read)?;
    drop(timeout);
    match held {
        0 => Ok(()),
        held => fail(format!("the read ended and the device has {held} commands")),
    }
}

/// Waits until the driver has given the read up and it has ended.
fn give_up(bench: &mut Bench, log: &mut KernelLog, read: &PendingRead) -> Result<(), Stop> {
    wait_for_held(bench, 1)?;
    for said in SAYS {
        bench.progress(format!("waits for {said:?}"));
        wait_until("the driver to give the command up", || Ok(log.has(said)?))?;
    }
    // What is submitted after the reset is not lost again.
    bench.scenario("")?;
    wait_until("the read to end with the reset", || Ok(read.is_done()))
}
