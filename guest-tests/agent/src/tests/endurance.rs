// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! I/O that goes on while something happens to the device or the guest: blocks
//! are written and read back, again and again, and nothing may be missing,
//! ended twice, or other than it was written.

use std::time::{Duration, Instant};

use irqstorm_agent::protocol::endurance;

use super::bench::{all_ended, precise};
use super::{Bench, Stop, fail};
use crate::guest::disk::Affinity;
use crate::guest::probe::{Run, RunResult, Summary, TAGGED, UNTAGGED, VERIFY};

/// Bios of a round, once written and once read: a round takes a second or so.
const BIOS: u64 = 4_000;

/// Without an end for so long, bios are lost: longer than any fault takes.
const PATIENCE_MS: u32 = 60_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare(Affinity::Group)?;
    let time = Duration::from_millis(bench.param(endurance::MS, 2_000)?);
    let mut run = Run::new(&disk, BIOS);
    run.flags = VERIFY;
    run.tag_every = bench.tag_every(2);
    run.timeout_ms = PATIENCE_MS;
    run.span_sectors = (BIOS * 8).min(run.span_sectors);
    let deadline = Instant::now() + time;
    let mut seen = Seen::default();
    let outcome = rounds(bench, &mut run, deadline, &mut seen);
    bench.figure(endurance::ROUNDS, seen.rounds);
    bench.figure(endurance::BIOS, seen.ended);
    bench.figure(endurance::LOST, seen.lost);
    bench.figure(endurance::TWICE, seen.twice);
    bench.figure(endurance::OTHER, seen.other);
    bench.figure(endurance::ERRORS, seen.errors);
    outcome
}

/// What has become of all bios so far.
#[derive(Default)]
struct Seen {
    rounds: u64,
    ended: u64,
    lost: u64,
    twice: u64,
    other: u64,
    errors: u64,
}

impl Seen {
    fn add(&mut self, summary: &Summary) {
        let both = |pair: [u64; 2]| pair[UNTAGGED] + pair[TAGGED];
        self.ended += both(summary.ended);
        self.lost += summary.never_ended;
        self.twice += summary.ended_again + summary.ended_late;
        self.other += summary.bad_sectors;
        self.errors += both(summary.errors);
    }
}

fn rounds(
    bench: &mut Bench,
    run: &mut Run,
    deadline: Instant,
    seen: &mut Seen,
) -> Result<(), Stop> {
    while Instant::now() < deadline || seen.rounds == 0 {
        // Another pattern each time, or what was written before would do.
        run.seed = u32::try_from((bench.seed + seen.rounds) & 0xffff_ffff).unwrap_or(0);
        for op in [1, 0] {
            run.op = op;
            let result = bench.probe()?.run(run)?;
            seen.add(&result.summary);
            judge(&result)?;
        }
        seen.rounds += 1;
        bench.progress(format!("{:.0} bios", precise(seen.ended)));
    }
    Ok(())
}

fn judge(result: &RunResult) -> Result<(), Stop> {
    all_ended(result)?;
    let summary = &result.summary;
    if summary.ended_late > 0 {
        return fail(format!("{} bios ended once more, late", summary.ended_late));
    }
    if summary.bad_sectors > 0 {
        return fail(format!(
            "{} sectors read back differently",
            summary.bad_sectors
        ));
    }
    Ok(())
}
