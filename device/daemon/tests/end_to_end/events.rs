// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The event file.

use std::fs::File;

use irqstorm_core::event::{Event, What};
use irqstorm_core::request::{RequestId, Status};

use rustix::fs::{CWD, Mode, OFlags};

use crate::support::{Daemon, Scratch};

fn events_in(scratch: &Scratch) -> String {
    scratch.path("events").to_str().unwrap().to_owned()
}

/// A device with an event file, in a folder of its own.
fn recorded(scenario: &str, seed: &str) -> Daemon {
    let scratch = Scratch::new();
    let (events, scenario) = (
        events_in(&scratch),
        scratch.write("scenario.toml", scenario),
    );
    let scenario = scenario.to_str().unwrap();
    let args = [
        "--ram",
        "8M",
        "--seed",
        seed,
        "--events",
        &events,
        "--scenario",
        scenario,
    ];
    Daemon::start_in(scratch, &args)
}

fn count(events: &[Event], kind: fn(&What) -> bool) -> usize {
    events.iter().filter(|event| kind(&event.what)).count()
}

#[test]
fn every_step_of_every_completion_is_in_the_file_when_the_device_ends() {
    let daemon = recorded(
        "interrupt = 'per-completion'\nlatency = { fixed = '5us' }",
        "1",
    );
    let mut driver = daemon.driver(2);
    for round in 0..50 {
        for tag in 0..10 {
            driver.write(round % 2, tag, tag as u64 * 512, &[1; 512]);
        }
        driver.kick(round % 2);
        driver.wait_ok(round % 2, 0..10);
    }
    let events = daemon.terminate().events("events");
    assert_eq!(
        count(&events, |what| matches!(what, What::Arrived { .. })),
        500
    );
    assert_eq!(
        count(&events, |what| matches!(what, What::Published { .. })),
        500
    );
    assert_eq!(
        count(&events, |what| matches!(what, What::Decided { .. })),
        500
    );
    assert_eq!(
        count(&events, |what| matches!(what, What::Signalled { .. })),
        500
    );
    let completed = |event: &Event| match event.what {
        What::Completed {
            request,
            status,
            planned,
            ..
        } => {
            assert!(event.at >= planned, "{event:?} before its time");
            assert_eq!(status, Status::Ok);
            Some(request)
        }
        _ => None,
    };
    let mut requests: Vec<RequestId> = events.iter().filter_map(completed).collect();
    requests.sort_unstable();
    assert_eq!(requests, (1..=500).map(RequestId).collect::<Vec<_>>());
    assert!(events.is_sorted_by_key(|event| event.at));
    assert!(matches!(
        events.last().unwrap().what,
        What::Disconnected { .. }
    ));
}

/// The latencies that a device plans for the same requests, in ns.
fn planned(seed: &str) -> Vec<u64> {
    let scenario = "latency = { exponential = { mean = '30us' } }";
    let daemon = recorded(scenario, seed);
    let mut driver = daemon.driver(1);
    for tag in 0..32 {
        driver.write_now(0, tag, tag as u64 * 512, &[1; 512]);
    }
    drop(driver);
    let events = daemon.terminate().events("events");
    let latency = |event: &Event| match event.what {
        What::Arrived { due: Some(due), .. } => Some((due - event.at).0),
        _ => None,
    };
    events.iter().filter_map(latency).collect()
}

#[test]
fn the_same_seed_plans_the_same_latencies() {
    let first = planned("7");
    assert_eq!(first.len(), 32);
    assert_eq!(planned("7"), first);
    assert_ne!(planned("8"), first);
}

#[test]
fn a_seed_on_the_command_line_goes_before_the_scenarios() {
    let seed = |args: &[&str]| Daemon::follow("seed = 3", args).control().status().seed;
    assert_eq!(seed(&[]), 3);
    assert_eq!(seed(&["--seed", "4"]), 4);
}

#[test]
fn a_full_disk_is_told_once_and_counted_and_the_device_goes_on() {
    let scratch = Scratch::new();
    let daemon = Daemon::start_in(scratch, &["--ram", "8M", "--events", "/dev/full"]);
    let (mut control, mut driver) = (daemon.control(), daemon.driver(1));
    for round in 0..20 {
        driver.write_now(0, 0, round * 512, &[1; 512]);
        control.until("lost events", |status| status.events_dropped > round);
    }
    // Arrived, completed, published and decided, each of them.
    control.until("all lost events", |status| status.events_dropped >= 20 * 4);
    let log = daemon.log();
    assert_eq!(log.matches("write events to /dev/full").count(), 1, "{log}");
    drop(driver);
    drop(control);
    daemon.terminate();
}

#[test]
fn a_pipe_takes_events_as_they_come() {
    let scratch = Scratch::new();
    let pipe = scratch.path("pipe");
    rustix::fs::mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    let args = ["--ram", "8M", "--events", pipe.to_str().unwrap()];
    let output = Scratch::new().run(&args);
    assert_eq!(output.status.code(), Some(2), "waited for a reader?");
    // Opened so, it does not wait for the writer either.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let reader = rustix::fs::open(&pipe, flags, Mode::empty()).unwrap();
    let daemon = Daemon::start_in(Scratch::new(), &args);
    daemon.driver(1).write_now(0, 0, 0, &[1; 512]);
    daemon.terminate();
    let text = std::io::read_to_string(File::from(reader)).unwrap();
    let lines = text.lines().map(|l| serde_json::from_str(l).unwrap());
    let events: Vec<Event> = lines.collect();
    assert_eq!(
        count(&events, |what| matches!(what, What::Completed { .. })),
        1
    );
}
