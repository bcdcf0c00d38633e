// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 13: bios that a CPU has deferred, and not yet ended, when it goes
//! offline.
//!
//! The window is hit on purpose, in three ways by turns. The device holds the
//! completions of one CPU's bios. Then either the probe keeps that CPU's
//! workers busy, the completions are let go, and the CPU is taken offline with
//! the deferral's work still queued; or the CPU is taken offline first, and the
//! completions are let go at the edge, when its workers are no longer its own
//! and the block layer waits for its last requests; or they come there one after
//! the other, so that interrupts meet a worker which has their list on another
//! CPU. Each time the work may run on another CPU, and what the dead CPU's list
//! holds must still end, in task context.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::bench::{all_ended, completed_in_hardirq, tagged_in_task};
use super::held::{let_go, release_at_the_edge, wait_for_held, wait_for_taken};
use super::{Bench, Stop, fail, skip};
use crate::guest::cpu;
use crate::guest::probe::{Run, RunResult, Summary, TAGGED};
use irqstorm_agent::protocol::figures;

const ROUNDS: u32 = 6;

/// Completions at once, when the test lets them go.
const AT_ONCE: &str = "interrupt = 'when-wanted'";

/// Completions by themselves, each with its interrupt, a few milliseconds apart:
/// late enough that the CPU has got to where it waits for them. Where it is
/// later than that, the round proves less, and nothing wrong.
const BY_TURNS: &str = "latency = { uniform = { min = '800ms', max = '950ms' } }\n\
    interrupt = 'per-completion'";

/// Bios deferred on the CPU in each round.
const BIOS: u64 = 48;

/// After so many microseconds the kernel takes a busy work for CPU intensive and
/// starts another worker beside it (kernel/workqueue.c, wq_worker_tick()): the
/// bios would not stay deferred.
const INTENSIVE_AFTER: &str = "/sys/module/workqueue/parameters/cpu_intensive_thresh_us";

/// The workers are kept busy for at most so long: far longer than a CPU takes
/// to go, and freed as soon as it has gone.
const BLOCK_MS: u32 = 15_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let victim = bench.cpus() - 1;
    if !cpu::can_go_offline(victim) {
        return skip(format!(
            "CPU {victim} cannot be taken offline on this kernel"
        ));
    }
    bench.prepare_hardirq()?;
    // Kernels before 6.5 have no such limit, and no such file.
    let _ = fs::write(INTENSIVE_AFTER, "60000000");
    let mut total = Summary::default();
    for round in 0..bench.param("rounds", ROUNDS)? {
        bench.progress(format!(
            "round {round}: CPU {victim} goes with bios deferred"
        ));
        let outcome = match round % 3 {
            0 => one_round(bench, victim, AT_ONCE, behind_busy_workers),
            1 => one_round(bench, victim, AT_ONCE, at_the_edge),
            _ => one_round(bench, victim, BY_TURNS, |_, victim| offline(victim)),
        };
        // Whatever came of it, the guest gets its CPU and its disk back.
        let _ = cpu::set_online(victim, true);
        let_go(bench)?;
        let result = outcome?;
        all_ended(&result)?;
        completed_in_hardirq(&result.summary, TAGGED)?;
        tagged_in_task(&result.summary)?;
        total.ended[TAGGED] += result.summary.ended[TAGGED];
        total.end_task[TAGGED] += result.summary.end_task[TAGGED];
        total.migrated += result.summary.migrated;
    }
    bench.figure(figures::TAGGED, total.ended[TAGGED]);
    bench.figure(figures::TAGGED_IN_TASK, total.end_task[TAGGED]);
    bench.figure(
        "deferred on a CPU and ended after it had gone",
        total.migrated,
    );
    if total.migrated == 0 {
        return fail("no bio was left deferred when the CPU went: the window was never hit");
    }
    Ok(())
}

/// Takes a CPU away while the device has its bios.
type Edge = fn(&mut Bench, u32) -> Result<(), Stop>;

fn one_round(
    bench: &mut Bench,
    victim: u32,
    scenario: &str,
    edge: Edge,
) -> Result<RunResult, Stop> {
    let probe = bench.probe()?;
    bench.scenario(scenario)?;
    let held = scenario == AT_ONCE;
    let mut run = Run::new(&bench.disk()?, BIOS);
    run.tag_every = 1;
    run.cpus = 1 << victim;
    run.depth = u32::try_from(BIOS).unwrap_or(1);
    bench.device()?.hold(held)?;
    let taken = bench.device()?.status()?.total.requests;
    let submitter = {
        let probe = probe.clone();
        thread::spawn(move || probe.run(&mut run))
    };
    let there = match held {
        true => wait_for_held(bench, BIOS),
        false => wait_for_taken(bench, taken + BIOS),
    };
    let outcome = there.and_then(|()| edge(bench, victim));
    if outcome.is_err() {
        // The submitter waits for its bios: let them go.
        let_go(bench)?;
    }
    let freed = probe.block_workers(victim, 0);
    let result = match submitter.join() {
        Ok(result) => result,
        Err(_) => return fail("the thread that submits bios panicked"),
    };
    outcome?;
    freed?;
    Ok(result?)
}

/// Has the bios deferred behind busy workers and takes the CPU away.
fn behind_busy_workers(bench: &mut Bench, victim: u32) -> Result<(), Stop> {
    bench.probe()?.block_workers(victim, BLOCK_MS)?;
    let before = bench.count_interrupts()?;
    let_go(bench)?;
    // Only when the interrupt has come are the bios on the CPU's list.
    let deadline = Instant::now() + Duration::from_secs(10);
    while bench.count_interrupts()?.delivered_since(&before) == 0 {
        if Instant::now() > deadline {
            return fail("the released completions brought no interrupt");
        }
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(20));
    offline(victim)
}

/// Takes the CPU away and lets the bios' completions go when the block layer
/// waits for them.
fn at_the_edge(bench: &mut Bench, victim: u32) -> Result<(), Stop> {
    gone(victim, release_at_the_edge(bench, victim)?)
}

fn offline(victim: u32) -> Result<(), Stop> {
    gone(victim, cpu::set_online(victim, false))
}

fn gone(victim: u32, outcome: io::Result<()>) -> Result<(), Stop> {
    outcome.map_err(|e| Stop::Fail(format!("take CPU {victim} offline: {e}")))
}
