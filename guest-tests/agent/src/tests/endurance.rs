// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! I/O that goes on while something happens to the device or the guest: blocks
//! are written and read back, again and again, and nothing may be missing,
//! ended twice, or other than it was written.

use std::time::{Duration, Instant};

use irqstorm_agent::protocol::{Disk, endurance};

use super::bench::{all_ended, precise};
use super::{Bench, Stop, fail, gone, replug};
use crate::guest::disk::Affinity;
use crate::guest::probe::{Run, RunResult, Summary, TAGGED, UNTAGGED, VERIFY};

/// Bios of a round, once written and once read: a round takes a second or so.
const BIOS: u64 = 4_000;

/// Without an end for so long, bios are lost: longer than any fault takes.
const PATIENCE_MS: u32 = 60_000;

/// Operations of a [`Run`].
pub(super) const READ: u32 = 0;
pub(super) const WRITE: u32 = 1;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare(Affinity::Group)?;
    let time = Duration::from_millis(bench.param(endurance::MS, 2_000)?);
    let mut seen = Seen::default();
    let outcome = match bench.param(endurance::UNPLUG, 0)? {
        0 => rounds(bench, &disk, Instant::now() + time, &mut seen),
        _ => replug::run(bench, &disk, &mut seen),
    };
    bench.figure(endurance::ROUNDS, seen.rounds);
    bench.figure(endurance::BIOS, seen.ended);
    bench.figure(endurance::LOST, seen.lost);
    bench.figure(endurance::TWICE, seen.twice);
    bench.figure(endurance::OTHER, seen.other);
    bench.figure(endurance::ERRORS, seen.errors);
    bench.figure(endurance::REFUSED, seen.refused);
    outcome
}

/// One half of a round. Each round has another pattern, or what was written
/// before would do.
pub(super) fn load(bench: &Bench, disk: &Disk, pattern: u64, op: u32) -> Run {
    let mut run = Run::new(disk, BIOS);
    run.op = op;
    run.flags = VERIFY;
    run.seed = u32::try_from(bench.seed.wrapping_add(pattern) & 0xffff_ffff).unwrap_or(0);
    run.tag_every = bench.tag_every(2);
    run.timeout_ms = PATIENCE_MS;
    // Each block once.
    run.span_sectors = (BIOS * 8).min(run.span_sectors);
    run.bios = run.span_sectors / 8;
    run
}

/// What has become of all bios so far.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) rounds: u64,
    pub(super) ended: u64,
    lost: u64,
    twice: u64,
    pub(super) other: u64,
    errors: u64,
    refused: u64,
}

impl Seen {
    /// Adds the bios of a disk that is there.
    pub(super) fn add(&mut self, summary: &Summary) {
        self.count(summary);
        self.errors += both(summary.errors);
    }

    /// Adds the bios of a disk that has gone meanwhile.
    pub(super) fn add_refused(&mut self, summary: &Summary) {
        self.count(summary);
        self.refused += both(summary.errors);
    }

    fn count(&mut self, summary: &Summary) {
        self.ended += both(summary.ended);
        self.lost += summary.never_ended;
        self.twice += summary.ended_again + summary.ended_late;
        self.other += summary.bad_sectors;
    }
}

/// Of tagged and untagged bios.
pub(super) fn both(pair: [u64; 2]) -> u64 {
    pair[UNTAGGED] + pair[TAGGED]
}

fn rounds(bench: &mut Bench, disk: &Disk, deadline: Instant, seen: &mut Seen) -> Result<(), Stop> {
    while Instant::now() < deadline || seen.rounds == 0 {
        for op in [WRITE, READ] {
            let result = bench
                .probe()?
                .run(&mut load(bench, disk, seen.rounds, op))?;
            seen.add(&result.summary);
            judge(&result)?;
        }
        seen.rounds += 1;
        bench.progress(format!("{:.0} bios", precise(seen.ended)));
    }
    Ok(())
}

/// Fails if a bio is missing, ended twice, or with an error, or read otherwise
/// than was written.
pub(super) fn judge(result: &RunResult) -> Result<(), Stop> {
    all_ended(result)?;
    gone::ended_once(result)?;
    read_same(&result.summary)
}

pub(super) fn read_same(summary: &Summary) -> Result<(), Stop> {
    match summary.bad_sectors {
        0 => Ok(()),
        bad => fail(format!("{bad} sectors read back differently")),
    }
}
