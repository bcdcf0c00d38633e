// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A command that the device keeps past its timeout. NVMe's driver has the
//! controller abort it (drivers/nvme/host/pci.c, nvme_timeout()), which ends it
//! with Command Abort Requested; the driver submits it again
//! (drivers/nvme/host/core.c, nvme_decide_disposition()), and there is no reset.

use super::held::{let_go, wait_for_held};
use super::sides::{self, wait_until};
use super::timeout::Timeout;
use super::{Bench, Stop};
use crate::guest::disk::Affinity;
use crate::guest::kmsg::KernelLog;

/// What the driver says of an abort that was carried out.
const SAYS: &str = "Abort status: 0x0";

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare(Affinity::Group)?;
    let queue = sides::open(bench, 0)?;
    let timeout = Timeout::shorten(&disk)?;
    let mut log = KernelLog::follow()?;
    let before = bench.device()?.status()?.total;
    bench.device()?.hold(true)?;
    let read = queue.start_read(0);
    let kept = wait_for_held(bench, 1);
    // What comes again is not kept again; what is kept stays.
    bench.device()?.hold(false)?;
    bench.progress(format!("waits for {SAYS:?}"));
    let aborted = kept
        .and_then(|()| wait_until("the driver to abort the command", || Ok(log.has(SAYS)?)))
        .and_then(|()| wait_until("the read to end once more", || Ok(read.is_done())));
    let held = bench.device()?.held()?;
    let since = bench.device()?.status()?.total.since(&before);
    // Whatever came of it, the read ends.
    let_go(bench)?;
    aborted?;
    sides::end(read)?;
    drop(timeout);
    sides::exactly("commands kept at the end", held, 0)?;
    sides::exactly("commands aborted", since.failed, 1)?;
    sides::exactly("commands given up by a reset", since.abandoned, 0)
}
