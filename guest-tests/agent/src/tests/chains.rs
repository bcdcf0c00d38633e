// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 21: of a chain, the parent's tag counts and a child's does not.
//!
//! Children are submitted before their parent, each from the next CPU, and the
//! device turns the order of completions round. Whichever part of a chain
//! completes last has the parent end: once, in task context if the parent is
//! tagged, in hardirq if only its children are. bio_endio() must look for the
//! chain before it looks at the tag, or a child is deferred.

use super::bench::{ratio, tagged_in_task, untagged_in_hardirq};
use super::contexts::{Context, completed_in, meaning};
use super::{Bench, Stop, fail};
use crate::guest::probe::{Run, Summary, TAG_CHILDREN, TAGGED, UNTAGGED};

const CHAINS: u64 = 1_000;

/// Children of each.
const CHILDREN: u32 = 3;

const REVERSED: &str = "\
latency = { fixed = '50us' }
order = { lifo = { window = 4, time = '200us' } }
interrupt = 'per-completion'
";

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    bench.prepare_hardirq()?;
    bench.scenario(REVERSED)?;

    bench.progress("the parents tagged");
    let parents = chains(bench, 1, 0)?;
    tagged_once(&parents)?;

    bench.progress("the children tagged");
    let children = chains(bench, 0, TAG_CHILDREN)?;
    let words = "a child's tag decided where its parent ends";
    meaning(inert(&children), words)?;

    bench.progress("both tagged");
    let both = chains(bench, 1, TAG_CHILDREN)?;
    tagged_once(&both)?;

    let all = [&parents, &children, &both];
    let sum = |pick: fn(&Summary) -> u64| all.iter().map(|summary| pick(summary)).sum();
    let (completed, away) = (sum(|s| s.children), sum(|s| s.children_away));
    bench.figure("chains", sum(|s| s.ended[UNTAGGED] + s.ended[TAGGED]));
    bench.figure("children", completed);
    bench.figure(
        "children completed on another CPU than their parent's",
        away,
    );
    bench.measure(
        "deferrals per tagged parent",
        ratio(sum(|s| s.worker_bios), sum(|s| s.ended[TAGGED])),
        "",
    );
    Ok(())
}

/// Runs chains, and sees that they came as they were to.
fn chains(bench: &mut Bench, tag_every: u32, flags: u32) -> Result<Summary, Stop> {
    let mut run = Run::new(&bench.disk()?, bench.param("chains", CHAINS)?);
    run.tag_every = tag_every;
    run.flags = flags;
    run.chain = CHILDREN;
    run.depth = 8;
    let summary = bench.run(&mut run)?;
    let expected = (summary.ended[UNTAGGED] + summary.ended[TAGGED]) * u64::from(CHILDREN);
    if summary.children != expected || summary.children_hardirq != expected {
        return fail(format!(
            "the run was to complete {expected} children of chains in hardirq, and {} of {} were",
            summary.children_hardirq, summary.children
        ));
    }
    if summary.children_away == 0 {
        return fail("no child completed on another CPU than its parent's");
    }
    completed_in(&summary, TAGGED, Context::Hardirq)?;
    completed_in(&summary, UNTAGGED, Context::Hardirq)?;
    Ok(summary)
}

fn tagged_once(summary: &Summary) -> Result<(), Stop> {
    tagged_in_task(summary)?;
    if summary.worker_bios != summary.ended[TAGGED] {
        return fail(format!(
            "{} tagged parents ended, {} of them deferred",
            summary.ended[TAGGED], summary.worker_bios
        ));
    }
    Ok(())
}

/// Untagged parents of tagged children end as if nothing were tagged.
fn inert(summary: &Summary) -> Result<(), Stop> {
    untagged_in_hardirq(summary)?;
    if summary.worker_bios + summary.queue_work_calls > 0 {
        return fail(format!(
            "with untagged parents the worker was queued {} times",
            summary.queue_work_calls
        ));
    }
    Ok(())
}
