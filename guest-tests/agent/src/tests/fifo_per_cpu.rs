// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 8: a CPU's deferred bios end in the order in which that CPU's
//! bio_endio() deferred them, from one completion an interrupt to 128.

use super::bench::{coalesced, ratio, tagged_in_task};
use super::{Bench, Stop, fail};
use crate::guest::probe::Run;

const BIOS: u64 = 4_000;

/// Completions published together for one interrupt.
const BATCHES: [u32; 5] = [1, 2, 8, 32, 128];

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let bios = bench.param("bios", BIOS)?;
    for batch in BATCHES {
        bench.progress(format!("{batch} completions to an interrupt"));
        bench.scenario(&scenario(batch))?;
        let before = bench.count_interrupts()?;
        let mut run = Run::new(&disk, bios);
        run.tag_every = 1;
        // No more in flight than come together: interrupts merge.
        run.depth = batch;
        let summary = bench.run(&mut run)?;
        let delivered = bench.count_interrupts()?.delivered_since(&before);
        bench.measure(
            &format!("bios per interrupt, {batch} asked"),
            ratio(bios, delivered),
            "",
        );
        bench.measure(
            &format!("bios per worker run, {batch} asked"),
            ratio(summary.worker_bios, summary.worker_runs),
            "",
        );
        tagged_in_task(&summary)?;
        if summary.out_of_order > 0 {
            return fail(format!(
                "{} of {bios} deferred bios ended out of order with {batch} completions to an \
                 interrupt",
                summary.out_of_order
            ));
        }
    }
    bench.figure("bios out of order", 0);
    Ok(())
}

/// Completions wait until there are `batch` of them, or 2 ms.
fn scenario(batch: u32) -> String {
    match batch {
        1 => "interrupt = 'per-completion'".to_owned(),
        _ => coalesced(batch, "2ms"),
    }
}
