// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 15: CPUs that come online after boot defer and end bios as others do.

use super::bench::{all_ended, tagged_in_task};
use super::contexts::{Context, completed_in, deferred_where_completed, meaning};
use super::{Bench, Stop, fail};
use crate::guest::cpu;
use crate::guest::disk::Affinity;
use crate::guest::probe::{Run, Summary, TAGGED};

/// Bios of each CPU.
const BIOS: u64 = 2_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let late = cpu::offline();
    if late.is_empty() {
        return fail("every CPU is online already: none can come late");
    }
    // While the first is alone: with more, what is broken would show here.
    bench.prepare(Affinity::Group)?;
    for &cpu in &late {
        cpu::set_online(cpu, true).map_err(|e| format!("bring CPU {cpu} online: {e}"))?;
    }
    let mut deferred = 0;
    for &cpu in &late {
        bench.progress(format!("bios of CPU {cpu}"));
        let words = format!("on CPU {cpu}, which came online after boot");
        let mut summary = Summary::default();
        meaning(one_cpu(bench, cpu, &mut summary), &words)?;
        deferred += summary.worker_bios;
    }
    bench.figure("CPUs that came online after boot", late.len() as u64);
    bench.figure("bios that they deferred and ended", deferred);
    Ok(())
}

fn one_cpu(bench: &mut Bench, cpu: u32, summary: &mut Summary) -> Result<(), Stop> {
    let mut run = Run::new(&bench.disk()?, bench.param("bios", BIOS)?);
    run.tag_every = 1;
    run.cpus = 1 << cpu;
    let result = bench.probe()?.run(&mut run)?;
    *summary = result.summary;
    all_ended(&result)?;
    let context = match cpu::kernel_is_rt() {
        true => Context::AtomicTask,
        false => Context::Hardirq,
    };
    completed_in(summary, TAGGED, context)?;
    tagged_in_task(summary)?;
    deferred_where_completed(summary)
}
