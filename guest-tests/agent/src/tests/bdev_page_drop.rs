// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 25: uncached writes to a block device leave no pages behind. Their bios
//! complete in hardirq, where pages cannot be dropped, and so have to be tagged.

use std::fs::OpenOptions;

use super::page_drop::{
    DEFERS, calls_of, dropped, ordinary_writes_stay, pages_left, reads_back, write_uncached,
};
use super::{Bench, Stop, fail};
use crate::guest::watch::Watch;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let device = format!("/dev/{}", disk.name);
    let file = OpenOptions::new().read(true).write(true).open(&device);
    let file = file.map_err(|e| format!("open {device}: {e}"))?;
    ordinary_writes_stay(&file)?;
    let watch = Watch::start(&bench.probe()?, DEFERS)?;
    write_uncached(&file, bench.seed, "a block device")?;
    let left = pages_left(bench, &file, "a block device")?;
    let deferrals = calls_of(watch)?;
    if let Some(calls) = deferrals {
        bench.figure("bios deferred", calls.interrupts + calls.tasks);
    }
    dropped(left, "a block device")?;
    if deferrals.is_some_and(|calls| calls.interrupts == 0) {
        return fail("pages are gone, and no bio was deferred: nothing ended in an interrupt");
    }
    reads_back(&file, bench.seed, &device)
}
