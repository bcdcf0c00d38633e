// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `endurance` on a disk that is taken out of its slot amid I/O and put back.
//!
//! Bios may end with an error from the moment at which the disk is taken from
//! its driver, and none before or after; none is lost or ends twice. What then
//! is on the disk is, sector by sector, what was written last or, where that
//! write has not ended well, what was there before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use irqstorm_agent::protocol::Disk;

use super::bench::all_ended;
use super::endurance::{READ, Seen, WRITE, both, judge, load, read_same};
use super::gone;
use super::{Bench, Stop, fail};
use crate::guest::probe::RunResult;
use crate::guest::slot::Slot;

/// The disk is asked for within this, and put back.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at the slot.
const POLL: Duration = Duration::from_millis(5);

/// Sectors of a bio.
const SECTORS: u64 = 8;

/// Works until the disk has gone, has come back, and has done a whole round.
pub(super) fn run(bench: &mut Bench, disk: &Disk, seen: &mut Seen) -> Result<(), Stop> {
    let slot = Slot::of(disk).map_err(|e| format!("find the slot of {}: {e}", disk.name))?;
    // What is there is known before it can go.
    round(bench, disk, 0, seen)?;
    let removal = Removal::begin(&slot);
    let left = until_gone(bench, disk, &removal, seen)?;
    removal.end()?;
    let disk = put_back(bench, &slot, disk)?;
    look(bench, &disk, &left, seen)?;
    round(bench, &disk, left.pattern + 1, seen)
}

/// Writes all blocks and reads them back, on a disk that is there.
fn round(bench: &Bench, disk: &Disk, pattern: u64, seen: &mut Seen) -> Result<(), Stop> {
    for op in [WRITE, READ] {
        let result = bench.probe()?.run(&mut load(bench, disk, pattern, op))?;
        seen.add(&result.summary);
        judge(&result)?;
    }
    seen.rounds += 1;
    Ok(())
}

/// What has to be on the disk when it is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    /// What was written last.
    pattern: u64,
    /// What was there before, if that has not been overwritten, all of it.
    before: Option<u64>,
    /// Bios that wrote and ended well.
    written: u64,
}

/// Writes and reads back, again and again, until the disk is gone.
fn until_gone(
    bench: &Bench,
    disk: &Disk,
    removal: &Removal,
    seen: &mut Seen,
) -> Result<Left, Stop> {
    let deadline = Instant::now() + PATIENCE;
    let mut pattern = 0;
    while Instant::now() < deadline {
        pattern += 1;
        for op in [WRITE, READ] {
            let mut run = load(bench, disk, pattern, op);
            let bios = run.bios;
            let left = |well| Left {
                pattern,
                before: (op == WRITE).then(|| pattern - 1),
                written: if op == WRITE { well } else { bios },
            };
            // Not that they do: the probe counts those that end otherwise.
            run.io_error = u64::MAX;
            let result = match bench.probe()?.run(&mut run) {
                Ok(result) => result,
                // It cannot be opened any more.
                Err(_) if removal.has_begun() => return Ok(left(0)),
                Err(reason) => return Err(reason.into()),
            };
            let ended = both(result.summary.ended);
            let well = ended.saturating_sub(both(result.summary.errors));
            if both(result.summary.errors) > 0 && removal.has_begun() {
                seen.add_refused(&result.summary);
                judge_refused(&result, well)?;
                return Ok(left(well));
            }
            seen.add(&result.summary);
            judge(&result)?;
        }
        seen.rounds += 1;
    }
    fail(format!("nobody took the disk in {} s", PATIENCE.as_secs()))
}

/// Fails if bios on their way to a disk that went are missing, ended twice, or
/// with another error than that of I/O; of all, so many ended well.
fn judge_refused(result: &RunResult, well: u64) -> Result<(), Stop> {
    gone::ended_once(result)?;
    read_same(&result.summary)?;
    // bio_io_error(), block/blk-core.c, for a disk that is dead.
    match result.summary.wrong_status.saturating_sub(well) {
        0 => Ok(()),
        others => fail(format!(
            "{others} bios that met no disk ended with another error than EIO"
        )),
    }
}

