// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The pump under a fake driver and a clock that the test moves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod failure;
mod interrupts;
mod scripts;
mod storing;
mod taking;

use std::sync::mpsc;

use irqstorm_core::control::{Command, Selection};
use irqstorm_core::event::{Cause, Event, What};
use irqstorm_core::inbox::Message;
use irqstorm_core::request::{Operation, QueueId, Request, RequestId, Sector, Status};
use irqstorm_core::units::Nanos;
use irqstorm_testing::Bench;
use serde_json::json;

fn bench(scenario: &str, queues: u16) -> Bench {
    Bench::new(scenario, queues).unwrap()
}

#[test]
fn a_completion_is_visible_at_its_time_and_not_before() {
    let mut bench = bench("latency = { fixed = '80us' }", 1);
    bench.submit(0, 1);
    bench.run_until(79);
    assert_eq!(
        (bench.drivers[0].used().len(), bench.drivers[0].signals()),
        (0, 0)
    );
    bench.run_until(80);
    assert_eq!(
        (bench.drivers[0].used().len(), bench.drivers[0].signals()),
        (1, 1)
    );
}

#[test]
fn the_store_has_the_data_before_the_completion_is_planned() {
    let mut bench = bench("hold = true", 1);
    let write = Request::transfer(Operation::Write, Sector(5), 1);
    bench.drivers[0].submit(write, vec![9; 512]);
    let read = Request::transfer(Operation::Read, Sector(5), 1);
    bench.drivers[0].submit(read, vec![0; 512]);
    bench.kick(0);
    bench.ask(json!({"cmd": "release", "request": 2}));
    let used = bench.drivers[0].used();
    assert_eq!((used.len(), used[0].tag, used[0].data[0]), (1, 2, 9));
}

#[test]
fn completions_due_together_are_published_once_and_interrupt_once() {
    let mut bench = bench("latency = { fixed = '10us' }", 1);
    bench.submit(0, 32);
    bench.run_until(10);
    let driver = &bench.drivers[0];
    assert_eq!(driver.used_tags(), (1..=32).collect::<Vec<_>>());
    assert_eq!((driver.published(), driver.signals()), (1, 1));
}

#[test]
fn an_unwanted_interrupt_is_suppressed_and_counted() {
    let mut bench = bench("", 1);
    bench.drivers[0].wants_interrupts(false);
    bench.submit(0, 1);
    bench.run_until(1);
    assert_eq!(
        (bench.drivers[0].used().len(), bench.drivers[0].signals()),
        (1, 0)
    );
    assert_eq!((bench.count("suppressed"), bench.count("wanted")), (1, 0));
}

#[test]
fn per_completion_publishes_and_interrupts_each_alone_wanted_or_not() {
    let mut bench = bench("interrupt = 'per-completion'", 1);
    bench.drivers[0].wants_interrupts(false);
    bench.submit(0, 5);
    bench.run_until(1);
    let driver = &bench.drivers[0];
    assert_eq!(
        (driver.published(), driver.signals(), driver.asked()),
        (5, 5, 5)
    );
}

#[test]
fn coalesced_interrupts_come_by_count() {
    let mut bench = bench("interrupt = { coalesced = { count = 4, time = '1ms' } }", 1);
    for arrived in 1..=8u64 {
        bench.submit(0, 1);
        bench.run_until(arrived);
        assert_eq!(bench.drivers[0].used().len() as u64, arrived);
        assert_eq!(bench.drivers[0].signals(), arrived / 4);
    }
}

#[test]
fn coalesced_interrupts_come_by_time() {
    let mut bench = bench(
        "interrupt = { coalesced = { count = 99, time = '100us' } }",
        1,
    );
    bench.submit(0, 2);
    bench.run_until(60);
    bench.submit(0, 1);
    bench.run_until(99);
    assert_eq!(
        (bench.drivers[0].used().len(), bench.drivers[0].signals()),
        (3, 0)
    );
    bench.run_until(100);
    assert_eq!(bench.drivers[0].signals(), 1);
    bench.run_until(500);
    assert_eq!(bench.drivers[0].signals(), 1);
}

#[test]
fn what_is_held_is_listed_and_released_by_number_count_and_all() {
    let mut bench = bench("hold = true", 2);
    bench.submit(0, 3);
    bench.submit(1, 2);
    bench.run_until(50);
    assert!(bench.drivers.iter().all(|driver| driver.used().is_empty()));
    let list = bench.ask(json!({"cmd": "list", "limit": 2}));
    assert_eq!(list["total"], 5);
    assert_eq!(
        list["held"][1],
        json!({"request": 2, "queue": 0, "operation": "write",
        "sector": 1, "bytes": 512, "age": "50us"})
    );
    assert_eq!(
        bench.ask(json!({"cmd": "release", "request": 3}))["released"],
        1
    );
    assert_eq!(bench.drivers[0].used_tags(), [3]);
    assert_eq!(
        bench.ask(json!({"cmd": "release", "queue": 1, "count": 1}))["released"],
        1
    );
    assert_eq!(bench.drivers[1].used_tags(), [1]);
    assert_eq!(bench.ask(json!({"cmd": "release"}))["released"], 3);
    assert_eq!(bench.drivers[0].used_tags(), [3, 1, 2]);
    assert_eq!((bench.count("held"), bench.count("in_flight")), (0, 0));
}

