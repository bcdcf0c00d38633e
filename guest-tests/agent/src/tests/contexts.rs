// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What tests of other contexts than hardirq share: the claim that a tagged
//! bio ends in preemptible task context, wherever it completes.

use irqstorm_agent::protocol::figures;

use super::bench::tagged_in_task;
use super::{Bench, Stop, fail};
use crate::guest::probe::{Run, Summary, TAGGED};

const BIOS: u64 = 5_000;

/// Bios whose bi_end_io sleeps: each costs its worker that long.
const SLEEPERS: u64 = 300;

/// Where bio_endio() is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    Hardirq,
    Softirq,
    /// A task that may not sleep.
    AtomicTask,
}

impl Context {
    fn name(self) -> &'static str {
        match self {
            Context::Hardirq => "hardirq",
            Context::Softirq => "softirq",
            Context::AtomicTask => "atomic task context",
        }
    }

    /// How many bios of a class were completed here.
    pub(super) fn count(self, summary: &Summary, class: usize) -> u64 {
        match self {
            Context::Hardirq => summary.endio_hardirq[class],
            Context::Softirq => summary.endio_softirq[class],
            Context::AtomicTask => summary.endio_task_atomic[class],
        }
    }
}

/// Fails if bios of a class were completed elsewhere: then the run has not
/// driven what it was to drive.
pub(super) fn completed_in(summary: &Summary, class: usize, context: Context) -> Result<(), Stop> {
    let (ended, came) = (summary.ended[class], context.count(summary, class));
    if came == ended {
        return Ok(());
    }
    fail(format!(
        "the run was to complete bios in {}, and {came} of {ended} were: {} came in hardirq, {} \
         in softirq, {} in task context, {} of these in atomic task context",
        context.name(),
        summary.endio_hardirq[class],
        summary.endio_softirq[class],
        summary.endio_task[class],
        summary.endio_task_atomic[class]
    ))
}

/// Fails if a deferred bio ended on another CPU than the one that deferred it.
pub(super) fn deferred_where_completed(summary: &Summary) -> Result<(), Stop> {
    if summary.migrated == 0 {
        return Ok(());
    }
    fail(format!(
        "{} of {} tagged bios ended on another CPU than they completed on",
        summary.migrated, summary.ended[TAGGED]
    ))
}

/// Settles the claim for completions in a context: with bios enough, and with
/// some whose bi_end_io sleeps. `total` takes the counts of the former.
pub(super) fn settle(bench: &mut Bench, context: Context, total: &mut Summary) -> Result<(), Stop> {
    let disk = bench.disk()?;
    let mut run = Run::new(&disk, bench.param("bios", BIOS)?);
    run.tag_every = 1;
    let summary = bench.run(&mut run)?;
    add(total, &summary);
    completed_in(&summary, TAGGED, context)?;
    tagged_in_task(&summary)?;
    deferred_where_completed(&summary)?;

    run.bios = bench.param("sleepers", SLEEPERS)?;
    run.end_io_sleep_us = 100;
    let summary = bench.run(&mut run)?;
    total.slept += summary.slept;
    completed_in(&summary, TAGGED, context)?;
    if summary.slept != summary.ended[TAGGED] {
        return fail(format!(
            "{} of {} tagged bios ended where bi_end_io must not sleep",
            summary.sleep_refused, summary.ended[TAGGED]
        ));
    }
    tagged_in_task(&summary)
}

/// Adds to the counts of where tagged bios completed and ended, and of what the
/// worker did.
pub(super) fn add(total: &mut Summary, summary: &Summary) {
    for (to, from) in [
        (&mut total.ended[TAGGED], summary.ended[TAGGED]),
        (&mut total.end_task[TAGGED], summary.end_task[TAGGED]),
        (
            &mut total.end_task_atomic[TAGGED],
            summary.end_task_atomic[TAGGED],
        ),
        (
            &mut total.endio_hardirq[TAGGED],
            summary.endio_hardirq[TAGGED],
        ),
        (
            &mut total.endio_softirq[TAGGED],
            summary.endio_softirq[TAGGED],
        ),
        (
            &mut total.endio_task_atomic[TAGGED],
            summary.endio_task_atomic[TAGGED],
        ),
        (&mut total.slept, summary.slept),
        (&mut total.queue_work_calls, summary.queue_work_calls),
        (&mut total.worker_runs, summary.worker_runs),
        (&mut total.worker_bios, summary.worker_bios),
        (&mut total.switches, summary.switches),
        (&mut total.switches_to_worker, summary.switches_to_worker),
    ] {
        *to += from;
    }
}

/// Reports where tagged bios completed and ended, and what the worker did.
pub(super) fn report(bench: &mut Bench, summary: &Summary, context: Context) {
    bench.figure(figures::TAGGED, summary.ended[TAGGED]);
    bench.figure(figures::TAGGED_IN_TASK, summary.end_task[TAGGED]);
    bench.figure(
        &format!("tagged bios completed in {}", context.name()),
        context.count(summary, TAGGED),
    );
    if summary.slept > 0 {
        bench.figure("end_io calls that slept", summary.slept);
    }
    bench.report_worker(summary);
}

/// Adds to a failure what it means.
pub(super) fn meaning(outcome: Result<(), Stop>, words: &str) -> Result<(), Stop> {
    match outcome {
        Err(Stop::Fail(reason)) => fail(format!("{reason}: {words}")),
        other => other,
    }
}
