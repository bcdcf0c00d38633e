// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What everything else stands on: this machine and this device complete
//! requests in hardirq.

use super::bench::{completed_in_hardirq, untagged_in_hardirq};
use super::{Bench, Stop};
use crate::guest::probe::{Run, UNTAGGED};

const BIOS: u64 = 5_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let before = bench.count_interrupts()?;
    let mut run = Run::new(&disk, bench.param("bios", BIOS)?);
    let summary = bench.run(&mut run)?;
    bench.report_contexts(&summary);
    bench.interrupts_since(&before)?;
    completed_in_hardirq(&summary, UNTAGGED)?;
    untagged_in_hardirq(&summary)
}
