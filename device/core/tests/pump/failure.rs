// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Requests that their driver takes back, and devices that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use irqstorm_core::queue::FailureLine;
use irqstorm_testing::bench::config;

use super::*;

#[derive(Clone, Default)]
struct Failures(Arc<AtomicU64>);

impl Failures {
    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl FailureLine for Failures {
    fn fail(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Queues of a device that can fail, under a scenario.
fn failing(scenario: &str, queues: u16) -> (Bench, Failures) {
    let failures = Failures::default();
    let mut config = config(scenario, queues).unwrap();
    config.failure_line = Some(Box::new(failures.clone()));
    (Bench::with(config), failures)
}

fn abort(bench: &mut Bench, queue: u16, name: u16) -> u64 {
    let (done, told) = mpsc::sync_channel(1);
    let queue = QueueId(queue);
    let message = Message::Abort { queue, name, done };
    bench.pump.handle(message, &bench.now);
    told.try_recv().unwrap()
}

#[test]
fn a_request_that_is_taken_back_ends_at_once_whatever_it_waits_for() {
    for scenario in ["hold = true", "latency = { fixed = '1s' }"] {
        let mut bench = bench(scenario, 1);
        bench.submit(0, 3);
        assert_eq!(abort(&mut bench, 0, 2), 1);
        assert_eq!(bench.drivers[0].used_tags(), [2]);
        assert_eq!(bench.drivers[0].used()[0].outcome.status, Status::Aborted);
        assert_eq!(bench.drivers[0].signals(), 1);
        assert_eq!(abort(&mut bench, 0, 2), 0, "it is gone");
        assert_eq!(bench.ask(json!({"cmd": "status"}))["total"]["in_flight"], 2);
        bench.ask(json!({"cmd": "release"}));
        bench.run_until(2_000_000);
        assert_eq!(bench.drivers[0].used_tags(), [2, 1, 3]);
    }
}

#[test]
fn what_is_lost_completed_or_was_never_there_cannot_be_taken_back() {
    let mut bench = bench("fault = { lost = {} }", 2);
    bench.submit(0, 1);
    for (queue, name) in [(0, 1), (0, 9), (1, 1), (7, 1)] {
        assert_eq!(abort(&mut bench, queue, name), 0, "{queue} {name}");
    }
    assert_eq!(bench.count("held"), 1);
    let mut plain = self::bench("", 1);
    plain.submit(0, 1);
    plain.run_until(1);
    assert_eq!(abort(&mut plain, 0, 1), 0);
    assert_eq!(plain.drivers[0].used_tags(), [1]);
}

#[test]
fn a_device_that_fails_completes_nothing_until_its_driver_comes_again() {
    let (mut bench, failures) = failing("hold = true", 2);
    bench.submit(0, 2);
    bench.submit(1, 1);
    let reply = bench.ask(json!({"cmd": "fail"}));
    assert_eq!(reply, json!({"queues": 2, "requests": 3}));
    assert_eq!(failures.count(), 1);
    bench.ask(json!({"cmd": "release"}));
    bench.submit(0, 1);
    bench.run_until(1_000);
    for driver in &bench.drivers {
        assert_eq!((driver.used().len(), driver.signals()), (0, 0));
    }
    bench.ask(json!({"cmd": "hold", "on": false}));
    bench.connect(0);
    bench.submit(0, 1);
    bench.run_until(2_000);
    assert_eq!(bench.drivers[0].used_tags(), [1]);
}

#[test]
fn a_request_has_the_device_fail_when_it_would_be_completed() {
    let rules = "latency = { fixed = '10us' }\n[[rule]]\nlba = '1..2'\nfault = 'device-failure'";
    let (mut bench, failures) = failing(rules, 1);
    bench.submit_one(0, Operation::Read, 0, 1);
    bench.submit_one(0, Operation::Read, 1, 1);
    bench.run_until(9);
    assert_eq!(failures.count(), 0);
    bench.run_until(1_000);
    assert_eq!(failures.count(), 1);
    assert_eq!(bench.drivers[0].used_tags(), [1], "what came due before it");
    assert_eq!(bench.drivers[0].abandoned(), 1);
    let (mut at_once, failures) = failing("fault = 'device-failure'", 1);
    at_once.submit(0, 1);
    at_once.run_until(1);
    assert_eq!((failures.count(), at_once.drivers[0].used().len()), (1, 0));
}

#[test]
fn a_device_that_cannot_say_so_is_not_told_to_fail() {
    let mut bench = bench("", 1);
    let toml = "[[rule]]\nevery = 7\nfault = 'device-failure'";
    for command in [
        json!({"cmd": "fail"}),
        json!({"cmd": "scenario", "toml": toml}),
        json!({"cmd": "set", "knob": "fault", "value": "device-failure"}),
    ] {
        let refusal = bench.try_ask(command).unwrap_err();
        assert!(refusal.text.contains("DEVICE_NEEDS_RESET"), "{refusal:?}");
    }
    bench.submit(0, 1);
    bench.run_until(1);
    assert_eq!(bench.drivers[0].used_tags(), [1]);
}
