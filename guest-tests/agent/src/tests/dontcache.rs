// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What uncached writes cost, as an experiment: the loads for which fio's
//! figures were posted in the patch's reviews, by tasks of this program's own.
//! Where fio has a depth, as many threads write. They overwrite, since what
//! extends a file ends on XFS' own workqueue; the disk itself takes uncached
//! writes since 7.3, and is left out before.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use irqstorm_agent::points::{Point, measures};
use irqstorm_agent::protocol::{Disk, Figure, figures};

use super::alone_in_time::jiffy;
use super::bench::{precise, ratio};
use super::fs_page_drop::{make, open};
use super::{Bench, Stop, fail, skip};
use crate::guest::cached::{self, Uncached};
use crate::guest::count::Count;
use crate::guest::disk;
use crate::guest::filesystem::PLACE;
use crate::guest::probe::Summary;

/// A disk that takes its time and interrupts when it is to.
const SCRIPT: &str = "latency = { fixed = '50us' }";

/// What one writer needs of the guest's memory besides the block that all share.
const STACK: usize = 64 << 10;

/// More than the guest's memory has room for.
const READ: u64 = 768 << 20;

/// A load: so many blocks, each written once.
#[derive(Clone, Copy)]
struct Load {
    block: usize,
    writers: u32,
    blocks: u64,
    random: bool,
}

/// 128k at depths 1 and 128, one after the other; 4k at depth 32, anywhere.
const LOADS: [Load; 3] = [
    Load {
        block: 128 << 10,
        writers: 1,
        blocks: 512,
        random: false,
    },
    Load {
        block: 128 << 10,
        writers: 128,
        blocks: 1024,
        random: false,
    },
    Load {
        block: 4 << 10,
        writers: 32,
        blocks: 8192,
        random: true,
    },
];

/// What is written to.
struct Target<'a> {
    file: &'a File,
    raw: bool,
}

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    bench.scenario(SCRIPT)?;
    bench.measure(measures::JIFFY, jiffy()?.as_secs_f64() * 1e6, "us");
    let mut all = Summary::default();
    on_disk(bench, &disk, &mut all)?;
    on_xfs(bench, &disk, &mut all)?;
    if all.tagged_hardirq == 0 {
        return skip(
            "this kernel tags no bio of uncached writes: XFS takes them to its own workqueue; \
             7.3 and KERNEL:dontcache do",
        );
    }
    bench.figure(figures::TAGGED, all.tagged_hardirq + all.tagged_elsewhere);
    bench.figure(figures::TAGGED_FROM_HARDIRQ, all.tagged_hardirq);
    // All that completed in hardirq was the worker's to end.
    all.worker_bios = all.tagged_hardirq;
    bench.report_worker(&all);
    Ok(())
}

fn on_disk(bench: &mut Bench, disk: &Disk, all: &mut Summary) -> Result<(), Stop> {
    let path = format!("/dev/{}", disk.name);
    let file = open(Path::new(&path))?;
    disk::cache_in_pages(&file).map_err(|e| format!("set the block size of {path}: {e}"))?;
    let takes = cached::write(&file, &[0; 4096], 0);
    match takes.map_err(|e| format!("write to {path} uncached: {e}"))? {
        Uncached::Unsupported => Ok(()),
        Uncached::Written => loads(
            bench,
            &Target {
                file: &file,
                raw: true,
            },
            all,
        ),
    }
}

fn on_xfs(bench: &mut Bench, disk: &Disk, all: &mut Summary) -> Result<(), Stop> {
    let mut mounted = make("xfs", disk)?;
    let outcome = open(&Path::new(PLACE).join("uncached")).and_then(|file| {
        loads(
            bench,
            &Target {
                file: &file,
                raw: false,
            },
            all,
        )
    });
    let unmounted = mounted.unmount();
    outcome?;
    Ok(unmounted?)
}

fn loads(bench: &mut Bench, target: &Target, all: &mut Summary) -> Result<(), Stop> {
    for load in LOADS {
        bench.progress(load.words(target));
        measure(bench, target, load, all)?;
    }
    Ok(())
}

impl Load {
    fn words(&self, target: &Target) -> String {
        format!(
            "{} of {} KiB by {} writers to {}",
            self.blocks,
            self.block >> 10,
            self.writers,
            if target.raw { "the disk" } else { "XFS" }
        )
    }

    fn setting(&self, target: &Target) -> Vec<Figure> {
        let figure = |name: &str, value: f64, unit: &str| Figure {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
        };
        vec![
            figure(measures::RAW, if target.raw { 1.0 } else { 0.0 }, ""),
            figure(measures::BLOCK, precise((self.block >> 10) as u64), "KiB"),
            figure(measures::WRITERS, self.writers.into(), ""),
        ]
    }

    /// Where the n-th block lies: an odd factor meets each of a power of two once.
    fn offset(&self, nth: u64) -> u64 {
        let place = match self.random {
            true => nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.blocks,
            false => nth,
        };
        place * self.block as u64
    }

    fn bytes(&self) -> u64 {
        self.blocks * self.block as u64
    }

