// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Uncached writes to a new file of a new file system: once into new blocks,
//! once over them.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use super::page_drop::{
    DEFERS, calls_of, dropped, ordinary_writes_stay, pages_left, reads_back, write_uncached,
};
use super::{Bench, Stop};
use crate::guest::filesystem::{Mounted, NoFileSystem, PLACE};
use crate::guest::watch::{Calls, Watch};
use irqstorm_agent::protocol::Disk;

/// What became of the bios of one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    left: u64,
    /// Calls that put a bio off, if the kernel has such a function.
    pub(super) deferred: Option<Calls>,
    /// Calls of the file system's own function.
    pub(super) taken: Option<Calls>,
}

/// A file system of a kind, as an empty one, or why it is not to be had.
pub(super) fn make(kind: &'static str, disk: &Disk) -> Result<Mounted, Stop> {
    Mounted::make(kind, disk).map_err(refusal)
}

/// What it means for a test.
pub(super) fn refusal(refused: NoFileSystem) -> Stop {
    match refused {
        NoFileSystem::Unknown(why) => Stop::Skip(why),
        NoFileSystem::Failed(why) => Stop::Fail(why),
    }
}

/// Both rounds; no pages are left of either.
pub(super) fn on_file_system(
    bench: &mut Bench,
    kind: &'static str,
    takes: &str,
) -> Result<[Written; 2], Stop> {
    let disk = bench.prepare_hardirq()?;
    let mut mounted = make(kind, &disk)?;
    let outcome = both_rounds(bench, kind, takes);
    let unmounted = mounted.unmount();
    let rounds = outcome?;
    unmounted?;
    Ok(rounds)
}

fn both_rounds(bench: &mut Bench, kind: &str, takes: &str) -> Result<[Written; 2], Stop> {
    let path = Path::new(PLACE).join("control");
    ordinary_writes_stay(&open(&path)?)?;
    let gone = fs::remove_file(&path);
    gone.map_err(|e| format!("remove {}: {e}", path.display()))?;
    let file = open(&Path::new(PLACE).join("uncached"))?;
    let fresh = one_round(bench, &file, kind, "new blocks", takes)?;
    let over = one_round(bench, &file, kind, "overwritten blocks", takes)?;
    // Both are told before either is judged.
    dropped(fresh.left, &format!("new blocks of {kind}"))?;
    dropped(over.left, &format!("overwritten blocks of {kind}"))?;
    reads_back(&file, bench.seed, kind)?;
    Ok([fresh, over])
}

/// A file, made if it is not there, for reading and writing.
pub(super) fn open(path: &Path) -> Result<File, Stop> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    opened.map_err(|e| Stop::Fail(format!("open {}: {e}", path.display())))
}

fn one_round(
    bench: &mut Bench,
    file: &File,
    kind: &str,
    name: &str,
    takes: &str,
) -> Result<Written, Stop> {
    let probe = bench.probe()?;
    bench.progress(format!("uncached writes of {name} of {kind}"));
    let defers = Watch::start(&probe, DEFERS)?;
    let takes_up = Watch::start(&probe, takes)?;
    write_uncached(file, bench.seed, kind)?;
    let left = pages_left(bench, file, name)?;
    let (deferred, taken) = (calls_of(defers)?, calls_of(takes_up)?);
    let mut figure = |what: &str, calls: Option<Calls>| {
        if let Some(calls) = calls {
            bench.figure(
                &format!("calls of {what}() for {name}, from interrupts"),
                calls.interrupts,
            );
            bench.figure(
                &format!("calls of {what}() for {name}, from tasks"),
                calls.tasks,
            );
        }
    };
    figure(DEFERS, deferred);
    figure(takes, taken);
    Ok(Written {
        left,
        deferred,
        taken,
    })
}
