// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 23: of a batch in which some bios failed, and not all in the same way,
//! each ends with its own error, deferred or not.

use std::fmt::Write;

use super::bench::{coalesced, completed_in_hardirq, ratio, tagged_in_task};
use super::{Bench, Stop, fail};
use crate::guest::probe::{Run, Summary, TAGGED, UNTAGGED};

/// A multiple of 64: the area has as many pieces, and its errors repeat.
const BIOS: u64 = 3_200;

/// Of four pieces the second ends with EIO, the fourth with EOPNOTSUPP.
const IO_ERROR: u64 = 0x2222_2222_2222_2222;
const UNSUPPORTED: u64 = 0x8888_8888_8888_8888;

/// Sectors of a piece.
const SECTORS: u64 = 8;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    bench.prepare_hardirq()?;
    bench.scenario(&scenario())?;
    bench.progress("untagged");
    let untagged = batches(bench, 0)?;
    own_errors(&untagged, UNTAGGED)?;
    bench.progress("tagged");
    let tagged = batches(bench, 1)?;
    bench.report_contexts(&tagged);
    bench.report_worker(&tagged);
    bench.figure(
        "tagged bios that ended with an error",
        tagged.errors[TAGGED],
    );
    bench.measure(
        "bios per worker run",
        ratio(tagged.worker_bios, tagged.worker_runs),
        "",
    );
    own_errors(&tagged, TAGGED)?;
    completed_in_hardirq(&tagged, TAGGED)?;
    tagged_in_task(&tagged)?;
    if tagged.worker_bios_max < 4 {
        return fail("no run of the worker had bios of each kind: nothing was mixed");
    }
    Ok(())
}

/// Sixteen completions to an interrupt, and a rule for each piece that fails.
fn scenario() -> String {
    let mut toml = coalesced(16, "2ms");
    for piece in 0..64 {
        let fault = match 1 << piece {
            bit if IO_ERROR & bit != 0 => "io-error",
            bit if UNSUPPORTED & bit != 0 => "unsupported",
            _ => continue,
        };
        let (from, to) = (piece * SECTORS, (piece + 1) * SECTORS);
        // Writing into a String cannot fail.
        let _ = write!(toml, "[[rule]]\nlba = '{from}..{to}'\nfault = '{fault}'\n");
    }
    toml
}

fn batches(bench: &mut Bench, tag_every: u32) -> Result<Summary, Stop> {
    let mut run = Run::new(&bench.disk()?, BIOS);
    run.tag_every = tag_every;
    run.span_sectors = 64 * SECTORS;
    run.io_error = IO_ERROR;
    run.unsupported = UNSUPPORTED;
    // Errors are what is expected: only the ends are checked here.
    let result = bench.probe()?.run(&mut run)?;
    let summary = result.summary;
    if result.timed_out || summary.never_ended + summary.ended_again > 0 {
        return fail(format!(
            "{} of {BIOS} bios never ended, {} ended more than once",
            summary.never_ended, summary.ended_again
        ));
    }
    Ok(summary)
}

fn own_errors(summary: &Summary, class: usize) -> Result<(), Stop> {
    if summary.wrong_status == 0 && summary.errors[class] == BIOS / 2 {
        return Ok(());
    }
    let kind = ["untagged", "tagged"][class];
    fail(format!(
        "{} of {BIOS} {kind} bios ended with another status than the device gave them; {} of {} \
         ended with an error",
        summary.wrong_status,
        summary.errors[class],
        BIOS / 2
    ))
}
