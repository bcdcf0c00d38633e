// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 29: interrupts with nothing behind them, below the line at which the
//! kernel gives an interrupt up, while I/O runs: every request ends, and the
//! interrupt lives. "nobody cared" on the console is for the lab to see.

use std::time::{Duration, Instant};

use super::{Bench, Stop, fail};
use crate::guest::disk::{self, BLOCK, DirectBuffer};

const STORM: &str = "\
latency = { fixed = '50us' }
[[storm]]
rate = '5kHz'
";

/// How long the storm lasts at least: with I/O alone it would be over at once.
const SECONDS: u64 = 6;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.disk()?;
    let lasts = Duration::from_secs(bench.param("seconds", SECONDS)?);
    let file = disk::open_direct(&disk).map_err(|e| format!("open {}: {e}", disk.name))?;
    let mut buffer = DirectBuffer::new(BLOCK);
    let blocks = (disk.sectors * 512 / BLOCK as u64).max(1);
    bench.scenario(STORM)?;
    let before = bench.count_interrupts()?;
    let start = Instant::now();
    let mut reads = 0;
    while start.elapsed() < lasts {
        let block = (reads * 7919 + bench.seed % 1000) % blocks;
        disk::read_block(&file, &mut buffer, block).map_err(|e| format!("read: {e}"))?;
        reads += 1;
    }
    bench.device()?.storm(false)?;
    bench.figure("reads under the storm", reads);
    let spurious = bench.count_interrupts()?.spurious_since(&before);
    let delivered = bench.interrupts_since(&before)?;
    if spurious == 0 {
        return fail("the device wrote no spurious interrupt: there was no storm");
    }
    if delivered <= reads {
        return fail(format!(
            "{delivered} interrupts came for {reads} reads: none of the storm's {spurious} arrived"
        ));
    }
    // The storm is over: the queue must still be alive.
    for block in 0..100.min(blocks) {
        disk::read_block(&file, &mut buffer, block).map_err(|e| format!("read afterwards: {e}"))?;
    }
    Ok(())
}
