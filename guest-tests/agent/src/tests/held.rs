// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Bios that the device holds: waiting until it has them, letting them go, and
//! letting them go at the instant at which a CPU on its way offline waits for
//! them.
//!
//! kernel/cpu.c goes through CPUHP_AP_WORKQUEUE_ONLINE before
//! CPUHP_AP_BLK_MQ_ONLINE on the way down: when the block layer waits, the
//! CPU's workers are no longer its own.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::{Bench, Stop, fail};
use crate::guest::cpu;

/// A script of a disk that keeps every second request.
pub(super) const HOLD_HALF: &str = "\
[[rule]]
every = 2
hold = true
";

/// The step of the block layer in which a CPU that goes waits for its requests
/// (block/blk-mq.c).
const WAITS_IN: &str = "blk_mq_hctx_notify_offline";

/// Takes a CPU offline and has the held completions come when the block layer
/// waits for them. Returns how the CPU's way ended; fails if it did not lead
/// past that edge.
pub(super) fn release_at_the_edge(bench: &mut Bench, victim: u32) -> Result<io::Result<()>, Stop> {
    let going = thread::spawn(move || cpu::set_online(victim, false));
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut seen = false;
    while !seen && !going.is_finished() && Instant::now() < deadline {
        seen = cpu::waits_in(victim, WAITS_IN);
        thread::sleep(Duration::from_millis(5));
    }
    let_go(bench)?;
    let Ok(outcome) = going.join() else {
        return fail("the thread that takes the CPU offline panicked");
    };
    if !seen {
        return fail(format!(
            "CPU {victim} did not wait for its requests on its way: the edge was missed"
        ));
    }
    Ok(outcome)
}

/// Has the device hold nothing any more.
pub(super) fn let_go(bench: &mut Bench) -> Result<(), Stop> {
    bench.device()?.hold(false)?;
    bench.device()?.release_all()?;
    Ok(())
}

pub(super) fn wait_for_held(bench: &mut Bench, wanted: u64) -> Result<(), Stop> {
    wait_for(bench, wanted, "held", |bench| Ok(bench.device()?.held()?))
}

/// Waits until the device has taken so many requests since it began.
pub(super) fn wait_for_taken(bench: &mut Bench, wanted: u64) -> Result<(), Stop> {
    wait_for(bench, wanted, "taken", |bench| {
        Ok(bench.device()?.status()?.total.requests)
    })
}

fn wait_for(
    bench: &mut Bench,
    wanted: u64,
    what: &str,
    count: fn(&mut Bench) -> Result<u64, Stop>,
) -> Result<(), Stop> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let there = count(bench)?;
        if there >= wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            return fail(format!(
                "of {wanted} bios the device has {what} {there} after 20 s"
            ));
        }
        thread::sleep(Duration::from_millis(5));
    }
}
