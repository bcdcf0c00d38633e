// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How many interrupts a second a storm writes, next to a loop that does
//! nothing but write an eventfd, by turns.
//!
//! Both are one thread that does nothing else, and counted for each second that
//! it has had of a CPU: who shares the machine takes as much from the one as
//! from the other, but not at the same time. Interrupts are counted as eventfds
//! count them: who reads one is told how often it was written. How many of them a guest gets is another matter, and
//! is measured in one.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;

use crate::driver::{Driver, Shape, signals};
use crate::progress::Progress;
use crate::subject::{Setup, Store, Subject, Who};
use crate::syscalls::Syscalls;
use crate::{Plan, floor, middle};

/// Interrupts back to back at each of a storm's instants.
const BURSTS: [u32; 3] = [1, 8, 64];

/// Before anything is measured.
const WARM_UP: Duration = Duration::from_millis(100);

/// How long the first interrupt may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One queue, in which there are no requests.
const SHAPE: Shape = Shape {
    queues: 1,
    ring: 64,
    most: 1,
};

/// A storm's figures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) burst: u32,
    /// Interrupts a second of processor time.
    pub(crate) rate: f64,
    /// Eventfd writes in a loop, likewise.
    pub(crate) floor: f64,
    /// The one to the other: the middle one of the rounds'.
    pub(crate) ratio: f64,
    /// System calls of the device for each interrupt.
    pub(crate) calls: Option<f64>,
}

pub(crate) fn run(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let progress = Progress::new("storm");
    let mut rows = Vec::new();
    for (number, burst) in BURSTS.into_iter().enumerate() {
        progress.show(number, BURSTS.len());
        rows.push(measure(plan, burst)?);
    }
    Ok(rows)
}

fn measure(plan: &Plan, burst: u32) -> anyhow::Result<Row> {
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        // The floor alone: a storm takes a CPU all the time.
        let floor = floor::writes(plan.time)?;
        let (rate, calls) = storm(plan, burst)?;
        rounds.push((rate, floor, calls));
    }
    let ratio = middle(rounds.iter().map(|(rate, floor, _)| rate / floor).collect());
    rounds.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
    let (rate, floor, calls) = rounds[rounds.len() / 2];
    Ok(Row {
        burst,
        rate,
        floor,
        ratio,
        calls,
    })
}

/// Interrupts a second of processor time, and calls for each. Calls are counted
/// first, and apart: to be counted makes each of them slower.
fn storm(plan: &Plan, burst: u32) -> anyhow::Result<(f64, Option<f64>)> {
    let mut setup = Setup::plain(Store::Null, 1);
    setup.scenario = Some(format!(
        "hostile = true\n[[storm]]\nrate = \"max\"\nburst = {burst}\ncross_kill_line = true\n"
    ));
    let subject = Subject::start(Who::Device, &setup, &plan.device, &plan.stop)?;
    let driver = Driver::connect(&subject.socket, SHAPE, plan.stop.clone())?;
    // The storm has begun, and the device knows what kind of fd it writes.
    let _ = signals_in(plan, &driver, WARM_UP)?;
    let syscalls = Syscalls::of(subject.pid());
    let count = signals_in(plan, &driver, WARM_UP)?;
    let calls = syscalls.and_then(|mut syscalls| syscalls.count());
    let calls = calls.map(|calls| calls as f64 / count);
    let before = subject.cpu()?;
    let count = signals_in(plan, &driver, plan.time)?;
    let time = subject.cpu()?.saturating_sub(before);
    Ok((count / time.as_secs_f64(), calls))
}

/// Waits for so long, and until there was one; how many there were.
fn signals_in(plan: &Plan, driver: &Driver, time: Duration) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut count = 0;
    while count == 0 || begun.elapsed() < time {
        plan.stop.check()?;
        ensure!(begun.elapsed() < time + PATIENCE, "no storm");
        thread::sleep(Duration::from_millis(10).min(time));
        count += signals(&driver.calls[0])?;
    }
    Ok(count as f64)
}
