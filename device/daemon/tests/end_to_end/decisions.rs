// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Decisions: the same seed takes the same ones, and a recording takes them
//! again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use irqstorm_core::pattern::Recorded;
use irqstorm_core::plan::Plan;
use irqstorm_core::request::{Operation, Sector};

use crate::support::{Daemon, Scratch, eventually};

const SCENARIO: &str = "
    latency = { lognormal = { p50 = '30us', p99 = '300us' } }
    [[rule]]
    name = 'slow now and then'
    probability = '20%'
    latency = { uniform = { min = '100us', max = '900us' } }
    interrupt = { late = { by = '20us' } }
    [[rule]]
    operation = 'flush'
    every = 3
    interrupt = { duplicated = { count = 2 } }";

/// A device that records, and what else it is told.
fn recording(args: &[&str]) -> Daemon {
    let scratch = Scratch::new();
    let scenario = scratch.write("scenario.toml", SCENARIO);
    let record = scratch.path("record");
    let own = [
        "--ram",
        "8M",
        "--scenario",
        scenario.to_str().unwrap(),
        "--record",
        record.to_str().unwrap(),
    ];
    let args: Vec<&str> = own.iter().chain(args).copied().collect();
    Daemon::start_in(scratch, &args)
}

/// Writes, reads and flushes on two queues, `shift` moved from one to the other.
fn work(daemon: &Daemon, shift: usize) {
    let mut driver = daemon.driver(2);
    for round in 0..40 {
        let place = (round % 10) as u64 * 4096;
        for (tag, queue) in [0, 1, 0, 1].into_iter().enumerate() {
            let queue = (queue + shift) % 2;
            match tag {
                0 => driver.write(queue, tag, place, &[1; 4096]),
                1 => driver.read(queue, tag, place, 512),
                2 => driver.flush(queue, tag),
                _ => driver.read(queue, tag, place, 1024),
            }
        }
        driver.kick(0);
        driver.kick(1);
        driver.wait_ok(shift % 2, [0, 2]);
        driver.wait_ok((shift + 1) % 2, [1, 3]);
    }
}

/// The lines of a recording, by queue and number.
fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_by_key(|line| {
        let decision: Recorded = serde_json::from_str(line).unwrap();
        (decision.queue, decision.nth)
    });
    lines
}

/// What was decided about the requests of each kind, in their order.
fn plans(path: &Path) -> BTreeMap<(Operation, Sector, u64), Vec<Plan>> {
    let mut plans: BTreeMap<_, Vec<Plan>> = BTreeMap::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        let decision: Recorded = serde_json::from_str(line).unwrap();
        let kind = (decision.operation, decision.sector, decision.bytes);
        plans.entry(kind).or_default().push(decision.plan);
    }
    plans
}

fn recorded(args: &[&str], shift: usize) -> Scratch {
    let daemon = recording(args);
    work(&daemon, shift);
    daemon.terminate()
}

#[test]
fn the_same_seed_and_requests_give_the_same_file() {
    let first = recorded(&["--seed", "7"], 0);
    let second = recorded(&["--seed", "7"], 0);
    let lines = [&first, &second].map(|scratch| lines(&scratch.path("record")));
    assert_eq!(lines[0].len(), 160);
    assert_eq!(lines[0], lines[1]);
    let other = recorded(&["--seed", "8"], 0);
    assert_ne!(lines[0], self::lines(&other.path("record")));
}

#[test]
fn a_replayed_recording_decides_the_same_whatever_the_seed_and_the_queue() {
    let first = recorded(&["--seed", "7"], 0);
    let file = first.path("record");
    let replay = ["--seed", "99", "--replay", file.to_str().unwrap()];
    let daemon = recording(&replay);
    work(&daemon, 1);
    let replayed = daemon.control().status().replay.unwrap();
    assert_eq!((replayed.repeated, replayed.unrecorded), (160, 0));
    // One more than was recorded is decided by the scenario.
    daemon.driver(1).write_now(0, 0, 0, &[1; 4096]);
    let replayed = daemon.control().status().replay.unwrap();
    assert_eq!((replayed.repeated, replayed.unrecorded), (160, 1));
    let again = daemon.terminate();
    let (first, mut again) = (plans(&file), plans(&again.path("record")));
    let kind = (Operation::Write, Sector(0), 4096);
    again.get_mut(&kind).unwrap().pop();
    assert_eq!(again, first);
}

#[test]
fn a_recording_is_not_replayed_while_it_is_written() {
    let daemon = recording(&[]);
    let file = daemon.scratch.path("record");
    let args = ["--ram", "8M", "--replay", file.to_str().unwrap()];
    let output = Scratch::new().run(&args);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("a device still writes to it"), "{error}");
}

#[test]
fn a_recording_that_cannot_be_written_is_counted_and_the_device_goes_on() {
    let scratch = Scratch::new();
    let daemon = Daemon::start_in(scratch, &["--ram", "8M", "--record", "/dev/full"]);
    let (mut control, mut driver) = (daemon.control(), daemon.driver(1));
    for round in 1..=5 {
        driver.write_now(0, 0, 0, &[1; 512]);
        control.until("lost decisions", |status| status.events_dropped == round);
    }
    eventually("the log", || {
        let told = daemon.log().matches("write decisions to /dev/full").count();
        (told == 1).then_some(())
    });
}
