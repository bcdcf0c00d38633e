// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 9: completions out of order under a storm, and every bio ends exactly
//! once, with its data where it belongs.

use super::bench::{precise, tagged_in_task};
use super::{Bench, Stop, fail};
use crate::guest::probe::{Run, Summary, VERIFY};

/// Enough to meet a window of a few hundred instructions many times;
/// `bios=1000000` for a night.
const BIOS: u64 = 100_000;

const SHUFFLED_STORM: &str = "\
latency = { uniform = { min = '0us', max = '400us' } }
interrupt = 'per-completion'
[[storm]]
rate = '4kHz'
burst = 2
duty = '50%'
period = '20ms'
";

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let bios = bench.param("bios", BIOS)?;
    bench.scenario(SHUFFLED_STORM)?;
    let before = bench.count_interrupts()?;
    let mut run = Run::new(&disk, bios / 2);
    run.flags = VERIFY;
    run.tag_every = 2;
    run.depth = 64;
    // Written before it is read, all of it.
    run.span_sectors = (bios / 2 * 8).min(run.span_sectors);
    // The pattern takes the low half: enough for a pattern.
    run.seed = u32::try_from(bench.seed & 0xffff_ffff).unwrap_or(0);
    run.op = 1;
    bench.progress(format!("writing {} bios", bios / 2));
    let written = bench.run(&mut run)?;
    run.op = 0;
    bench.progress(format!("reading {} bios back", bios / 2));
    let read = bench.run(&mut run)?;
    bench.interrupts_since(&before)?;
    report(bench, &written, &read);
    tagged_in_task(&written)?;
    tagged_in_task(&read)?;
    if read.bad_sectors > 0 {
        return fail(format!(
            "{} sectors read back differently",
            read.bad_sectors
        ));
    }
    Ok(())
}

fn report(bench: &mut Bench, written: &Summary, read: &Summary) {
    let both = |pick: fn(&Summary) -> u64| pick(written) + pick(read);
    bench.figure("bios ended exactly once", both(|s| s.ended[0] + s.ended[1]));
    bench.figure("of these deferred", both(|s| s.worker_bios));
    let longest = written.latency_ns_max.max(read.latency_ns_max);
    bench.measure("longest deferral", precise(longest) / 1e6, "ms");
}
