// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 14: a CPU that is on its way offline and has to come back.
//!
//! The device holds the completions of the CPU's bios until the block layer
//! waits for them on the way down: by then the deferral's own step, and the
//! workqueues', lie behind. The next step but one is made to fail (the file
//! `fail` of the CPU's hotplug folder), and all steps are undone. The bios that
//! were deferred in between must end by themselves, and later ones too.

use std::fs;
use std::io;
use std::thread;

use super::bench::{all_ended, completed_in_hardirq, tagged_in_task};
use super::held::{let_go, release_at_the_edge, wait_for_held};
use super::{Bench, Stop, fail, skip};
use crate::guest::cpu;
use crate::guest::probe::{Run, RunResult, TAGGED};
use irqstorm_agent::protocol::figures;

const ROUNDS: u32 = 3;

/// Bios deferred on the way down.
const BIOS: u64 = 48;

/// Bios afterwards.
const LATER: u64 = 500;

/// Bios that have not ended by then are parked for good.
const PATIENCE_MS: u32 = 5_000;

/// The step that fails: below CPUHP_AP_BLK_MQ_ONLINE, where the block layer
/// waits (include/linux/cpuhotplug.h).
const FAILING: &str = "smpboot/threads:online";

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let victim = bench.cpus() - 1;
    let Some(state) = state_of(FAILING) else {
        return skip(format!("this kernel's hotplug has no step {FAILING}"));
    };
    if !cpu::can_go_offline(victim) {
        return skip(format!(
            "CPU {victim} cannot be taken offline on this kernel"
        ));
    }
    bench.prepare_hardirq()?;
    bench.scenario("interrupt = 'when-wanted'")?;
    let mut ended = 0;
    for round in 0..bench.param("rounds", ROUNDS)? {
        bench.progress(format!("round {round}: CPU {victim} fails to go offline"));
        let outcome = one_round(bench, victim, state);
        // Whatever came of it, the guest gets its CPU and its disk back.
        let _ = cpu::set_online(victim, true);
        let_go(bench)?;
        let result = outcome?;
        all_ended(&result)?;
        completed_in_hardirq(&result.summary, TAGGED)?;
        tagged_in_task(&result.summary)?;
        let mut later = Run::new(&bench.disk()?, LATER);
        later.tag_every = 1;
        later.cpus = 1 << victim;
        later.timeout_ms = PATIENCE_MS;
        let later = bench.run(&mut later)?;
        tagged_in_task(&later)?;
        ended += result.summary.ended[TAGGED] + later.ended[TAGGED];
    }
    bench.figure(figures::TAGGED, ended);
    Ok(())
}

/// The number of a step of CPU hotplug.
fn state_of(name: &str) -> Option<u32> {
    let states = fs::read_to_string("/sys/devices/system/cpu/hotplug/states").ok()?;
    let number = states.lines().find_map(|line| {
        let (number, found) = line.split_once(':')?;
        (found.trim() == name).then(|| number.trim())
    });
    number?.parse().ok()
}

fn one_round(bench: &mut Bench, victim: u32, state: u32) -> Result<RunResult, Stop> {
    let probe = bench.probe()?;
    let mut run = Run::new(&bench.disk()?, BIOS);
    run.tag_every = 1;
    run.cpus = 1 << victim;
    run.depth = u32::try_from(BIOS).unwrap_or(1);
    run.timeout_ms = PATIENCE_MS;
    bench.device()?.hold(true)?;
    let submitter = thread::spawn(move || probe.run(&mut run));
    let outcome = wait_for_held(bench, BIOS).and_then(|()| fail_to_go(bench, victim, state));
    // Whatever came of it, the submitter waits for its bios.
    let_go(bench)?;
    let result = match submitter.join() {
        Ok(result) => result,
        Err(_) => return fail("the thread that submits bios panicked"),
    };
    outcome?;
    Ok(result?)
}

/// Has the CPU go down to where it fails, and the bios deferred on the way.
fn fail_to_go(bench: &mut Bench, victim: u32, state: u32) -> Result<(), Stop> {
    let file = format!("/sys/devices/system/cpu/cpu{victim}/hotplug/fail");
    fs::write(&file, state.to_string()).map_err(|e| format!("write {state} to {file}: {e}"))?;
    match release_at_the_edge(bench, victim)? {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(e) => fail(format!("CPU {victim} failed to go in its own way: {e}")),
        Ok(()) => fail(format!("CPU {victim} went although a step was to fail")),
    }
}
