// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 27, unmount: a file system goes while the device holds its writeback and
//! tagged bios beside it. Unmounting waits for what is held; then all of it ends
//! in one burst, the file system's bios, where the kernel tags them, in the same
//! worker's runs as the probe's; and what was written is there when it is
//! mounted again. An end after its owner is gone is the kernel's to complain of,
//! about memory, lists or inodes that are somebody else's by then.

use std::fs::OpenOptions;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::bench::{all_ended, tagged_in_task};
use super::fs_page_drop::{make, refusal};
use super::held::wait_for_held;
use super::page_drop::{reads_back, submit_uncached, write_uncached};
use super::unplug::a_thread_waits_in;
use super::{Bench, Stop, fail};
use crate::guest::filesystem::Mounted;
use crate::guest::probe::{Run, RunResult, TAGGED};
use irqstorm_agent::protocol::{Disk, figures};

const ROUNDS: u32 = 3;

/// Bios of the probe's that are held beside the file system's.
const BIOS: u64 = 32;

/// Where they read: behind every file system of ours.
const BEHIND: u64 = (512 << 20) / 512;

/// In the stack of a thread that unmounts, on its way back from the call
/// (fs/namespace.c).
const WAITS_IN: &str = "cleanup_mnt";

/// Unmounting gets from its begin to its first wait within this.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let (mut ended, mut written) = (0, 0);
    for kind in ["xfs", "ext4"] {
        let mut mounted = make(kind, &disk)?;
        for round in 0..bench.param("rounds", ROUNDS)? {
            bench.progress(format!("{kind}, round {round}: a burst into an unmount"));
            let seed = bench.seed.wrapping_add(round.into());
            let (result, held) = one_round(bench, &disk, &mut mounted, seed)?;
            all_ended(&result)?;
            tagged_in_task(&result.summary)?;
            ended += result.summary.ended[TAGGED];
            written += held;
        }
        // Nothing of the next one's may lie in its log.
        mounted.unmount()?;
    }
    bench.figure(figures::TAGGED, ended);
    bench.figure(figures::TAGGED_IN_TASK, ended);
    bench.figure("requests of unmounting that were held", written);
    Ok(())
}

/// Writes, unmounts into a burst, mounts again and reads. What came of the
/// probe's bios, and how many requests of the file system's were held.
fn one_round(
    bench: &mut Bench,
    disk: &Disk,
    mounted: &mut Mounted,
    seed: u64,
) -> Result<(RunResult, u64), Stop> {
    let path = Path::new(crate::guest::filesystem::PLACE).join("burst");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = file.map_err(|e| format!("open {}: {e}", path.display()))?;
    // Once the blocks are there, writing over them is what the kernel tags.
    write_uncached(&file, seed.wrapping_add(1), "a file")?;
    bench.device()?.hold(true)?;
    submit_uncached(&file, seed, "a file")?;
    drop(file);
    let outcome = burst(bench, disk, mounted);
    // Whatever came of it, the disk is the next round's.
    bench.device()?.hold(false)?;
    bench.device()?.release_all()?;
    let came = outcome?;
    mounted.mount().map_err(refusal)?;
    let file = std::fs::File::open(&path).map_err(|e| format!("open {}: {e}", path.display()))?;
    reads_back(&file, seed, "what was written before the unmount")?;
    Ok(came)
}

/// Lets go what is held once unmounting waits for it.
fn burst(bench: &mut Bench, disk: &Disk, mounted: &mut Mounted) -> Result<(RunResult, u64), Stop> {
    let probe = bench.probe()?;
    let mut run = Run::new(disk, BIOS);
    run.first_sector = BEHIND;
    run.span_sectors = disk.sectors.saturating_sub(BEHIND) / 8 * 8;
    run.tag_every = 1;
    run.depth = u32::try_from(BIOS).unwrap_or(1);
    // Uncached writes are written back by themselves: some may be held already.
    let before = bench.device()?.held()?;
    let (result, unmounted, held) = thread::scope(|scope| -> Result<_, Stop> {
        let submitter = scope.spawn(move || probe.run(&mut run));
        let waited = wait_for_held(bench, before + BIOS);
        let unmounting = scope.spawn(|| mounted.unmount());
        let held = waited.and_then(|()| wait_for_unmount(bench));
        bench.device()?.hold(false)?;
        bench.device()?.release_all()?;
        let (Ok(result), Ok(unmounted)) = (submitter.join(), unmounting.join()) else {
            return fail("a thread of the test panicked");
        };
        Ok((result, unmounted, held))
    })?;
    let held = held?;
    unmounted?;
    Ok((result?, held))
}

/// Waits until unmounting waits, and no more comes to be held: how much that is
/// besides the probe's bios.
fn wait_for_unmount(bench: &mut Bench) -> Result<u64, Stop> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = 0;
    loop {
        let held = bench.device()?.held()?;
        if a_thread_waits_in(WAITS_IN) && held > BIOS && held == last {
            return Ok(held - BIOS);
        }
        if Instant::now() >= deadline {
            return fail("unmounting does not wait for anything that the device holds");
        }
        last = held;
        thread::sleep(Duration::from_millis(50));
    }
}
