// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 2: with one queue for several CPUs completions come in softirq, on the
//! interrupted CPU or, sent on, on the submitter's. Tagged bios end in
//! preemptible task context all the same.

use super::contexts::{Context, report, settle};
use super::{Bench, Stop, fail};
use crate::guest::disk::Affinity;
use crate::guest::probe::Summary;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let before = bench.count_interrupts()?;
    let mut total = Summary::default();
    for affinity in [Affinity::Interrupted, Affinity::Submitter] {
        bench.progress(format!("completions by {affinity:?}"));
        let disk = bench.prepare(affinity)?;
        if disk.queues != 1 {
            return fail(format!(
                "{} has {} queues: only with one do completions come in softirq",
                disk.name, disk.queues
            ));
        }
        settle(bench, Context::Softirq, &mut total)?;
    }
    report(bench, &total, Context::Softirq);
    bench.interrupts_since(&before)?;
    Ok(())
}
