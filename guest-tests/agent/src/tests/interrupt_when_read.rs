// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! No interrupt before the driver has read what the last one told it of: what
//! completes while the handler is at work is found by it, or has an interrupt of
//! its own once the handler has said how far it read. Between its last look and
//! that word lies the moment that matters: what becomes visible in it is found
//! by nobody unless the device asks again, or the driver comes with a request.
//!
//! So bios come four at a time, each four when those before have ended, and
//! complete at any times about each other: the last of them meets that moment
//! now and then, with nothing behind it. Each has to end within seconds: NVMe's
//! timeout, which would find what was lost, is 30.

use super::{Bench, Stop, fail};
use crate::guest::probe::{BURSTS, Run};

const WHEN_READ: &str = "\
latency = { uniform = { min = '0us', max = '300us' } }
interrupt = 'when-read'
";

const BIOS: u64 = 20_000;

const PATIENCE_MS: u32 = 10_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    bench.scenario(WHEN_READ)?;
    let before = bench.device()?.status()?.total;
    let interrupts = bench.count_interrupts()?;
    let mut run = Run::new(&disk, bench.param("bios", BIOS)?);
    run.depth = 4;
    run.flags = BURSTS;
    run.timeout_ms = PATIENCE_MS;
    bench.run(&mut run)?;
    let device = bench.device()?.status()?.total.since(&before);
    bench.figure("requests completed", device.completed);
    bench.interrupts_since(&interrupts)?;
    if device.signalled >= device.completed {
        return fail(format!(
            "{} interrupts were written for {} completions: none has waited for the driver",
            device.signalled, device.completed
        ));
    }
    Ok(())
}
