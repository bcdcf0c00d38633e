// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 18 as an experiment: what deferral costs, over the rate of completions,
//! how many come with an interrupt, and the work of bi_end_io. It claims
//! nothing of a design, but that its counts add up and that the device drove
//! what it was told to.
//!
//! Bios come in bursts: a burst is submitted whole, rests, and then completes at
//! the setting's rate on one CPU, whose submitter sleeps until all of it has
//! ended. What that CPU does meanwhile is thus the interrupts' and the worker's.
//! Each setting is run three times, so that no measurement disturbs another:
//! for counts and times, beside a task that wants to run, and with each call
//! that queues the worker counted.

use std::fmt::Write;

use irqstorm_agent::points::{Point, Times, measures};
use irqstorm_agent::protocol::{Disk, Figure};

use super::alone_in_time::jiffy;
use super::bench::{completed_in_hardirq, precise, ratio, tagged_in_task};
use super::lateness::Lateness;
use super::{Bench, Stop, fail};
use crate::guest::probe::{BURSTS, CALLS, Run, Summary, TAGGED};

/// Completions a second, each with how many bursts come so.
const RATES: [(u32, u64); 4] = [(100, 2), (1_000, 8), (10_000, 24), (100_000, 48)];

/// Completions to an interrupt. All divide a burst.
const PER_INTERRUPT: [u32; 3] = [1, 8, 64];

/// What a bi_end_io takes, in ns.
const END_IO_NS: [u32; 2] = [0, 50_000];

/// Bios of a burst: as many as lie in the ring of a usual disk.
const BURST: u32 = 64;

/// From a burst's submission to its first completion: longer than an emulated
/// CPU takes to submit it.
const REST_US: u64 = 12_000;

/// An interrupt that has waited so much longer than it was to comes without the
/// rest of its completions, and the counts tell.
const OVERDUE_US: u64 = 100_000;

/// Up to this rate most interrupts arrive apart, on any machine.
const SURE_RATE: u32 = 100;

/// A setting.
#[derive(Clone, Copy)]
struct Setting {
    rate: u32,
    bursts: u64,
    per_interrupt: u32,
    end_io_ns: u32,
}

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let jiffy = jiffy()?;
    bench.measure(measures::JIFFY, jiffy.as_secs_f64() * 1e6, "us");
    let mut all = Summary::default();
    for setting in settings() {
        bench.progress(setting.words());
        measure(bench, &disk, setting, &mut all)?;
    }
    bench.report_contexts(&all);
    bench.report_worker(&all);
    Ok(())
}

fn settings() -> impl Iterator<Item = Setting> {
    END_IO_NS.into_iter().flat_map(|end_io_ns| {
        PER_INTERRUPT.into_iter().flat_map(move |per_interrupt| {
            RATES.into_iter().map(move |(rate, bursts)| Setting {
                rate,
                bursts,
                per_interrupt,
                end_io_ns,
            })
        })
    })
}

impl Setting {
    fn words(&self) -> String {
        format!(
            "{}/s, {} per interrupt, end_io {} us",
            self.rate,
            self.per_interrupt,
            self.end_io_ns / 1_000
        )
    }

    fn figures(&self) -> Vec<Figure> {
        let figure = |name: &str, value: u32, unit: &str| Figure {
            name: name.to_owned(),
            value: value.into(),
            unit: unit.to_owned(),
        };
        vec![
            figure(measures::RATE, self.rate, "/s"),
            figure(measures::PER_INTERRUPT, self.per_interrupt, ""),
            figure(measures::END_IO, self.end_io_ns / 1_000, "us"),
        ]
    }

    /// The n-th bio of a burst completes n gaps after the rest.
    fn scenario(&self) -> String {
        let gap_us = 1_000_000 / u64::from(self.rate);
        let mut values = String::new();
        for nth in 0..u64::from(BURST) {
            // Writing to a string does not fail.
            let _ = write!(values, "'{}us', ", REST_US + nth * gap_us);
        }
        let interrupt = match self.per_interrupt {
            1 => "'per-completion'".to_owned(),
            count => {
                let time = u64::from(count) * gap_us + OVERDUE_US;
                format!("{{ coalesced = {{ count = {count}, time = '{time}us' }} }}")
            }
        };
        format!("latency = {{ trace = {{ values = [{values}] }} }}\ninterrupt = {interrupt}")
    }

    fn run(&self, disk: &Disk, cpu: u32, flags: u32) -> Run {
        let mut run = Run::new(disk, self.bursts * u64::from(BURST));
        run.tag_every = 1;
        run.cpus = 1 << cpu;
        run.depth = BURST;
        run.end_io_busy_ns = self.end_io_ns;
        run.flags = BURSTS | flags;
        run
    }
}

