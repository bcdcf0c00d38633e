// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Events sent to the clients that have asked for them.

use std::net::Shutdown;

use irqstorm_core::control::{Code, Command, MarkReply, Pushed, Subscribe, SubscribeReply};
use irqstorm_core::event::{Event, What};
use irqstorm_core::request::RequestId;

use crate::support::{Control, Daemon, eventually};

fn subscribe(control: &mut Control, events: &[&str]) -> SubscribeReply {
    control.ask(&wish(events))
}

fn wish(events: &[&str]) -> Command {
    let events = Some(events.iter().map(|name| (*name).to_owned()).collect());
    Command::Subscribe(Subscribe { events })
}

/// The next line, which is no answer.
fn pushed(control: &mut Control) -> Pushed {
    serde_json::from_str(&control.line().unwrap()).unwrap()
}

fn event(control: &mut Control) -> Event {
    match pushed(control) {
        Pushed::Event(event) => event,
        Pushed::Missed(count) => panic!("{count} events missed"),
    }
}

fn mark(control: &mut Control, name: &str) {
    let name = name.to_owned();
    let _: MarkReply = control.ask(&Command::Mark { name });
}

#[test]
fn a_client_gets_every_event_of_its_kinds_in_their_order() {
    let daemon = Daemon::start(&[]);
    let mut control = daemon.control();
    let reply = subscribe(&mut control, &["completed", "arrived"]);
    assert_eq!(reply.events, ["arrived", "completed"]);
    let mut driver = daemon.driver(1);
    for tag in 0..20 {
        driver.write_now(0, tag, 0, &[1; 512]);
    }
    for number in (1..=20).map(RequestId) {
        let arrived = event(&mut control).what;
        assert!(matches!(arrived, What::Arrived { request, .. } if request == number));
        let completed = event(&mut control).what;
        assert!(matches!(completed, What::Completed { request, .. } if request == number));
    }
}

#[test]
fn events_of_no_kind_are_refused_with_those_that_there_are() {
    let daemon = Daemon::start(&[]);
    let mut control = daemon.control();
    let refusal = control.refused(&wish(&["held", "helt"]));
    assert_eq!(refusal.code, Code::BadRequest);
    assert!(refusal.text.contains("helt: floor, arrived"), "{refusal}");
    // Nothing was subscribed to.
    daemon.driver(1).write_now(0, 0, 0, &[1; 512]);
    control.status();
}

#[test]
fn a_subscription_is_changed_and_ended_by_another() {
    let daemon = Daemon::start(&[]);
    let (mut control, mut other) = (daemon.control(), daemon.control());
    // The pump has begun, and told so, before it answers anything.
    control.status();
    let all: SubscribeReply = control.ask(&Command::Subscribe(Subscribe::default()));
    assert_eq!(all.events, What::NAMES);
    mark(&mut other, "one");
    let marked = |control: &mut Control, name: &str| {
        let what = event(control).what;
        assert!(
            matches!(&what, What::Marked { mark, .. } if mark == name),
            "{what:?}"
        );
    };
    marked(&mut control, "one");
    assert!(matches!(event(&mut control).what, What::Commanded { .. }));
    subscribe(&mut control, &["marked"]);
    mark(&mut other, "two");
    mark(&mut other, "three");
    marked(&mut control, "two");
    marked(&mut control, "three");
    assert!(subscribe(&mut control, &[]).events.is_empty());
    mark(&mut other, "four");
    // Its answer, and nothing before it.
    control.status();
}

#[test]
fn a_client_that_sends_no_more_still_gets_its_events() {
    let daemon = Daemon::start(&[]);
    let (mut control, mut other) = (daemon.control(), daemon.control());
    subscribe(&mut control, &["marked"]);
    control.stream().shutdown(Shutdown::Write).unwrap();
    mark(&mut other, "after");
    assert!(matches!(event(&mut control).what, What::Marked { .. }));
}

#[test]
fn a_client_that_never_reads_holds_up_nobody_and_is_told_what_it_missed() {
    const REQUESTS: u64 = 8_000;
    let daemon = Daemon::start(&[]);
    let (mut deaf, mut control) = (daemon.control(), daemon.control());
    subscribe(&mut deaf, &["arrived"]);
    let mut driver = daemon.driver(1);
    for round in 0..REQUESTS / 32 {
        (0..32).for_each(|tag| driver.flush(0, tag));
        driver.kick(0);
        driver.wait_ok(0, 0..32);
        if round % 50 == 0 {
            control.status();
        }
    }
    assert_eq!(control.status().total.completed, REQUESTS);
    let (mut told, mut missed) = (0, 0);
    while told + missed < REQUESTS {
        match pushed(&mut deaf) {
            Pushed::Event(_) => told += 1,
            Pushed::Missed(count) => missed += count,
        }
    }
    assert_eq!(told + missed, REQUESTS);
    assert!(missed > 0, "it all fits: {told}");
    // It is heard again, and gets events again.
    assert_eq!(deaf.status().total.completed, REQUESTS);
    driver.flush(0, 0);
    driver.kick(0);
    assert!(matches!(event(&mut deaf).what, What::Arrived { .. }));
}

#[test]
fn clients_that_close_while_subscribed_are_forgotten() {
    let daemon = Daemon::start(&[]);
    let mut driver = daemon.driver(1);
    for round in 0..100 {
        let connect = || Control::try_connect(&daemon.scratch.control()).ok();
        let mut control = eventually("a place", connect);
        subscribe(&mut control, &["arrived", "published"]);
        for tag in 0..8 {
            driver.write(0, tag, round * 512, &[1; 512]);
        }
        driver.kick(0);
        driver.wait_ok(0, 0..8);
    }
    let connect = || Control::try_connect(&daemon.scratch.control()).ok();
    let mut clients: Vec<Control> = (0..60).map(|_| eventually("a place", connect)).collect();
    for client in &mut clients {
        client.status();
    }
}
