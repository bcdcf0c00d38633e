// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Phases, and the marks that move them on and that clients wait for.

use irqstorm_core::control::{Answer, Code, Command, MarkReply, PhaseReply, Wait};
use irqstorm_core::units::Nanos;

use crate::support::{Control, Daemon, IO_ERROR, OK, eventually};

const THREE: &str = "
    [[phase]]
    name = 'failing'
    until = { requests = 3 }
    fault = 'io-error'
    [[phase]]
    name = 'waiting'
    until = { mark = 'go' }
    mark = 'waiting'
    hold = true
    [[phase]]
    name = 'calm'";

fn mark(control: &mut Control, name: &str) -> MarkReply {
    let name = name.to_owned();
    control.ask(&Command::Mark { name })
}

fn wait(mark: &str, count: Option<u64>, timeout: Option<Nanos>) -> Command {
    Command::Wait(Wait {
        mark: mark.to_owned(),
        count,
        timeout,
    })
}

#[test]
fn phases_move_on_by_requests_and_by_mark() {
    let daemon = Daemon::follow(THREE, &[]);
    let (mut control, mut driver) = (daemon.control(), daemon.driver(2));
    assert_eq!(control.status().phase.name, "failing");
    for (queue, tag) in [(0, 0), (1, 1), (0, 2), (1, 3)] {
        driver.flush(queue, tag);
        driver.kick(queue);
        // One after the other, so that it is known which was the third.
        control.until("its arrival", |status| {
            status.total.requests == tag as u64 + 1
        });
    }
    assert_eq!(driver.wait(0, 2), [(0, IO_ERROR), (2, IO_ERROR)]);
    assert_eq!(driver.wait(1, 1), [(1, IO_ERROR)]);
    control.held(1);
    let status = control.status();
    assert_eq!((status.phase.index, status.phase.requests), (1, 1));
    assert_eq!(status.marks.get("waiting"), Some(&1));

    mark(&mut control, "stay");
    assert_eq!(control.status().phase.name, "waiting");
    mark(&mut control, "go");
    assert_eq!(control.status().phase.name, "calm");
    driver.flush(0, 4);
    driver.kick(0);
    assert_eq!(driver.wait(0, 1), [(4, OK)]);
    assert_eq!(control.list().total, 1, "held until released");
}

#[test]
fn a_command_goes_on_or_back_to_any_phase() {
    let daemon = Daemon::follow(THREE, &[]);
    let mut control = daemon.control();
    let phase = |to: Option<&str>| Command::Phase {
        to: to.map(str::to_owned),
    };
    let reply: PhaseReply = control.ask(&phase(Some("calm")));
    assert_eq!((reply.index, reply.of), (2, 3));
    assert_eq!(control.refused(&phase(None)).code, Code::NotFound);
    let refusal = control.refused(&phase(Some("clam")));
    assert!(refusal.text.contains("calm"), "{refusal}");
    let reply: PhaseReply = control.ask(&phase(Some("failing")));
    assert_eq!(reply.name, "failing");
    let reply: PhaseReply = control.ask(&phase(None));
    assert_eq!(reply.name, "waiting");
}

#[test]
fn one_client_waits_for_the_mark_that_another_sets() {
    let daemon = Daemon::start(&[]);
    let (mut waiting, mut setting) = (daemon.control(), daemon.control());
    let id = waiting.ask_later(&wait("ready", Some(2), None));
    assert_eq!(mark(&mut setting, "ready").count, 1);
    assert_eq!(mark(&mut setting, "other").count, 1);
    assert_eq!(mark(&mut setting, "ready").count, 2);
    let reply = waiting.reply();
    assert_eq!(reply.id, id);
    let Answer::Ok(value) = reply.result else {
        panic!("{reply:?}");
    };
    let reply: MarkReply = serde_json::from_value(value).unwrap();
    assert_eq!((reply.mark.as_str(), reply.count), ("ready", 2));
    // A mark that was set is not waited for again.
    let reply: MarkReply = waiting.ask(&wait("ready", Some(1), None));
    assert_eq!(reply.count, 2);
}

#[test]
fn a_wait_ends_by_its_time_and_the_next_command_is_heard() {
    let daemon = Daemon::start(&[]);
    let mut control = daemon.control();
    let refusal = control.refused(&wait("never", None, Some(Nanos::from_millis(2))));
    assert_eq!(refusal.code, Code::TimedOut);
    assert!(refusal.text.contains("never"), "{refusal}");
    control.status();
}

#[test]
fn clients_that_hang_up_in_a_wait_leave_their_places() {
    let daemon = Daemon::start(&[]);
    // Each goes once its wait is under way, and is noticed a little later.
    let connect = || Control::try_connect(&daemon.scratch.control()).ok();
    for _ in 0..200 {
        let mut control = eventually("a place", connect);
        control.ask_later(&wait("never", None, Some(Nanos::from_millis(3_600_000))));
    }
    let mut clients: Vec<Control> = (0..60).map(|_| eventually("a place", connect)).collect();
    for client in &mut clients {
        client.status();
    }
    let id = clients[0].ask_later(&wait("go", Some(1), None));
    mark(&mut clients[1], "go");
    assert_eq!(clients[0].reply().id, id);
}
