// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 12: a caller of bio_endio() that is moved to another CPU between adding
//! its bio and queueing the worker does no harm: the bio ends, and the worker
//! of its CPU ends it, on that CPU.
//!
//! Preemptible callers in an RCU read-side section can be moved. They are, on
//! purpose, at each instruction of the function that defers. In a kernel that
//! ends their bios where they are, callers are interrupts alone, which stay;
//! there the claim holds by construction, and a storm is what remains to be
//! looked at.

use super::bench::{completed_in_hardirq, tagged_in_task};
use super::{Bench, Stop, fail, sweep};
use crate::guest::deferral::Between;
use crate::guest::probe::{Run, TAGGED};

const BIOS: u64 = 10_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    bench.progress("interrupts under a storm");
    let mut run = Run::new(&disk, bench.param("bios", BIOS)?);
    run.tag_every = 1;
    let summary = bench.run(&mut run)?;
    bench.report_contexts(&summary);
    completed_in_hardirq(&summary, TAGGED)?;
    tagged_in_task(&summary)?;
    if summary.migrated > 0 {
        return fail(format!(
            "{} bios ended on another CPU than they completed on",
            summary.migrated
        ));
    }

    bench.progress("callers moved at each instruction");
    let sweep = sweep::each_instruction(bench, Between::MoveCaller)?;
    bench.figure("callers moved while they deferred a bio", sweep.windows);
    bench.figure("bios that these deferred", sweep.deferred);
    bench.figure("bios that a worker ended elsewhere", sweep.elsewhere);
    if let Some(offset) = sweep.lost_at {
        return fail(format!(
            "the bio of a caller that was moved at instruction +{offset:#x} did not end"
        ));
    }
    if sweep.elsewhere > 0 {
        return fail(format!(
            "{} of {} bios whose callers were moved were ended by the worker of one CPU on \
             another",
            sweep.elsewhere, sweep.deferred
        ));
    }
    Ok(())
}
