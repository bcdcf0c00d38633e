// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 27: what has ended is left alone, whoever owned it. Bios end in a burst
//! while the disk is frozen, and their owner waits no longer than for them; the
//! probe keeps them for one run more, and sees if one of them ends again then.
//!
//! Deferred bios have given their requests back, so that a freeze does not wait
//! for them: it must return all the same, and they must end.

use std::fs;
use std::thread;
use std::time::Duration;

use super::bench::{all_ended, completed_in_hardirq, tagged_in_task};
use super::held::wait_for_held;
use super::{Bench, Stop, fail};
use crate::guest::probe::{Run, RunResult, TAGGED};
use irqstorm_agent::protocol::{Disk, figures};

const ROUNDS: u32 = 4;

/// Bios of each round, ended in one burst.
const BIOS: u64 = 64;

/// How long a round's bios rest before the next: whoever ends one again does so
/// when there is something else to end, and not at once.
const REST: Duration = Duration::from_millis(1200);

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    let mut ended = 0;
    for round in 0..bench.param("rounds", ROUNDS)? {
        bench.progress(format!("round {round}: a burst into a freeze"));
        thread::sleep(REST);
        let result = burst(bench, &disk)?;
        let summary = result.summary;
        if summary.ended_late > 0 {
            return fail(format!(
                "{} bios of the round before ended again when their owner was gone",
                summary.ended_late
            ));
        }
        all_ended(&result)?;
        completed_in_hardirq(&summary, TAGGED)?;
        tagged_in_task(&summary)?;
        ended += summary.ended[TAGGED];
    }
    bench.figure(figures::TAGGED, ended);
    bench.figure(figures::TAGGED_IN_TASK, ended);
    bench.figure("bios that ended again when their owner was gone", 0);
    Ok(())
}

/// Lets held bios go while the disk is frozen.
fn burst(bench: &mut Bench, disk: &Disk) -> Result<RunResult, Stop> {
    let probe = bench.probe()?;
    let mut run = Run::new(disk, BIOS);
    run.tag_every = 1;
    run.depth = u32::try_from(BIOS).unwrap_or(1);
    bench.device()?.hold(true)?;
    let submitter = thread::spawn(move || probe.run(&mut run));
    let held = wait_for_held(bench, BIOS);
    let name = disk.name.clone();
    let freezer = thread::spawn(move || freeze(&name));
    // Whatever came of it, the bios are let go.
    bench.device()?.hold(false)?;
    bench.device()?.release_all()?;
    let (Ok(result), Ok(frozen)) = (submitter.join(), freezer.join()) else {
        return fail("a thread of the test panicked");
    };
    held?;
    frozen.map_err(|e| format!("freeze {}: {e}", disk.name))?;
    Ok(result?)
}

/// Changes the number of requests and back: the queue is frozen for either
/// (block/blk-sysfs.c, queue_requests_store()).
fn freeze(name: &str) -> std::io::Result<()> {
    let path = format!("/sys/block/{name}/queue/nr_requests");
    let text = fs::read_to_string(&path)?;
    let requests: u32 = text.trim().parse().map_err(std::io::Error::other)?;
    fs::write(&path, (requests / 2).to_string())?;
    fs::write(&path, requests.to_string())
}
