// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 19: one CPU defers more than it can end, and another task of that CPU
//! still gets it in time.
//!
//! The task wants to run every few milliseconds; for each of these instants it
//! is noted how late it was, so that the time counts and not the luck of the
//! sample. What "in time" is, the same task says beside a plain busy one, which
//! shares a CPU as it should: machines differ, and emulated ones are slow.
//! Lockups and stalls are for the kernel to complain of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

use super::bench::{precise, tagged_in_task};
use super::{Bench, Stop, fail};
use crate::guest::probe::{Run, TAGGED};

/// Enough for seconds.
const BIOS: u64 = 2_500;

/// What a bi_end_io takes; a full ring of them is what a worker may have before
/// it that keeps the CPU.
const END_IO_NS: u32 = 1_000_000;
const DEPTH: u32 = 112;

/// Between two instants at which the task wants to run.
const PERIOD: Duration = Duration::from_millis(4);

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
    bench.progress("beside the worker");
    let mut run = Run::new(&disk, bench.param("bios", BIOS)?);
    run.tag_every = 1;
    run.cpus = 1 << cpu;
    run.depth = DEPTH;
    run.end_io_busy_ns = END_IO_NS;
    let mut ended = None;
    let storm = Lateness::beside(cpu, || {
        ended = Some(bench.run(&mut run));
        Ok(())
    })?;
    let Some(summary) = ended.transpose()? else {
        return fail("the bios were not run");
    };
    report(bench, "a busy task", &busy);
    report(bench, "the worker", &storm);
    let backlog = summary.latency_ns_sum / summary.ended[TAGGED].max(1) / u64::from(END_IO_NS);
    bench.measure(
        "wait of a deferred bio, in bi_end_ios, mean",
        precise(backlog),
        "",
    );
    if backlog < u64::from(DEPTH) / 8 {
        return fail(format!(
            "a deferred bio waited for {backlog} others at the mean: the CPU ended what it deferred"
        ));
    }
    let limit = busy.percentile(90).max(PERIOD) * FACTOR;
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

/// How late a task was, for each instant at which it wanted to run.
struct Lateness(Vec<Duration>);

impl Lateness {
    /// Samples on the CPU while `work` goes on.
    fn beside(cpu: u32, work: impl FnOnce() -> Result<(), Stop>) -> Result<Lateness, Stop> {
        let stop = Arc::new(AtomicBool::new(false));
        let sampler = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || sample(cpu, &stop))
        };
        let worked = work();
        stop.store(true, Ordering::Release);
        let samples = match sampler.join() {
            Ok(samples) => samples?,
            Err(_) => return fail("the thread that samples panicked"),
        };
        worked?;
        let mut lateness = Lateness(samples);
        lateness.0.sort_unstable();
        Ok(lateness)
    }

    /// So many percent of the instants were at most so late.
    fn percentile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let index = (self.0.len() * percent / 100).min(last);
        self.0.get(index).copied().unwrap_or_default()
    }
}

fn sample(cpu: u32, stop: &AtomicBool) -> Result<Vec<Duration>, Stop> {
    pin(cpu)?;
    let mut samples = Vec::new();
    let mut wanted = Instant::now() + PERIOD;
    while !stop.load(Ordering::Acquire) {
        thread::sleep(wanted.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        // All instants that went by meanwhile have waited for this one.
        while wanted <= now {
            samples.push(now - wanted);
            wanted += PERIOD;
        }
    }
    Ok(samples)
}

fn spin_on(cpu: u32, time: Duration) -> Result<(), Stop> {
    let spinner = thread::spawn(move || {
        pin(cpu)?;
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

/// Keeps the calling thread on a CPU.
fn pin(cpu: u32) -> Result<(), Stop> {
    let mut set = CpuSet::new();
    set.set(usize::try_from(cpu).unwrap_or(0));
    sched_setaffinity(None, &set)
        .map_err(|e| Stop::Fail(format!("keep a thread on CPU {cpu}: {e}")))
}