    /// Writes all blocks and syncs; the time that it takes, in nanoseconds.
    fn write(&self, file: &File, uncached: bool) -> Result<u64, Stop> {
        let block = vec![0x5a; self.block];
        let next = AtomicU64::new(0);
        let writer = || -> std::io::Result<()> {
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= self.blocks {
                    return Ok(());
                }
                let offset = self.offset(nth);
                if !uncached {
                    file.write_all_at(&block, offset)?;
                } else if cached::write(file, &block, offset)? == Uncached::Unsupported {
                    return Err(std::io::ErrorKind::Unsupported.into());
                }
            }
        };
        let begin = Instant::now();
        let written: std::io::Result<()> = thread::scope(|scope| {
            let mut writers = Vec::new();
            for _ in 0..self.writers {
                let builder = thread::Builder::new().stack_size(STACK);
                writers.push(builder.spawn_scoped(scope, writer)?);
            }
            let gone = || std::io::Error::other("a writer panicked");
            let mut ended = writers.into_iter().map(|writer| writer.join());
            ended.try_for_each(|outcome| outcome.unwrap_or_else(|_| Err(gone())))
        });
        let synced = written.and_then(|()| file.sync_data());
        synced.map_err(|e| format!("write {} KiB at a time: {e}", self.block >> 10))?;
        Ok(nanos(begin))
    }
}

fn nanos(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn drop_caches() -> Result<(), Stop> {
    cached::drop_all().map_err(|e| Stop::Fail(format!("drop cached pages: {e}")))
}

fn measure(bench: &mut Bench, target: &Target, load: Load, all: &mut Summary) -> Result<(), Stop> {
    // Whatever it is to overwrite is there then, and nothing of it is cached.
    load.write(target.file, false)?;
    drop_caches()?;
    let cached = load.write(target.file, false)?;
    drop_caches()?;
    let count = Count::start(&bench.probe()?)?;
    let uncached = load.write(target.file, true)?;
    let summary = count.end()?;
    if summary.tagged_hardirq + summary.tagged_elsewhere == 0 {
        return Ok(());
    }
    check(&load.words(target), &summary)?;
    let mut point = Point {
        setting: load.setting(target),
        ..Point::default()
    };
    add_counts(&mut point, load, &summary);
    let speed = ratio(load.bytes(), uncached) * 1e3;
    point.add(measures::WRITTEN, speed, "MB/s");
    point.add(measures::WRITTEN_OVER_CACHED, ratio(cached, uncached), "");
    if target.raw && load.writers == 1 {
        bench.progress("reads of more than the memory has room for");
        let faster = ratio(read(target.file, false)?, read(target.file, true)?);
        point.add(measures::READ_OVER_CACHED, faster, "");
    }
    bench.point(point);
    add_up(all, &summary);
    Ok(())
}

/// What must be so on any kernel, or the counts mean nothing.
fn check(words: &str, summary: &Summary) -> Result<(), Stop> {
    let (there, elsewhere) = (summary.tagged_hardirq, summary.tagged_elsewhere);
    if elsewhere > 0 {
        return fail(format!(
            "{words}: of the bios that were tagged {there} completed in hardirq, and {elsewhere} \
             elsewhere"
        ));
    }
    if summary.worker_runs == 0 {
        return fail(format!(
            "{words}: {there} tagged bios completed in hardirq, and the worker did not run"
        ));
    }
    Ok(())
}

fn add_counts(point: &mut Point, load: Load, summary: &Summary) {
    let bios = summary.tagged_hardirq;
    for (name, of, to) in [
        (measures::BIOS_PER_RUN, bios, summary.worker_runs),
        (measures::BIOS_PER_IO, bios, load.blocks),
        (measures::WORKS_PER_BIO, summary.queue_work_calls, bios),
        (measures::SWITCHES_PER_IO, summary.switches, load.blocks),
        (
            measures::WORKER_SWITCHES_PER_IO,
            summary.switches_to_worker,
            load.blocks,
        ),
    ] {
        point.add(name, ratio(of, to), "");
    }
}

fn add_up(all: &mut Summary, one: &Summary) {
    all.tagged_hardirq += one.tagged_hardirq;
    all.tagged_elsewhere += one.tagged_elsewhere;
    all.queue_work_calls += one.queue_work_calls;
    all.worker_runs += one.worker_runs;
    all.switches += one.switches;
    all.switches_to_worker += one.switches_to_worker;
}

/// Reads one block after the other with nothing cached before; the time that it
/// takes, in nanoseconds.
fn read(file: &File, uncached: bool) -> Result<u64, Stop> {
    drop_caches()?;
    let mut block = vec![0; 128 << 10];
    let begin = Instant::now();
    for offset in (0..READ).step_by(block.len()) {
        let read = match uncached {
            true => cached::read(file, &mut block, offset),
            false => file.read_exact_at(&mut block, offset),
        };
        read.map_err(|e| format!("read the disk at {offset}: {e}"))?;
    }
    Ok(nanos(begin))
}
