// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 22: under a stacked device it is a clone that completes, and the
//! original, whose end is to come in task context, keeps its tag and its turn.
//! The stack is dm-linear in pieces that some bios lie across, so that originals
//! are split as well.

use super::bench::{ratio, tagged_in_task};
use super::contexts::{Context, completed_in, deferred_where_completed, report};
use super::{Bench, Stop, fail};
use crate::guest::dm::{Linear, Piece};
use crate::guest::probe::{Run, TAGGED};
use irqstorm_agent::protocol::Disk;

const BIOS: u64 = 4_000;

/// Sectors of a bio and of a piece: every third bio lies across a border.
const BIO_SECTORS: u64 = 16;
const PIECE_SECTORS: u64 = 24;
const PIECES: u64 = 64;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let below = bench.prepare_hardirq()?;
    // From the disk's end to its start: neighbours are none below.
    let piece = |index| Piece {
        start: index * PIECE_SECTORS,
        sectors: PIECE_SECTORS,
        below: (PIECES - 1 - index) * PIECE_SECTORS,
    };
    let pieces: Vec<Piece> = (0..PIECES).map(piece).collect();
    let linear = Linear::create("irqstorm", &below.name, &pieces)?;
    let outcome = on_top(bench, &linear);
    // Forgets the run, which has the device open.
    let forgotten = bench.run(&mut Run::new(&below, 1));
    let removed = linear.remove();
    outcome?;
    forgotten?;
    Ok(removed?)
}

fn on_top(bench: &mut Bench, linear: &Linear) -> Result<(), Stop> {
    let bios = bench.param("bios", BIOS)?;
    let disk = linear.disk(PIECES * PIECE_SECTORS);
    let requests = originals_keep_their_tag(bench, &disk, bios, BIO_SECTORS)?;
    if requests <= bios {
        return fail(format!(
            "{requests} requests came for {bios} bios: none was split"
        ));
    }
    Ok(())
}

/// Runs tagged bios on a stacked device and sees that each of them is deferred
/// where it completes, in its turn. How many requests reached the device.
pub(super) fn originals_keep_their_tag(
    bench: &mut Bench,
    stacked: &Disk,
    bios: u64,
    bio_sectors: u64,
) -> Result<u64, Stop> {
    let mut run = Run::new(stacked, bios);
    run.bytes = u32::try_from(bio_sectors * 512).unwrap_or(4096);
    run.tag_every = 1;
    let before = bench.device()?.status()?.total.requests;
    let summary = bench.run(&mut run)?;
    let requests = bench.device()?.status()?.total.requests - before;
    report(bench, &summary, Context::Hardirq);
    bench.measure("requests per bio", ratio(requests, bios), "");
    completed_in(&summary, TAGGED, Context::Hardirq)?;
    tagged_in_task(&summary)?;
    deferred_where_completed(&summary)?;
    if summary.worker_bios != summary.ended[TAGGED] {
        return fail(format!(
            "{} originals ended, {} of them deferred",
            summary.ended[TAGGED], summary.worker_bios
        ));
    }
    if summary.out_of_order > 0 {
        return fail(format!(
            "{} of {bios} deferred originals ended out of order",
            summary.out_of_order
        ));
    }
    Ok(requests)
}
