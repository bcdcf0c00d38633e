// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 28: the disk goes while bios are written to it and the device holds half
//! of them. Taking it away waits for what the device has; what is submitted
//! from then on ends with an error; nothing hangs, and a disk that comes back
//! works.
//!
//! The driver is unbound, which is as far as a guest can unplug its disk by
//! itself; `irqstorm faults` takes it out of the machine.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::bench::tagged_in_task;
use super::gone;
use super::held::{HOLD_HALF, wait_for_held};
use super::sides;
use super::{Bench, Stop, fail};
use crate::guest::binding::Binding;
use crate::guest::probe::{Run, RunResult, TAGGED};
use irqstorm_agent::protocol::{Disk, figures};

/// More than can be in flight when the disk goes.
const BIOS: u64 = 2_000;

/// Held when the disk goes, at least.
const HELD: u64 = 8;

/// Where del_gendisk() waits for the disk's last requests.
const WAITS_IN: &str = "blk_mq_freeze_queue_wait";

/// A machine under emulation gets anywhere within this.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let device = Binding::of(&disk).map_err(|e| format!("find the disk's device: {e}"))?;
    bench.scenario(HOLD_HALF)?;
    let result = unplug_under_writers(bench, &disk, &device)?;
    let summary = result.summary;
    bench.figure(figures::TAGGED, summary.ended[TAGGED]);
    bench.figure(figures::TAGGED_IN_TASK, summary.end_task[TAGGED]);
    bench.figure("bios that ended with an error", summary.errors[TAGGED]);
    gone::ended_once(&result)?;
    if summary.errors[TAGGED] == 0 {
        return fail("no bio ended with an error although the disk was gone");
    }
    tagged_in_task(&summary)?;
    come_back(bench, &disk, &device)
}

/// Takes the disk away with bios held, and lets them go when it waits for them.
fn unplug_under_writers(
    bench: &mut Bench,
    disk: &Disk,
    device: &Binding,
) -> Result<RunResult, Stop> {
    let probe = bench.probe()?;
    let mut run = Run::new(disk, BIOS);
    run.tag_every = 1;
    run.op = 1;
    run.depth = 16;
    let writer = thread::spawn(move || probe.run(&mut run));
    let held = wait_for_held(bench, HELD);
    let begun = Instant::now();
    let unbinding = {
        let device = device.clone();
        thread::spawn(move || device.unbind())
    };
    let deadline = Instant::now() + PATIENCE;
    let mut waited = false;
    while !waited && !unbinding.is_finished() && Instant::now() < deadline {
        waited = a_thread_waits_in(WAITS_IN);
        thread::sleep(Duration::from_millis(5));
    }
    // Whatever came of it, all is let go.
    bench.scenario("")?;
    bench.device()?.release_all()?;
    let (Ok(unbound), Ok(result)) = (unbinding.join(), writer.join()) else {
        return fail("a thread of the test panicked");
    };
    let teardown = begun.elapsed();
    held?;
    unbound.map_err(|e| format!("unbind {}: {e}", device.name))?;
    bench.measure(
        "until the disk was gone",
        teardown.as_secs_f64() * 1e3,
        "ms",
    );
    if !waited {
        return fail("the disk went without waiting for the bios that the device held");
    }
    Ok(result?)
}

/// Binds the driver again, and sees that the disk works, under its old name.
fn come_back(bench: &mut Bench, disk: &Disk, device: &Binding) -> Result<(), Stop> {
    // The old name is still taken by the probe's last run.
    let returned = bound(disk, device)?;
    let mut run = Run::new(&returned, 1_000);
    run.tag_every = 1;
    let summary = bench.run(&mut run)?;
    tagged_in_task(&summary)?;
    bench.figure("bios after the disk was back", summary.ended[TAGGED]);
    // The old name is free a moment after the last who has the disk open is gone.
    bench.close_probe();
    let back = sides::wait_until("the disk to come back under its name", || {
        let unbound = device.unbind();
        unbound.map_err(|e| format!("unbind {}: {e}", device.name))?;
        Ok(bound(disk, device)?.name == disk.name)
    });
    bench.load_probe()?;
    back?;
    bench.prepare_hardirq().map(drop)
}

/// Binds the driver; the disk that then comes.
fn bound(disk: &Disk, device: &Binding) -> Result<Disk, Stop> {
    let failed = |e| format!("bind {}: {e}", device.name);
    device.bind().map_err(failed)?;
    gone::returned(disk, || device.disk())
}

/// Whether a thread of the agent is in a function of the kernel just now.
pub(super) fn a_thread_waits_in(function: &str) -> bool {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return false;
    };
    threads.flatten().any(|thread| {
        let stack = fs::read_to_string(thread.path().join("stack"));
        stack.is_ok_and(|stack| stack.contains(function))
    })
}
