// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 19: one CPU defers more than it can end, and another task of that CPU
//! still gets it in time.
//!
//! What "in time" is, the same task says beside a plain busy one, which shares a
//! CPU as it should: machines differ, and emulated ones are slow.
//! Lockups and stalls are for the kernel to complain of.

use std::thread;
use std::time::{Duration, Instant};

use super::bench::{precise, tagged_in_task};
use super::lateness::{self, Lateness};
use super::{Bench, Stop, fail};
use crate::guest::probe::{Run, Summary, TAGGED};

/// Enough for seconds.
const BIOS: u64 = 2_500;

/// What a bi_end_io takes; a full ring of them is what a worker may have before
/// it that keeps the CPU. On a host that hardly gets to serve the disk the CPU
/// ends what it defers: then it takes twice as long, up to so long.
const END_IO_NS: u32 = 1_000_000;
const MOST_END_IO_NS: u32 = 4_000_000;
const DEPTH: u32 = 112;

/// The CPU defers more than it can end if a bio waits for so many others at the
/// mean.
const BACKLOG: u64 = DEPTH as u64 / 8;

/// How long the busy task runs beside it.
const BASELINE: Duration = Duration::from_secs(3);

/// The storm may make the task this many times as late. A worker that keeps the
/// CPU for a ring of bios makes it much later.
const FACTOR: u32 = 4;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    bench.scenario("latency = { fixed = '100us' }")?;
    let cpu = bench.cpus() - 1;
    bench.progress("beside a busy task");
    let busy = Lateness::beside(cpu, || spin_on(cpu, BASELINE))?;
    let mut run = Run::new(&disk, bench.param("bios", BIOS)?);
    run.tag_every = 1;
    run.cpus = 1 << cpu;
    run.depth = DEPTH;
    let (storm, summary, backlog) = beside_the_worker(bench, &mut run, cpu)?;
    report(bench, "a busy task", &busy);
    report(bench, "the worker", &storm);
    bench.measure(
        "wait of a deferred bio, in bi_end_ios, mean",
        precise(backlog),
        "",
    );
    if backlog < BACKLOG {
        return fail(format!(
            "a deferred bio waited for {backlog} others at the mean: the CPU ended what it deferred"
        ));
    }
    let limit = busy.percentile(90).max(lateness::PERIOD) * FACTOR;
    let late = storm.percentile(90);
    if late > limit {
        return fail(format!(
            "a task beside the worker was {late:?} late at one instant of ten, and beside a busy \
             task {:?}",
            busy.percentile(90)
        ));
    }
    tagged_in_task(&summary)
}

/// How late a task is beside a worker that cannot keep up, and for how many
/// others a bio waited.
fn beside_the_worker(
    bench: &mut Bench,
    run: &mut Run,
    cpu: u32,
) -> Result<(Lateness, Summary, u64), Stop> {
    run.end_io_busy_ns = END_IO_NS;
    loop {
        let us = run.end_io_busy_ns / 1000;
        bench.progress(format!("beside the worker, {us} us a bio"));
        let mut ended = None;
        let storm = Lateness::beside(cpu, || {
            ended = Some(bench.run(run)?);
            Ok(())
        })?;
        let Some(summary) = ended else {
            return fail("the bios were not run");
        };
        let wait = summary.latency_ns_sum / summary.ended[TAGGED].max(1);
        let backlog = wait / u64::from(run.end_io_busy_ns);
        if backlog >= BACKLOG || run.end_io_busy_ns >= MOST_END_IO_NS {
            return Ok((storm, summary, backlog));
        }
        run.end_io_busy_ns *= 2;
    }
}

fn report(bench: &mut Bench, beside: &str, lateness: &Lateness) {
    let ms = |late: Duration| late.as_secs_f64() * 1e3;
    for (name, percent) in [("p50", 50), ("p90", 90), ("worst", 100)] {
        bench.measure(
            &format!("lateness beside {beside}, {name}"),
            ms(lateness.percentile(percent)),
            "ms",
        );
    }
}

fn spin_on(cpu: u32, time: Duration) -> Result<(), Stop> {
    let spinner = thread::spawn(move || {
        lateness::pin(cpu)?;
        let end = Instant::now() + time;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        Ok(())
    });
    match spinner.join() {
        Ok(spun) => spun,
        Err(_) => fail("the busy thread panicked"),
    }
}
