// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The controller is reset while it has commands and while bios that it has
//! completed wait for their worker. What it had it forgets, and the driver
//! submits it again; what was deferred has nothing to do with the controller any
//! more, and ends when its worker comes to it.
//!
//! The window is made: half of the commands are held, and the workers of a CPU
//! are kept busy, so that what completes there stays deferred until the
//! controller is back.
//!
//! What the driver finds completed while it resets it takes along in a task, with
//! a lock held (drivers/nvme/host/pci.c, nvme_reap_pending_cqes()): a gate that
//! asks in_task() lets those end there. How many did is reported; whether that
//! may be is for the tests of contexts to say.

use std::fs;
use std::thread;
use std::time::Instant;

use super::bench::all_ended;
use super::held::{HOLD_HALF, wait_for_held};
use super::{Bench, Stop, contexts, fail};
use crate::guest::probe::{Run, RunResult, Summary, TAGGED};
use crate::guest::queue;
use irqstorm_agent::protocol::{Disk, figures};

const ROUNDS: u64 = 4;

/// More than can be in flight when the reset comes.
const BIOS: u64 = 2_000;

/// Held when the reset comes, at least.
const HELD: u64 = 8;

/// The workers are kept busy for at most so long, and freed when the controller
/// is back.
const BLOCK_MS: u32 = 15_000;

/// The CPU whose bios stay deferred.
const DEFERRING: u32 = 0;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let mut total = Summary::default();
    let mut forgotten = 0;
    for round in 0..bench.param("rounds", ROUNDS)? {
        bench.progress(format!("round {round}: reset under load"));
        let (result, held) = one_round(bench, &disk)?;
        all_ended(&result)?;
        out_of_interrupts(&result.summary)?;
        contexts::add(&mut total, &result.summary);
        forgotten += held;
    }
    bench.figure(figures::TAGGED, total.ended[TAGGED]);
    bench.figure(
        "tagged bios ended in preemptible task context",
        total.end_task[TAGGED],
    );
    bench.figure(
        "tagged bios ended in atomic task context",
        total.end_task_atomic[TAGGED],
    );
    bench.figure("commands that the resets took back", forgotten);
    Ok(())
}

/// Fails if a tagged bio ended in an interrupt.
fn out_of_interrupts(summary: &Summary) -> Result<(), Stop> {
    let (hardirq, softirq) = (summary.end_hardirq[TAGGED], summary.end_softirq[TAGGED]);
    match hardirq + softirq {
        0 => Ok(()),
        _ => fail(format!(
            "of {} tagged bios {hardirq} ended in hardirq and {softirq} in softirq",
            summary.ended[TAGGED]
        )),
    }
}

/// A run of bios with a reset in it, and how many the device had at that.
fn one_round(bench: &mut Bench, disk: &Disk) -> Result<(RunResult, u64), Stop> {
    let probe = bench.probe()?;
    bench.scenario(HOLD_HALF)?;
    let mut run = Run::new(disk, BIOS);
    run.tag_every = 1;
    probe.block_workers(DEFERRING, BLOCK_MS)?;
    let submitter = {
        let probe = probe.clone();
        thread::spawn(move || probe.run(&mut run))
    };
    let outcome = wait_for_held(bench, HELD).and_then(|()| reset(bench, disk));
    let freed = probe.block_workers(DEFERRING, 0);
    // Whatever came of it, the submitter gets its bios back.
    bench.scenario("")?;
    let left = bench.device()?.release_all()?;
    let Ok(result) = submitter.join() else {
        return fail("the thread that submits bios panicked");
    };
    let held = outcome?;
    freed?;
    if left > 0 {
        return fail(format!(
            "the device still had {left} commands from before the reset"
        ));
    }
    Ok((result?, held))
}

/// Resets the controller and waits until it is back; how many commands it had.
fn reset(bench: &mut Bench, disk: &Disk) -> Result<u64, Stop> {
    let held = bench.device()?.held()?;
    // What comes again is not held again: the reset waits for it.
    bench.scenario("")?;
    let device = queue::device_name(disk).map_err(|e| format!("find the controller: {e}"))?;
    let file = format!("/sys/class/nvme/{device}/reset_controller");
    let begun = Instant::now();
    fs::write(&file, "1").map_err(|e| format!("write {file}: {e}"))?;
    bench.measure("a reset", begun.elapsed().as_secs_f64() * 1e3, "ms");
    Ok(held)
}
