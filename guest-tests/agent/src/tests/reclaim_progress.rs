// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 17: deferred bios end although the kernel gets no thread for another
//! worker, as when it has no memory for one and waits for these very bios to
//! give some back. Then only a worker that was made beforehand is left, the
//! rescuer that WQ_MEM_RECLAIM stands for (kernel/workqueue.c, send_mayday()).
//!
//! Memory that is short keeps a new thread from coming for as long as reclaim
//! takes, which no test can hold still; a limit on threads keeps it from coming
//! for as long as the limit stands, and the kernel's threads fall under it
//! (kernel/fork.c, copy_process()). The window is thus made by the limit. The
//! device completes late: it holds what the submitters, who are threads too,
//! have in flight by then. The workers that are there already are all asleep in
//! works that wait.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::bench::{all_ended, completed_in_hardirq, tagged_in_task};
use super::held::wait_for_held;
use super::{Bench, Stop, fail};
use crate::guest::deferral::{self, Saturation};
use crate::guest::probe::{ProbeDevice, Run, RunResult, TAGGED};
use irqstorm_agent::protocol::{Disk, figures};

/// Not the last, where foreign-work leaves a thousand idle workers, which the
/// kernel keeps for minutes.
const CPU: u32 = 0;

/// All in flight at a time, and on one CPU.
const BIOS: u64 = 64;

/// A rescuer is called after a tenth of a second, and a machine under emulation
/// gets to everything within this.
const PATIENCE: Duration = Duration::from_secs(4);

/// Longer than everything before the bios may end.
const RUN_TIMEOUT_MS: u32 = 30_000;

const THREADS_MAX: &str = "/proc/sys/kernel/threads-max";

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let short = one_shortage(bench, &disk, CPU)?;
    let summary = short.result.summary;
    bench.figure("works that sleep in the workers there are", short.begun);
    bench.figure(figures::TAGGED, summary.ended[TAGGED]);
    bench.figure(figures::TAGGED_IN_TASK, summary.end_task[TAGGED]);
    all_ended(&short.result)?;
    completed_in_hardirq(&summary, TAGGED)?;
    if !short.in_time {
        return fail(format!(
            "the deferred bios did not end within {} s, and did once threads could be made again: \
             the deferral has no worker that was made beforehand",
            PATIENCE.as_secs()
        ));
    }
    tagged_in_task(&summary)
}

/// What came of bios that ended in a shortage.
struct Shortage {
    begun: u64,
    in_time: bool,
    result: RunResult,
}

fn one_shortage(bench: &mut Bench, disk: &Disk, cpu: u32) -> Result<Shortage, Stop> {
    let probe = bench.probe()?;
    let mut run = Run::new(disk, BIOS);
    run.tag_every = 1;
    run.depth = u32::try_from(BIOS).unwrap_or(1);
    run.cpus = 1 << cpu;
    run.timeout_ms = RUN_TIMEOUT_MS;
    bench.device()?.hold(true)?;
    let submitter = {
        let probe = probe.clone();
        thread::spawn(move || probe.run(&mut run))
    };
    let outcome = without_threads(bench, &probe, cpu, &|| submitter.is_finished());
    // Whatever came of it, all is let go.
    bench.device()?.hold(false)?;
    bench.device()?.release_all()?;
    deferral::saturate(&probe, cpu, false)?;
    let Ok(result) = submitter.join() else {
        return fail("the thread that submits bios panicked");
    };
    let (begun, in_time) = outcome?;
    Ok(Shortage {
        begun,
        in_time,
        result: result?,
    })
}

/// Lets the held bios go when there are no threads for more workers: how many
/// works the workers that there are sleep in, and whether the bios ended in
/// time.
fn without_threads(
    bench: &mut Bench,
    probe: &ProbeDevice,
    cpu: u32,
    ended: &dyn Fn() -> bool,
) -> Result<(u64, bool), Stop> {
    wait_for_held(bench, BIOS)?;
    bench.progress(format!("no more threads, and no idle worker on CPU {cpu}"));
    let limit = ThreadLimit::set()?;
    let filled = deferral::saturate(probe, cpu, true)?;
    all_asleep(&filled)?;
    bench.device()?.hold(false)?;
    bench.device()?.release_all()?;
    let deadline = Instant::now() + PATIENCE;
    while !ended() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    let in_time = ended();
    drop(limit);
    Ok((filled.running.into(), in_time))
}

/// Fails if workers came nevertheless: then they would end the bios.
fn all_asleep(filled: &Saturation) -> Result<(), Stop> {
    if filled.running + 1 < filled.queued {
        return Ok(());
    }
    fail(format!(
        "{} works run at a time: workers were idle, or threads could still be made",
        filled.running
    ))
}

/// No more threads, until it is dropped.
struct ThreadLimit(String);

impl ThreadLimit {
    fn set() -> Result<ThreadLimit, Stop> {
        let failed = |e| Stop::Fail(format!("set {THREADS_MAX}: {e}"));
        let before = fs::read_to_string(THREADS_MAX).map_err(failed)?;
        fs::write(THREADS_MAX, "1").map_err(failed)?;
        Ok(ThreadLimit(before))
    }
}

impl Drop for ThreadLimit {
    fn drop(&mut self) {
        // What cannot be set back shows in every test that needs a thread.
        let _ = fs::write(THREADS_MAX, &self.0);
    }
}