#[test]
fn completion_and_interrupt_are_released_apart() {
    let mut bench = bench("hold = true", 1);
    bench.submit(0, 2);
    bench.ask(json!({"cmd": "release", "part": "completion"}));
    assert_eq!(
        (bench.drivers[0].used().len(), bench.drivers[0].signals()),
        (2, 0)
    );
    let released = bench.ask(json!({"cmd": "release", "part": "interrupt"}));
    assert_eq!(
        (released["released"].as_u64(), bench.drivers[0].signals()),
        (Some(2), 1)
    );
}

#[test]
fn hold_stops_what_was_planned_too_and_unhold_lets_new_ones_through() {
    let mut bench = bench("latency = { fixed = '100us' }", 1);
    bench.submit(0, 1);
    bench.ask(json!({"cmd": "hold", "on": true}));
    bench.run_until(200);
    assert_eq!((bench.drivers[0].used().len(), bench.count("held")), (0, 1));
    bench.ask(json!({"cmd": "hold", "on": false}));
    bench.submit(0, 1);
    bench.run_until(400);
    assert_eq!(bench.drivers[0].used_tags(), [2]);
    bench.ask(json!({"cmd": "release"}));
    assert_eq!(bench.drivers[0].used_tags(), [2, 1]);
}

#[test]
fn a_malformed_request_is_completed_with_its_error() {
    let mut bench = bench("", 1);
    bench.drivers[0].submit_malformed(Status::Unsupported);
    bench.kick(0);
    bench.run_until(1);
    assert_eq!(
        bench.drivers[0].used()[0].outcome.status,
        Status::Unsupported
    );
    assert_eq!(bench.count("failed"), 1);
}

#[test]
fn detaching_completes_everything_and_disconnecting_nothing() {
    let mut bench = bench("hold = true", 2);
    bench.submit(0, 3);
    bench.submit(1, 2);
    let (done, told) = mpsc::sync_channel(1);
    let queue = QueueId(0);
    bench
        .pump
        .handle(Message::Detach { queue, done }, &bench.now);
    assert_eq!(told.try_recv(), Ok(3));
    assert_eq!(bench.drivers[0].used_tags(), [1, 2, 3]);
    let (done, told) = mpsc::sync_channel(1);
    bench.pump.handle(Message::Disconnect { done }, &bench.now);
    assert_eq!(told.try_recv(), Ok(2));
    let gone = &bench.drivers[1];
    assert_eq!(
        (gone.used().len(), gone.unpublished(), gone.abandoned()),
        (0, 0, 2)
    );
    assert_eq!(bench.ask(json!({"cmd": "list"}))["total"], 0);
}

#[test]
fn nothing_of_an_old_connection_reaches_the_new_one() {
    let mut bench = bench("latency = { fixed = '1ms' }", 1);
    bench.submit(0, 4);
    let (done, _told) = mpsc::sync_channel(1);
    bench.pump.handle(Message::Disconnect { done }, &bench.now);
    bench.connect(0);
    bench.submit(0, 1);
    bench.run_until(5_000);
    assert_eq!(bench.drivers[0].used_tags(), [1]);
    assert_eq!(bench.drivers[0].signals(), 1);
}

#[test]
fn a_broken_queue_is_stopped_and_the_others_go_on() {
    for step in ["next", "complete", "publish"] {
        let mut bench = bench("", 2);
        bench.drivers[0].break_on(step);
        bench.submit(0, 2);
        bench.submit(1, 2);
        bench.run_until(1);
        assert!(bench.drivers[0].used().is_empty(), "{step}");
        assert_eq!(bench.drivers[1].used().len(), 2, "{step}");
        let broken = |what: &What| {
            matches!(
                what,
                What::QueueBroken {
                    queue: QueueId(0),
                    ..
                }
            )
        };
        assert!(bench.events.whats().iter().any(broken), "{step}");
        bench.connect(0);
        bench.submit(0, 1);
        bench.run_until(2);
        assert_eq!(bench.drivers[0].used().len(), 1, "{step}");
    }
}

#[test]
fn a_storm_strikes_its_queues_at_its_rate() {
    let mut bench = bench("[[storm]]\nqueues = [1]\nrate = '10kHz'\nburst = 2", 2);
    bench.run_until(999);
    assert_eq!(
        (bench.drivers[0].signals(), bench.drivers[1].signals()),
        (0, 10)
    );
    assert_eq!(bench.count("spurious"), 10);
    bench.ask(json!({"cmd": "storm", "on": false}));
    bench.run_until(5_000);
    assert_eq!(bench.drivers[1].signals(), 10);
}

