// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 11: a worker that is asked to give way while it still has bios to end
//! comes back for them, although no later bio of that CPU brings it.
//!
//! Each round is the end of a storm: all bios of one CPU were held, and are let
//! go at once; their bi_end_io is slow, and a SCHED_FIFO thread comes and goes
//! beside them. A kernel that is preempted anywhere takes the CPU from the
//! worker; one that is not (`:no-preempt-count`) has it see need_resched().

use std::thread;

use super::bench::{all_ended, tagged_in_task};
use super::held::{let_go, wait_for_held};
use super::{Bench, Stop, fail};
use crate::guest::deferral;
use crate::guest::probe::{Run, RunResult, TAGGED};
use irqstorm_agent::protocol::figures;

const ROUNDS: u32 = 4;

/// No more than a ring holds.
const BIOS: u64 = 96;

/// What a bi_end_io takes: all together outlast the thread's turns.
const END_IO_NS: u32 = 200_000;

/// The thread's turns.
const HOG_BUSY_US: u32 = 1_000;
const HOG_SLEEP_US: u32 = 2_000;

/// Bios that have not ended by then are left behind.
const PATIENCE_MS: u32 = 5_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    bench.prepare_hardirq()?;
    bench.scenario("interrupt = 'when-wanted'")?;
    let (mut ended, mut runs, mut longest) = (0, 0, 0);
    for round in 0..bench.param("rounds", ROUNDS)? {
        bench.progress(format!("round {round}"));
        let result = one_round(bench)?;
        all_ended(&result)?;
        tagged_in_task(&result.summary)?;
        ended += result.summary.ended[TAGGED];
        runs += result.summary.worker_runs;
        longest = longest.max(result.summary.latency_ns_max);
    }
    bench.figure(figures::TAGGED, ended);
    bench.figure(figures::WORKER_RUNS, runs);
    bench.figure(
        "longest from bio_endio() to bi_end_io(), us",
        longest / 1000,
    );
    if longest < u64::from(HOG_BUSY_US + HOG_SLEEP_US) * 1000 {
        return fail("the bios were ended before the SCHED_FIFO thread had its turn");
    }
    Ok(())
}

fn one_round(bench: &mut Bench) -> Result<RunResult, Stop> {
    let probe = bench.probe()?;
    let cpu = bench.cpus() - 1;
    let mut run = Run::new(&bench.disk()?, BIOS);
    run.tag_every = 1;
    run.cpus = 1 << cpu;
    run.depth = u32::try_from(BIOS).unwrap_or(1);
    run.end_io_busy_ns = END_IO_NS;
    run.timeout_ms = PATIENCE_MS;
    bench.device()?.hold(true)?;
    let submitter = {
        let probe = probe.clone();
        thread::spawn(move || probe.run(&mut run))
    };
    let outcome = wait_for_held(bench, BIOS)
        .and_then(|()| Ok(deferral::start_hog(&probe, cpu, HOG_BUSY_US, HOG_SLEEP_US)?));
    // Whatever came of it, the submitter waits for its bios.
    let_go(bench)?;
    let result = match submitter.join() {
        Ok(result) => result,
        Err(_) => return fail("the thread that submits bios panicked"),
    };
    deferral::stop_hog(&probe)?;
    outcome?;
    Ok(result?)
}
