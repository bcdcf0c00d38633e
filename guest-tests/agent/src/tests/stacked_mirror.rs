// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 22, raid1: it is a clone that completes, and md ends the original from
//! the clone's end: the original keeps its tag and its turn. The mirror's halves
//! are two ends of the disk, each behind a dm-linear of one piece, so that an
//! original lies two clones above the disk.

use super::stacked::originals_keep_their_tag;
use super::{Bench, Stop, skip};
use crate::guest::dm::{Linear, Piece};
use crate::guest::mirror::Mirror;
use crate::guest::probe::Run;
use irqstorm_agent::protocol::Disk;

const BIOS: u64 = 4_000;

/// Sectors of a bio and of each half.
const BIO_SECTORS: u64 = 16;
const SECTORS: u64 = 64 << 10;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let below = bench.prepare_hardirq()?;
    if !Mirror::is_known() {
        return skip("this kernel has no md");
    }
    let first = half(&below, "irqstorm-a", 0)?;
    let outcome = half(&below, "irqstorm-b", SECTORS)
        .map_err(Stop::from)
        .and_then(|second| {
            let outcome = on_mirror(bench, &below, [&first, &second]);
            let removed = second.remove();
            outcome.and(Ok(removed?))
        });
    let removed = first.remove();
    outcome?;
    Ok(removed?)
}

/// One half of the mirror: a piece of the disk.
fn half(below: &Disk, name: &str, start: u64) -> Result<Linear, String> {
    let piece = Piece {
        start: 0,
        sectors: SECTORS,
        below: start,
    };
    Linear::create(name, &below.name, &[piece])
}

fn on_mirror(bench: &mut Bench, below: &Disk, halves: [&Linear; 2]) -> Result<(), Stop> {
    let names = halves.map(|half| half.disk(SECTORS).name);
    let mirror = Mirror::create([&names[0], &names[1]], SECTORS)?;
    let bios = bench.param("bios", BIOS)?;
    let outcome = originals_keep_their_tag(bench, &mirror.disk(), bios, BIO_SECTORS);
    // Forgets the run, which has the mirror open.
    let forgotten = bench.run(&mut Run::new(below, 1));
    let stopped = mirror.stop();
    outcome?;
    forgotten?;
    Ok(stopped?)
}
