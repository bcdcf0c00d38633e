// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 6: untagged bios next to tagged ones stay what they were, ended in
//! hardirq with nothing deferred.

use super::bench::{completed_in_hardirq, tagged_in_task, untagged_in_hardirq};
use super::{Bench, Stop};
use crate::guest::probe::{Run, TAGGED, UNTAGGED};

const BIOS: u64 = 20_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let before = bench.count_interrupts()?;
    let mut run = Run::new(&disk, bench.param("bios", BIOS)?);
    run.tag_every = 2;
    let summary = bench.run(&mut run)?;
    bench.report_contexts(&summary);
    bench.report_worker(&summary);
    bench.interrupts_since(&before)?;
    completed_in_hardirq(&summary, UNTAGGED)?;
    untagged_in_hardirq(&summary)?;
    completed_in_hardirq(&summary, TAGGED)?;
    tagged_in_task(&summary)
}
