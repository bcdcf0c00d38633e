// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A controller that fails: it says so in CSTS.CFS and completes nothing any
//! more. NVMe's driver looks there when a command times out and resets the
//! controller, without an abort before (drivers/nvme/host/pci.c,
//! nvme_should_reset()); what was in flight is submitted again.

use irqstorm_core::control::FailReply;

use super::held::{let_go, wait_for_held};
use super::sides::{self, wait_until};
use super::timeout::Timeout;
use super::{Bench, Stop};
use crate::guest::disk::Affinity;
use crate::guest::kmsg::KernelLog;
use crate::guest::queue::PendingRead;

/// What the driver says.
const SAYS: &str = "controller is down; will reset";

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare(Affinity::Group)?;
    let queue = sides::open(bench, 0)?;
    let timeout = Timeout::shorten(&disk)?;
    let mut log = KernelLog::follow()?;
    let before = bench.device()?.status()?.total;
    bench.device()?.hold(true)?;
    let read = queue.start_read(0);
    let failed = wait_for_held(bench, 1).and_then(|()| fail_device(bench, &mut log, &read));
    let since = bench.device()?.status()?.total.since(&before);
    // Whatever came of it, the read ends.
    let_go(bench)?;
    let reply = failed?;
    sides::end(read)?;
    drop(timeout);
    sides::exactly("commands in flight at the failure", reply.requests, 1)?;
    sides::exactly("commands given up", since.abandoned, 1)?;
    sides::exactly("commands that ended with an error", since.failed, 0)
}

/// Has the device fail, and waits until the driver has got over it.
fn fail_device(
    bench: &mut Bench,
    log: &mut KernelLog,
    read: &PendingRead,
) -> Result<FailReply, Stop> {
    let reply = bench.device()?.fail()?;
    // What comes after the reset is not held again.
    bench.device()?.hold(false)?;
    bench.progress(format!("waits for {SAYS:?}"));
    wait_until("the driver to see the failure", || Ok(log.has(SAYS)?))?;
    wait_until("the read to end after the reset", || Ok(read.is_done()))?;
    Ok(reply)
}
