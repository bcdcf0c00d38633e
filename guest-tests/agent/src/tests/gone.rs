// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A disk that goes amid I/O, taken from its driver or out of its slot: what
//! holds for the bios on their way to it, and its return.

use irqstorm_agent::protocol::Disk;

use super::sides;
use super::{Stop, fail};
use crate::guest::disk::{self, Affinity};
use crate::guest::probe::RunResult;

/// Fails if a bio is missing or ended more than once. That it ended with an
/// error may be right: it has met no disk.
pub(super) fn ended_once(result: &RunResult) -> Result<(), Stop> {
    let summary = &result.summary;
    let submitted: u64 = summary.submitted.iter().sum();
    let again = summary.ended_again + summary.ended_late;
    if result.timed_out || summary.never_ended + again > 0 {
        return fail(format!(
            "{} of {submitted} bios never ended, {again} ended more than once",
            summary.never_ended
        ));
    }
    Ok(())
}

/// Waits for the disk to come: as it was, under the name that it has now, which
/// is another one as long as somebody has the disk that went open.
pub(super) fn returned(
    disk: &Disk,
    mut find: impl FnMut() -> Option<String>,
) -> Result<Disk, Stop> {
    let mut name = None;
    sides::wait_until("the disk to come back", || {
        name = find();
        Ok(name.is_some())
    })?;
    let name = name.unwrap_or_default();
    let returned = Disk {
        name,
        ..disk.clone()
    };
    disk::prepare(&returned, Affinity::Group).map_err(|e| format!("set up the disk: {e}"))?;
    Ok(returned)
}
