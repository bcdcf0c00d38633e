// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One test: told to the agent, watched to its end or its limit.

use std::time::{Duration, Instant};

use irqstorm_agent::catalogue::{Shape, TestInfo};
use irqstorm_agent::protocol::{Finished, ToAgent, ToLab, Verdict};
use irqstorm_images::Progress;

use super::bench::Bench;
use super::verdict::judge;
use super::ways::HOLDS;
use crate::failure::Failure;
use crate::guest::{Guest, Received};
use crate::results::{Case, DeviceCounts, Hang};

/// The console, at 115200 baud and behind an emulated CPU, lags behind the
/// report by at most this.
const CONSOLE_LAG: Duration = Duration::from_secs(30);

/// An agent that is alive says what hangs within this.
const DUMP_LIMIT: Duration = Duration::from_secs(15);

/// Between two looks whether the device still runs.
const DEVICE_LOOK: Duration = Duration::from_secs(1);

/// The console has all of the kernel's list of blocked tasks when nothing has
/// come for this long.
const SYSRQ_QUIET: Duration = Duration::from_secs(1);

/// It is not waited for any longer.
const SYSRQ_LIMIT: Duration = Duration::from_secs(10);

/// How a test ended, before it is judged.
#[derive(Debug)]
pub(super) enum Ending {
    /// The agent said so.
    Finished(Finished),
    /// It took longer than it may.
    Limit(Duration),
    /// The guest went away.
    Lost(String),
}

/// Runs one test.
pub(super) fn run(bench: &mut Bench, test: &TestInfo, seed: u64) -> Result<Case, Failure> {
    let shape = test.needs.machine;
    bench.prepare_guest(shape)?;
    bench.stages.begin(test.name, None);
    let begun = Instant::now();
    bench.quiet()?;
    bench.set_scenario()?;
    let tracing = bench.begin_trace(test.name)?;
    let before = bench.status()?;
    let ending = watch(bench, test, seed)?;
    let seconds = begun.elapsed().as_secs_f64();
    let after = bench.status()?;
    let hang = match ending {
        Ending::Limit(_) => Some(look_at_hang(bench)?),
        _ => None,
    };
    bench.quiet()?;
    bench.stages.end();
    let lost = matches!(ending, Ending::Lost(_));
    let over = after.as_ref().map(|after| after.at).unwrap_or_default();
    let trace = bench.end_trace(tracing, lost, over)?;
    let mut lagging = false;
    if let Ending::Finished(_) = ending {
        lagging = !bench.console().wait_for_end(test.name, CONSOLE_LAG);
    }
    let splats = bench.console().splats_of(Some(test.name));
    let (verdict, mut reasons) = judge(&ending, &splats, test.expects, lagging);
    reasons.extend(hang.as_ref().map(describe));
    let (figures, points) = match ending {
        Ending::Finished(finished) => (finished.figures, finished.points),
        _ => (Vec::new(), Vec::new()),
    };
    Ok(Case {
        name: test.name.to_owned(),
        claim: test.claim.to_owned(),
        machine: (shape != Shape::RUN).then(|| shape.to_string()),
        verdict,
        reasons,
        seconds,
        figures,
        points,
        device: DeviceCounts::between(before.as_ref(), after.as_ref())
            .filter(|_| verdict != Verdict::Skip),
        splats,
        hang,
        trace,
        expected: None,
    })
}

/// Tells the agent to run the test and follows it to its end.
fn watch(bench: &mut Bench, test: &TestInfo, seed: u64) -> Result<Ending, Failure> {
    let limit = Duration::from_secs(test.limit_seconds.into());
    let deadline = Instant::now() + limit;
    let order = ToAgent::Run {
        test: test.name.to_owned(),
        seed,
        params: Default::default(),
    };
    if let Err(reason) = bench.present_guest()?.tell(&order) {
        return Ok(Ending::Lost(reason));
    }
    loop {
        bench.check_device(test.name)?;
        let next_look = deadline.min(Instant::now() + DEVICE_LOOK);
        match bench.present_guest()?.receive(next_look)? {
            Received::TimedOut if Instant::now() < deadline => {}
            Received::TimedOut => return Ok(Ending::Limit(limit)),
            Received::Ended(reason) => return Ok(Ending::Lost(reason)),
            Received::Said(said) => match *said {
                ToLab::Finished(finished) if finished.test == test.name => {
                    return Ok(Ending::Finished(finished));
                }
                ToLab::Broken { reason } => return Ok(Ending::Lost(reason)),
                ToLab::Progress { text, .. } => bench.stages.detail(&text),
                _ => {}
            },
        }
    }
}

/// What the device holds, and what the guest says of itself if it still does.
fn look_at_hang(bench: &mut Bench) -> Result<Hang, Failure> {
    bench.stages.begin("look at what hangs", None);
    let mut hang = Hang::default();
    if let Some(device) = &mut bench.device {
        let held = device.held()?;
        hang.held_total = held.total;
        hang.held = held.held;
    }
    let guest = bench.present_guest()?;
    if !dump(guest, &mut hang)? {
        guest.sysrq_blocked();
    }
    // The kernel's own list follows on the console.
    bench.console().wait_for_quiet(SYSRQ_QUIET, SYSRQ_LIMIT);
    Ok(hang)
}

/// What hangs, in a line.
fn describe(hang: &Hang) -> String {
    let first = hang.held.first().map(|entry| {
        let age = entry.age;
        format!(
            " (the oldest is number {} of queue {}, for {age})",
            entry.request.0, entry.queue.0
        )
    });
    let agent = match hang.interrupts {
        Some(_) => format!("{} tasks are blocked", hang.blocked.len()),
        None => "the agent does not answer".to_owned(),
    };
    format!(
        "{HOLDS}{} requests{}; {agent}; results.json has the rest, console.log the kernel's view",
        hang.held_total,
        first.unwrap_or_default()
    )
}

/// Has the agent tell; `false` if it does not answer.
fn dump(guest: &mut Guest, hang: &mut Hang) -> Result<bool, Failure> {
    if guest.tell(&ToAgent::Dump).is_err() {
        return Ok(false);
    }
    let deadline = Instant::now() + DUMP_LIMIT;
    loop {
        match guest.receive(deadline)? {
            Received::Said(said) => {
                if let ToLab::Dumped {
                    interrupts,
                    blocked,
                } = *said
                {
                    hang.interrupts = Some(interrupts);
                    hang.blocked = blocked;
                    return Ok(true);
                }
            }
            Received::Ended(_) | Received::TimedOut => return Ok(false),
        }
    }
}