#[test]
fn a_storm_that_is_not_active_waits_for_its_start() {
    let mut bench = bench("[[storm]]\nrate = '1kHz'\nactive = false", 1);
    bench.run_until(10_000);
    assert_eq!(bench.drivers[0].signals(), 0);
    bench.ask(json!({"cmd": "storm", "on": true}));
    bench.run_until(10_500);
    assert_eq!(bench.drivers[0].signals(), 1);
}

#[test]
fn a_storm_rests_while_no_driver_is_there() {
    let mut bench = bench("[[storm]]\nrate = '1kHz'", 1);
    let (done, _told) = mpsc::sync_channel(1);
    bench.pump.handle(Message::Disconnect { done }, &bench.now);
    bench.run_until(10_000);
    assert_eq!(bench.pump.next_deadline(), None);
    bench.connect(0);
    bench.run_until(12_500);
    assert_eq!(bench.drivers[0].signals(), 3);
}

#[test]
fn the_guard_pauses_a_storm_and_a_word_takes_it_off() {
    for (word, paused) in [("", true), ("cross_kill_line = true", false)] {
        let storm = format!("[[storm]]\nrate = '100kHz'\n{word}");
        let mut bench = bench(&storm, 1);
        bench.run_until(1_000_000);
        let pauses = bench.ask(json!({"cmd": "status"}))["guard_pauses"]
            .as_u64()
            .unwrap();
        assert_eq!(pauses > 0, paused);
        assert_eq!(bench.drivers[0].signals() < 99_000, paused);
    }
}

#[test]
fn fire_raises_interrupts_at_once_and_the_guard_withholds_the_rest() {
    let mut bench = bench("", 2);
    bench.run_until(1_000_000);
    let fired = bench.ask(json!({"cmd": "fire", "queue": 1, "count": 3}));
    assert_eq!(fired, json!({"fired": 3, "withheld": 0}));
    assert_eq!(
        (bench.drivers[0].signals(), bench.drivers[1].signals()),
        (0, 3)
    );
    let fired = bench.ask(json!({"cmd": "fire", "count": 60_000}));
    assert_eq!(
        fired["withheld"],
        2 * 60_000 - fired["fired"].as_u64().unwrap()
    );
    assert!(fired["withheld"].as_u64().unwrap() > 0);
}

#[test]
fn bad_commands_are_refused_and_change_nothing() {
    let mut bench = bench("hold = true", 1);
    bench.submit(0, 1);
    for (command, word) in [
        (json!({"cmd": "fire", "queue": 7}), "no queue 7"),
        (json!({"cmd": "fire", "count": 0}), "count is 0"),
        (json!({"cmd": "release", "request": 9}), "not held"),
        (json!({"cmd": "release", "queue": 9}), "no queue 9"),
        (json!({"cmd": "storm", "on": true}), "no [[storm]]"),
        (json!({"cmd": "scenario", "toml": "holt = true"}), "holt"),
    ] {
        let refusal = bench.try_ask(command).unwrap_err();
        assert!(refusal.text.contains(word), "{}", refusal.text);
    }
    assert_eq!((bench.count("held"), bench.drivers[0].signals()), (1, 0));
}

#[test]
fn a_new_scenario_leaves_what_is_planned_and_held_as_it_was() {
    let mut bench = bench("latency = { fixed = '100us' }", 1);
    bench.submit(0, 1);
    bench.ask(json!({"cmd": "scenario", "toml": "latency = { fixed = '5us' }", "name": "b"}));
    bench.submit(0, 1);
    bench.run_until(99);
    assert_eq!(bench.drivers[0].used_tags(), [2]);
    bench.run_until(100);
    assert_eq!(bench.drivers[0].used_tags(), [2, 1]);
}

#[test]
fn every_step_is_an_event_with_its_planned_and_actual_time() {
    let mut bench = bench("latency = { fixed = '80us' }", 1);
    bench.submit(0, 1);
    // The loop comes 3 us late.
    bench.pump.tick(&Nanos::from_micros(83));
    let steps: Vec<Event> = bench.events.all().into_iter().skip(4).collect();
    let (planned, at) = (Nanos::from_micros(80), Nanos::from_micros(83));
    let queue = QueueId(0);
    let expected = [
        What::Completed {
            request: RequestId(1),
            queue,
            status: Status::Ok,
            planned,
        },
        What::Published {
            queue,
            count: 1,
            planned,
        },
        What::Decided {
            queue,
            wanted: true,
            count: 1,
            planned,
        },
        What::Signalled {
            queue,
            cause: Cause::Completion,
            planned,
        },
    ];
    assert_eq!(steps, expected.map(|what| Event { at, what }));
}

#[test]
fn commands_that_change_something_are_events() {
    let mut bench = bench("hold = true", 1);
    bench.submit(0, 1);
    bench.ask(json!({"cmd": "status"}));
    bench.command(Command::Release(Selection::default()));
    let commands = bench
        .events
        .whats()
        .into_iter()
        .filter_map(|what| match what {
            What::Commanded { command } => Some(command["cmd"].clone()),
            _ => None,
        });
    assert_eq!(commands.collect::<Vec<_>>(), ["release"]);
}
