// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 1: tagged bios completed in hardirq end in preemptible task context,
//! where bi_end_io may take a mutex and sleep.

use super::bench::{completed_in_hardirq, tagged_in_task};
use super::{Bench, Stop, fail};
use crate::guest::probe::{Run, TAGGED};

const BIOS: u64 = 20_000;

/// Bios whose bi_end_io sleeps: each costs its worker that long.
const SLEEPERS: u64 = 500;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let before = bench.count_interrupts()?;
    let mut run = Run::new(&disk, bench.param("bios", BIOS)?);
    run.tag_every = 1;
    let summary = bench.run(&mut run)?;
    bench.report_contexts(&summary);
    bench.report_worker(&summary);
    bench.interrupts_since(&before)?;
    completed_in_hardirq(&summary, TAGGED)?;
    tagged_in_task(&summary)?;
    sleep_in_end_io(bench)
}

fn sleep_in_end_io(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.disk()?;
    let mut run = Run::new(&disk, bench.param("sleepers", SLEEPERS)?);
    run.tag_every = 1;
    run.end_io_sleep_us = 100;
    let summary = bench.run(&mut run)?;
    bench.figure("end_io calls that slept", summary.slept);
    if summary.sleep_refused > 0 || summary.slept != summary.ended[TAGGED] {
        return fail(format!(
            "{} of {} tagged bios ended where bi_end_io must not sleep",
            summary.ended[TAGGED] - summary.slept.min(summary.ended[TAGGED]),
            summary.ended[TAGGED]
        ));
    }
    tagged_in_task(&summary)
}
