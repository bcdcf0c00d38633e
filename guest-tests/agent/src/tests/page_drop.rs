// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What rows 25 and 26 have in common: uncached writes in pieces, their
//! writeback, and what is left of them in the page cache.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use super::{Bench, Stop, fail, skip};
use crate::guest::cached::{self, PAGE, Uncached};
use crate::guest::watch::{Calls, Watch};

/// Bytes of one write, and of all.
const PIECE: u64 = 64 << 10;
pub(super) const LEN: u64 = 4 << 20;

/// Pages that may be left: one that somebody else happens to hold at the wrong
/// moment stays.
const LEFT: u64 = LEN / PAGE / 100;

/// Pages go right after their writeback has ended, which is what a sync waits
/// for: not long after it returns. Under emulation, anything happens in this.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a bio is put off, since 7.3; earlier kernels have nothing there that
/// can be watched.
pub(super) const DEFERS: &str = "__bio_complete_in_task";

/// What is written at an offset: different everywhere, and for each seed.
fn pattern(offset: u64, seed: u64) -> Vec<u8> {
    let words = (offset..offset + PIECE).step_by(8);
    let scramble = |at: u64| (at ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    words.flat_map(|at| scramble(at).to_le_bytes()).collect()
}

/// Sees that ordinary writes stay in the cache, so that a cache without pages
/// says something, and has them go.
pub(super) fn ordinary_writes_stay(file: &File) -> Result<(), Stop> {
    let failed = |what: &str, e: std::io::Error| Stop::Fail(format!("{what}: {e}"));
    file.write_all_at(&pattern(0, 0), 0)
        .map_err(|e| failed("write", e))?;
    file.sync_data().map_err(|e| failed("sync", e))?;
    let pages = cached::resident(file, LEN).map_err(|e| failed("count cached pages", e))?;
    if pages < PIECE / PAGE {
        return fail(format!(
            "of {} pages written and cached {pages} are counted",
            PIECE / PAGE
        ));
    }
    cached::drop_all().map_err(|e| failed("drop cached pages", e))
}

/// Writes all pieces uncached.
pub(super) fn submit_uncached(file: &File, seed: u64, what: &str) -> Result<(), Stop> {
    for offset in (0..LEN).step_by(usize::try_from(PIECE).unwrap_or(usize::MAX)) {
        let written = cached::write(file, &pattern(offset, seed), offset);
        match written.map_err(|e| format!("write to {what} uncached: {e}"))? {
            Uncached::Written => {}
            Uncached::Unsupported => {
                return skip(format!(
                    "{what} takes no uncached writes on this kernel (RWF_DONTCACHE: EOPNOTSUPP)"
                ));
            }
        }
    }
    Ok(())
}

/// Writes all pieces uncached, and syncs.
pub(super) fn write_uncached(file: &File, seed: u64, what: &str) -> Result<(), Stop> {
    submit_uncached(file, seed, what)?;
    let synced = file.sync_data();
    synced.map_err(|e| Stop::Fail(format!("sync {what}: {e}")))
}

/// Pages that are left, having been waited for.
pub(super) fn pages_left(bench: &mut Bench, file: &File, name: &str) -> Result<u64, Stop> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = cached::resident(file, LEN).map_err(|e| format!("count cached pages: {e}"))?;
        if left == 0 || Instant::now() >= deadline {
            bench.figure(&format!("pages left of {name}"), left);
            return Ok(left);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Fails if more are left than may be.
pub(super) fn dropped(left: u64, name: &str) -> Result<(), Stop> {
    if left <= LEFT {
        return Ok(());
    }
    fail(format!(
        "{left} of {} pages of {name} are still cached: they end where they cannot be dropped",
        LEN / PAGE
    ))
}

/// Sees that all is on the disk as it was written.
pub(super) fn reads_back(file: &File, seed: u64, what: &str) -> Result<(), Stop> {
    let mut piece = vec![0; usize::try_from(PIECE).unwrap_or_default()];
    for offset in (0..LEN).step_by(piece.len()) {
        file.read_exact_at(&mut piece, offset)
            .map_err(|e| format!("read {what}: {e}"))?;
        if piece != pattern(offset, seed) {
            return fail(format!("{what} reads otherwise at {offset} than written"));
        }
    }
    Ok(())
}

/// The calls that came, as far as the kernel has the function.
pub(super) fn calls_of(watch: Option<Watch>) -> Result<Option<Calls>, Stop> {
    Ok(watch.map(Watch::end).transpose()?)
}