fn measure(
    bench: &mut Bench,
    disk: &Disk,
    setting: Setting,
    all: &mut Summary,
) -> Result<(), Stop> {
    let cpu = bench.cpus() - 1;
    let counted = once(bench, setting, setting.run(disk, cpu, 0))?;
    let latencies = bench.probe()?.latencies()?;
    let mut beside = None;
    let lateness = Lateness::beside(cpu, || {
        beside = Some(once(bench, setting, setting.run(disk, cpu, 0))?);
        Ok(())
    })?;
    let called = once(bench, setting, setting.run(disk, cpu, CALLS))?;
    for summary in beside.iter().chain([&counted, &called]) {
        add_contexts(all, summary);
    }
    let times = |name: &str, buckets| Times {
        name: name.to_owned(),
        buckets,
    };
    let mut point = Point {
        setting: setting.figures(),
        figures: Vec::new(),
        times: vec![
            times(measures::FROM_INTERRUPT, latencies.interrupt),
            times(measures::FROM_COMPLETION, latencies.completion),
        ],
    };
    count(&mut point, &counted);
    let calls = ratio(called.queue_calls, called.ended[TAGGED]);
    point.add(measures::CALLS_PER_BIO, calls, "");
    for (name, percent) in [
        (measures::LATENESS_P50, 50),
        (measures::LATENESS_P99, 99),
        (measures::LATENESS_WORST, 100),
    ] {
        let late = lateness.percentile(percent);
        point.add(name, late.as_secs_f64() * 1e6, "us");
    }
    bench.point(point);
    Ok(())
}

/// Sets the device anew, so that its trace begins with the run, and runs.
fn once(bench: &mut Bench, setting: Setting, mut run: Run) -> Result<Summary, Stop> {
    bench.scenario(&setting.scenario())?;
    let summary = bench.run(&mut run)?;
    check(setting, &summary)?;
    Ok(summary)
}

/// What must be so on any kernel, or the counts mean nothing.
fn check(setting: Setting, summary: &Summary) -> Result<(), Stop> {
    let bios = summary.ended[TAGGED];
    completed_in_hardirq(summary, TAGGED)?;
    tagged_in_task(summary)?;
    if summary.worker_runs == 0 || summary.worker_bios != bios {
        return fail(format!(
            "at {}: {bios} bios ended, {} of them in {} runs of the worker",
            setting.words(),
            summary.worker_bios,
            summary.worker_runs
        ));
    }
    let wanted = u64::from(setting.per_interrupt);
    // Interrupts merge, and never come apart.
    let few = bios * 2 < summary.interrupts * wanted;
    let many = setting.rate <= SURE_RATE && bios > summary.interrupts * wanted * 2;
    if few || many {
        return fail(format!(
            "at {}: {bios} bios came with {} interrupts",
            setting.words(),
            summary.interrupts
        ));
    }
    Ok(())
}

fn count(point: &mut Point, summary: &Summary) {
    let bios = summary.ended[TAGGED];
    let mut per_bio = |name, count| point.add(name, ratio(count, bios), "");
    per_bio(measures::WORKS_PER_BIO, summary.queue_work_calls);
    per_bio(measures::SWITCHES_PER_BIO, summary.switches_there);
    per_bio(
        measures::WORKER_SWITCHES_PER_BIO,
        summary.switches_to_worker,
    );
    let mut add = |name, value, unit| point.add(name, value, unit);
    add(
        measures::BIOS_PER_RUN,
        ratio(summary.worker_bios, summary.worker_runs),
        "",
    );
    add(measures::WORKER_RUNS, precise(summary.worker_runs), "");
    add(
        measures::BIOS_PER_INTERRUPT,
        ratio(bios, summary.interrupts),
        "",
    );
    let per_second = |count, ns| ratio(count, ns) * 1e9;
    // Of each burst the gaps between completions count, one fewer than these.
    let gaps = bios.saturating_sub(summary.bursts);
    add(
        measures::COMPLETION_RATE,
        per_second(gaps, summary.completing_ns),
        "/s",
    );
    add(
        measures::THROUGHPUT,
        per_second(bios, summary.draining_ns),
        "/s",
    );
    add(
        measures::CPU_PER_BIO,
        ratio(summary.busy_ns, bios) / 1e3,
        "us",
    );
}

/// What the run's sums are made of.
fn add_contexts(all: &mut Summary, one: &Summary) {
    for class in 0..2 {
        all.ended[class] += one.ended[class];
        all.endio_hardirq[class] += one.endio_hardirq[class];
        all.end_hardirq[class] += one.end_hardirq[class];
        all.end_task[class] += one.end_task[class];
    }
    all.queue_work_calls += one.queue_work_calls;
    all.worker_runs += one.worker_runs;
    all.worker_bios += one.worker_bios;
    all.switches += one.switches;
    all.switches_to_worker += one.switches_to_worker;
}
