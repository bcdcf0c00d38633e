// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 16: on one CPU the system's workqueue runs as many works as it may, all
//! of which wait until the bios have ended. The bios complete on that CPU, and
//! must end although no work can be begun there.

use super::bench::{all_ended, tagged_in_task};
use super::{Bench, Stop, fail};
use crate::guest::deferral;
use crate::guest::probe::{Run, TAGGED};
use irqstorm_agent::protocol::figures;

const BIOS: u64 = 500;

/// Bios that have not ended by then wait for those who wait for them.
const PATIENCE_MS: u32 = 4_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let probe = bench.probe()?;
    let cpu = bench.cpus() - 1;
    bench.progress(format!("filling the system's workqueue on CPU {cpu}"));
    let filled = deferral::saturate(&probe, cpu, true)?;
    bench.figure("works that wait for the bios", filled.running.into());
    bench.figure(
        "works without room",
        (filled.queued - filled.running).into(),
    );
    bench.progress("bios that the works wait for");
    let mut run = Run::new(&disk, bench.param("bios", BIOS)?);
    run.tag_every = 1;
    run.cpus = 1 << cpu;
    run.timeout_ms = PATIENCE_MS;
    let result = probe.run(&mut run);
    deferral::saturate(&probe, cpu, false)?;
    let result = result?;
    bench.figure(figures::TAGGED, result.summary.ended[TAGGED]);
    if filled.running == filled.queued {
        return fail(format!(
            "the system's workqueue ran all {} works at a time: it was not full",
            filled.queued
        ));
    }
    if result.timed_out {
        return fail(format!(
            "{} bios did not end while works on the system's workqueue waited for them: the \
             deferral has no room there",
            result.summary.never_ended
        ));
    }
    all_ended(&result)?;
    tagged_in_task(&result.summary)
}
