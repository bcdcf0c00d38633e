// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 18, its counts: how often the deferral's worker is queued and run, how
//! many bios each run ends, and what that costs in context switches, with one
//! completion to an interrupt and with many. Nothing is asserted of the
//! counts, which are the design's; that they add up is.

use super::bench::{ratio, tagged_in_task};
use super::{Bench, Stop, fail};
use crate::guest::probe::{Run, Summary, TAGGED};

const BIOS: u64 = 8_000;

/// Name, bios in flight on each CPU, and scenario of each part. With one in
/// flight interrupts cannot merge.
const PARTS: [(&str, u32, &str); 2] = [
    (
        "1 per interrupt",
        1,
        "latency = { exponential = { mean = '100us' } }\ninterrupt = 'per-completion'",
    ),
    (
        "32 per interrupt",
        32,
        "latency = { fixed = '100us' }\ninterrupt = { coalesced = { count = 32, time = '2ms' } }",
    ),
];

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let bios = bench.param("bios", BIOS)?;
    for (part, depth, scenario) in PARTS {
        bench.progress(part);
        bench.scenario(scenario)?;
        let mut run = Run::new(&disk, bios);
        run.tag_every = 1;
        run.depth = depth;
        let summary = bench.run(&mut run)?;
        report(bench, part, &summary);
        adds_up(&summary)?;
        tagged_in_task(&summary)?;
    }
    Ok(())
}

fn report(bench: &mut Bench, part: &str, summary: &Summary) {
    let bios = summary.ended[TAGGED];
    let mut counted = |name: &str, value: f64| bench.measure(&format!("{name}, {part}"), value, "");
    counted(
        "works queued per bio",
        ratio(summary.queue_work_calls, bios),
    );
    counted(
        "bios per worker run",
        ratio(summary.worker_bios, summary.worker_runs),
    );
    counted("switches per bio", ratio(summary.switches, bios));
    counted(
        "switches to the worker per bio",
        ratio(summary.switches_to_worker, bios),
    );
    bench.report_worker(summary);
}

fn adds_up(summary: &Summary) -> Result<(), Stop> {
    if summary.worker_runs == 0 || summary.worker_bios != summary.ended[TAGGED] {
        return fail(format!(
            "{} tagged bios ended, {} of them in {} runs of the worker",
            summary.ended[TAGGED], summary.worker_bios, summary.worker_runs
        ));
    }
    Ok(())
}