/// The disk that was put back.
fn put_back(bench: &mut Bench, slot: &Slot, disk: &Disk) -> Result<Disk, Stop> {
    let failed = |e| Stop::Fail(format!("look into the slot: {e}"));
    let deadline = Instant::now() + PATIENCE;
    while !slot.is_occupied().map_err(failed)? {
        if Instant::now() > deadline {
            return fail(format!("no disk was put back in {} s", PATIENCE.as_secs()));
        }
        thread::sleep(POLL);
    }
    slot.fill().map_err(|e| format!("fill the slot: {e}"))?;
    let returned = gone::returned(disk, || slot.disk())?;
    bench.disk_is(returned.clone());
    Ok(returned)
}

/// Sees that everything is there that was on the disk when it went.
fn look(bench: &Bench, disk: &Disk, left: &Left, seen: &mut Seen) -> Result<(), Stop> {
    let mut sectors = 0;
    let mut of = |pattern| -> Result<u64, Stop> {
        let mut run = load(bench, disk, pattern, READ);
        let result = bench.probe()?.run(&mut run)?;
        let summary = &result.summary;
        all_ended(&result)?;
        seen.ended += both(summary.ended);
        sectors = run.bios * SECTORS;
        Ok(sectors.saturating_sub(summary.bad_sectors))
    };
    let last = of(left.pattern)?;
    let before = left.before.map_or(Ok(0), &mut of)?;
    let missing = missing(sectors, left.written * SECTORS, last, before);
    seen.other += missing;
    match missing {
        0 => Ok(()),
        missing => fail(format!(
            "on the disk that came back {missing} sectors are not as they were written"
        )),
    }
}

/// Sectors that are not as they must be: of so many, the writes of some had ended
/// well; found were `last`, as these wrote, and `before`, as those wrote that
/// were before them.
fn missing(sectors: u64, written: u64, last: u64, before: u64) -> u64 {
    let neither = sectors.saturating_sub(last + before);
    neither.max(written.saturating_sub(last))
}

/// Takes the disk out when it is asked for.
struct Removal {
    begun: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), String>>,
}

impl Removal {
    fn begin(slot: &Slot) -> Removal {
        let (slot, begun) = (slot.clone(), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&begun);
        let thread = thread::spawn(move || {
            let deadline = Instant::now() + PATIENCE;
            while !slot
                .is_pressed()
                .map_err(|e| format!("look at the slot: {e}"))?
            {
                if Instant::now() > deadline {
                    return Err("the slot's button was not pressed".to_owned());
                }
                thread::sleep(POLL);
            }
            // Before it is: an error may come at once.
            told.store(true, Ordering::Release);
            slot.empty().map_err(|e| format!("empty the slot: {e}"))
        });
        Removal { begun, thread }
    }

    /// Whether bios may meet no disk.
    fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Waits until the slot is empty.
    fn end(self) -> Result<(), Stop> {
        match self.thread.join() {
            Ok(removed) => Ok(removed?),
            Err(_) => fail("the thread that takes the disk out panicked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn each_sector_is_as_written_last_or_as_before() {
        assert_eq!(missing(100, 40, 40, 60), 0);
        // A write that ended with an error may have been done.
        assert_eq!(missing(100, 40, 55, 45), 0);
        assert_eq!(missing(100, 100, 100, 0), 0, "gone while it was read");
    }

    #[test]
    fn a_write_that_ended_well_and_is_not_there_is_missing() {
        assert_eq!(missing(100, 40, 32, 68), 8, "undone");
        assert_eq!(missing(100, 40, 40, 59), 1, "neither");
        assert_eq!(missing(100, 100, 99, 0), 1);
        assert_eq!(missing(100, 0, 0, 99), 1);
    }
}
