// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A scenario that changes while I/O runs.

use std::sync::atomic::{AtomicBool, Ordering};

use irqstorm_core::control::{Code, Command, KnobReply, StormReply};

use crate::support::{Control, Daemon, Driver, OK};

fn set(control: &mut Control, knob: &str, value: impl Into<serde_json::Value>) -> KnobReply {
    let (knob, value) = (knob.to_owned(), value.into());
    control.ask(&Command::Set { knob, value })
}

fn get(control: &mut Control, knob: &str) -> serde_json::Value {
    let knob = Some(knob.to_owned());
    control.ask::<KnobReply>(&Command::Get { knob }).value
}

/// Writes and reads back until told to stop; returns how many requests that
/// were.
fn load(mut driver: Driver, stop: &AtomicBool) -> u64 {
    let mut requests = 0;
    let mut round = 0u8;
    while !stop.load(Ordering::Relaxed) {
        round = round.wrapping_add(1);
        for tag in 0..16 {
            driver.write(tag % 2, tag, tag as u64 * 512, &[round; 512]);
        }
        (0..2).for_each(|queue| driver.kick(queue));
        driver.wait_ok(0, (0..16).step_by(2));
        driver.wait_ok(1, (1..16).step_by(2));
        let place = u64::from(round % 16) * 512;
        assert_eq!(driver.read_now(0, 20, place, 512), [round; 512]);
        requests += 17;
    }
    requests
}

#[test]
fn knobs_turned_under_load_lose_nothing() {
    let scenario = "latency = { fixed = '10us' }
        interrupt = { coalesced = { count = 4, time = '100us' } }
        [[storm]]
        rate = '1kHz'";
    let daemon = Daemon::follow(scenario, &[]);
    let mut control = daemon.control();
    let driver = daemon.driver(2);
    let stop = AtomicBool::new(false);
    let requests = std::thread::scope(|scope| {
        let load = scope.spawn(|| load(driver, &stop));
        for round in 0..100 {
            let latency = format!("{}us", round % 5 * 50);
            let reply = set(&mut control, "latency.fixed", latency.as_str());
            assert_eq!(reply.value, latency);
            set(&mut control, "interrupt.coalesced.count", round % 7 + 1);
            set(
                &mut control,
                "storm.0.rate",
                format!("{}kHz", round % 3 + 1),
            );
            assert_eq!(get(&mut control, "latency.fixed"), latency);
        }
        stop.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    let total = control.status().total;
    assert_eq!((total.requests, total.completed), (requests, requests));
    assert_eq!((total.in_flight, total.failed), (0, 0));
}

#[test]
fn a_knob_that_is_none_is_refused_and_everything_stays() {
    let daemon = Daemon::follow("latency = { fixed = '10us' }", &[]);
    let mut control = daemon.control();
    let mut refused = |knob: &str, value: &str| {
        let (knob, value) = (knob.to_owned(), value.into());
        control.refused(&Command::Set { knob, value })
    };
    for (knob, value, word) in [
        ("latency.fixt", "1us", "fixed"),
        ("latency.fixed", "fast", "latency"),
        ("latncy", "1us", "latncy"),
    ] {
        let refusal = refused(knob, value);
        assert_eq!(refusal.code, Code::BadScenario);
        assert!(refusal.text.contains(word), "{refusal}");
    }
    let missing = Some("hold".to_owned());
    let refusal = control.refused(&Command::Get { knob: missing });
    assert_eq!(refusal.code, Code::NotFound);
    assert_eq!(get(&mut control, "latency.fixed"), "10us");
    let all: KnobReply = control.ask(&Command::Get { knob: None });
    assert!(all.value.as_str().unwrap().contains("10us"), "{all:?}");
}

#[test]
fn a_flood_starves_neither_requests_nor_commands() {
    let scenario = "hostile = true
        [[storm]]
        name = 'flood'
        queues = [1]
        rate = 'max'
        burst = 64
        cross_kill_line = true";
    let daemon = Daemon::follow(scenario, &[]);
    let (mut control, mut driver) = (daemon.control(), daemon.driver(2));
    for round in 0..50u8 {
        let before = control.status().total.spurious;
        driver.write(0, 0, 0, &[round; 512]);
        driver.write(1, 1, 512, &[round; 512]);
        (0..2).for_each(|queue| driver.kick(queue));
        assert_eq!(driver.wait(0, 1), [(0, OK)]);
        assert_eq!(driver.wait(1, 1), [(1, OK)]);
        control.until("the flood", |status| status.total.spurious > before);
    }
    control.until("more than the guard permits", |status| {
        status.total.spurious > 100_000
    });
    let reply: StormReply = control.ask(&Command::Storm {
        on: false,
        name: Some("flood".to_owned()),
    });
    assert_eq!((reply.storms, reply.storming), (1, false));
    let still = control.status().total.spurious;
    driver.write_now(0, 2, 0, &[1; 512]);
    let status = control.status();
    assert_eq!(status.total.spurious, still);
    assert_eq!(status.queues[0].spurious, 0);
}
