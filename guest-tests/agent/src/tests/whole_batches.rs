// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 24, on virtio: many completions with each interrupt, whose bios the
//! worker takes as one list. All of them end, in order, although each bio is
//! its owner's again when its bi_end_io is called: the probe's bi_end_io
//! clears the link by which it was on the list.

use super::bench::{coalesced, ratio, tagged_in_task};
use super::{Bench, Stop, fail};
use crate::guest::probe::{Run, TAGGED, VERIFY};

const BIOS: u64 = 16_000;

/// Completions to an interrupt.
const BATCH: u32 = 64;

/// The worker has to have had at least such a list to end.
const LEAST_LIST: u64 = 32;

/// Bios that have not ended by then fell off a list.
const PATIENCE_MS: u32 = 5_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    bench.scenario(&coalesced(BATCH, "5ms"))?;
    let bios = bench.param("bios", BIOS)?;
    let before = bench.count_interrupts()?;
    let mut run = Run::new(&disk, bios / 2);
    run.tag_every = 1;
    run.depth = BATCH;
    run.flags = VERIFY;
    run.timeout_ms = PATIENCE_MS;
    // All that is written is read back.
    run.span_sectors = run.span_sectors.min(bios / 2 * 8);
    run.seed = u32::try_from(bench.seed & 0xffff_ffff).unwrap_or(0);
    run.op = 1;
    let written = bench.run(&mut run)?;
    run.op = 0;
    let read = bench.run(&mut run)?;
    let interrupts = bench.interrupts_since(&before)?;
    bench.measure("bios per interrupt", ratio(bios, interrupts), "");
    bench.figure("bios of the longest worker run", read.worker_bios_max);
    bench.report_contexts(&read);
    for summary in [&written, &read] {
        tagged_in_task(summary)?;
        if summary.out_of_order > 0 || summary.bad_sectors > 0 {
            return fail(format!(
                "of {} bios {} ended out of order, and {} sectors were not as written",
                summary.ended[TAGGED], summary.out_of_order, summary.bad_sectors
            ));
        }
        if summary.worker_bios_max < LEAST_LIST {
            return fail(format!(
                "the worker never had more than {} bios to end: no batch was seen",
                summary.worker_bios_max
            ));
        }
    }
    Ok(())
}
