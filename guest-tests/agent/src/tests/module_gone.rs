// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 27, rmmod: the module that owns bios cannot go before they have ended.
//! Its run gives up with all of them held, and whoever had it open closes it;
//! removing it is refused then, as long as one bio may still call into it; they
//! end in one burst; and the module goes at once, and comes back.

use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::held::wait_for_held;
use super::{Bench, Stop, fail};
use crate::guest::boot;
use crate::guest::probe::Run;
use irqstorm_agent::protocol::{Disk, figures};

const ROUNDS: u32 = 4;

/// Bios of each round, ended in one burst.
const BIOS: u64 = 64;

/// The run gives up after this.
const GIVES_UP_MS: u32 = 500;

/// The last bio ends, and its run is freed, within this.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let rounds = bench.param("rounds", ROUNDS)?;
    for round in 0..rounds {
        bench.progress(format!("round {round}: {BIOS} bios without a module"));
        let outcome = one_round(bench, &disk);
        // Whatever came of it, the bios are let go and the probe is back.
        bench.device()?.hold(false)?;
        bench.device()?.release_all()?;
        if bench.probe().is_err() {
            bench.load_probe()?;
        }
        outcome?;
        // The function of the deferral's work has to be learnt anew.
        bench.prepare_hardirq()?;
    }
    bench.figure(figures::TAGGED, BIOS * u64::from(rounds));
    bench.figure("removals refused while bios were held", rounds.into());
    Ok(())
}

fn one_round(bench: &mut Bench, disk: &Disk) -> Result<(), Stop> {
    bench.device()?.hold(true)?;
    let mut run = Run::new(disk, BIOS);
    run.tag_every = 1;
    run.depth = u32::try_from(BIOS).unwrap_or(1);
    run.timeout_ms = GIVES_UP_MS;
    let result = bench.probe()?.run(&mut run)?;
    wait_for_held(bench, BIOS)?;
    if !result.timed_out || result.summary.never_ended != BIOS {
        return fail(format!(
            "the device holds {BIOS} bios, and the run says that {} have not ended",
            result.summary.never_ended
        ));
    }
    bench.close_probe();
    match boot::unload_probe() {
        Err(Errno::AGAIN | Errno::BUSY) => {}
        Err(e) => return fail(format!("remove the module with bios out: {e}")),
        Ok(()) => return fail(format!("the module went with {BIOS} bios out")),
    }
    bench.device()?.hold(false)?;
    bench.device()?.release_all()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match boot::unload_probe() {
            Ok(()) => return Ok(()),
            Err(Errno::AGAIN | Errno::BUSY) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(e) => {
                return fail(format!(
                    "the module cannot be removed when its bios were let go: {e}; not all of them \
                     have ended"
                ));
            }
        }
    }
}
