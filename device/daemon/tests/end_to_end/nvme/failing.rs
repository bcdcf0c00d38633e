// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Commands that are taken back, a controller that fails, and ids of long ago.

use irqstorm_core::control;
use irqstorm_testing::nvme::Command;

use super::{driver, follow, pattern};
use crate::support::{Daemon, eventually};

/// Admin opcodes.
const ABORT: u8 = 0x08;
const ASYNC_EVENT_REQUEST: u8 = 0x0c;

const CSTS: u64 = 0x1c;
const READY_AND_FATAL: u32 = 0b11;

/// Command Abort Requested.
const ABORTED: u16 = 0x07;

fn abort(queue: u16, id: u16) -> Command {
    Command::new(ABORT, 0).with(10, u32::from(id) << 16 | u32::from(queue))
}

#[test]
fn a_held_command_is_aborted_and_one_that_is_not_there_is_not() {
    let daemon = follow("hold = true");
    let mut driver = driver(&daemon, 2);
    let at = driver.pages(1);
    let id = driver.submit(1, Command::transfer(1, 0, 1).at(at, 0));
    driver.ring(1);
    daemon.control().held(1);
    for (queue, name) in [(1, id + 1), (2, id), (9, id), (0, id)] {
        let ended = driver.admin(abort(queue, name));
        assert_eq!((ended.status, ended.result), (0, 1), "{queue} {name}");
    }
    assert!(driver.completions(1).is_empty());
    let ended = driver.admin(abort(1, id));
    assert_eq!((ended.status, ended.result), (0, 0));
    let ended = driver.wait(1, 1)[0];
    assert_eq!((ended.id, ended.status), (id, ABORTED));
    assert_eq!(driver.wait_for_interrupt(1), 1);
    assert_eq!(daemon.control().status().total.held, 0);
}

#[test]
fn a_lost_command_cannot_be_aborted() {
    let daemon = follow("fault = { lost = {} }");
    let mut driver = driver(&daemon, 1);
    let at = driver.pages(1);
    let id = driver.submit(1, Command::transfer(1, 0, 1).at(at, 0));
    driver.ring(1);
    daemon.control().held(1);
    assert_eq!(driver.admin(abort(1, id)).result, 1);
    assert!(driver.completions(1).is_empty());
}

#[test]
fn a_request_for_events_can_be_taken_back() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 0);
    let id = driver.submit(0, Command::new(ASYNC_EVENT_REQUEST, 0));
    let asked = driver.submit(0, abort(0, id));
    driver.ring(0);
    let ended = driver.wait(0, 2);
    assert_eq!((ended[0].id, ended[0].status), (id, ABORTED));
    assert_eq!((ended[1].id, ended[1].result), (asked, 0));
}

#[test]
fn a_controller_that_has_failed_completes_nothing_until_it_is_reset() {
    for scenario in [
        "hold = true",
        "[[rule]]\nlba = '7..8'\nfault = 'device-failure'",
    ] {
        let daemon = follow(scenario);
        let mut control = daemon.control();
        let mut driver = driver(&daemon, 1);
        let at = driver.pages(1);
        driver.submit(1, Command::transfer(1, 7, 1).at(at, 0));
        driver.ring(1);
        if scenario.contains("hold") {
            control.held(1);
            let reply: control::FailReply = control.ask(&control::Command::Fail {});
            assert_eq!((reply.queues, reply.requests), (1, 1));
        }
        eventually("a fatal status", || {
            (driver.client.register(CSTS) == READY_AND_FATAL).then_some(())
        });
        driver.submit(0, abort(1, 0));
        driver.ring(0);
        driver.submit(1, Command::transfer(2, 0, 1).at(at, 0));
        driver.ring(1);
        assert_eq!(driver.client.register(CSTS), READY_AND_FATAL);
        assert!(driver.completions(0).is_empty() && driver.completions(1).is_empty());
        control.hold(false);
        driver.disable();
        assert_eq!(driver.client.register(CSTS), 0);
        driver.enable();
        driver.create_pair(64, 1);
        assert_eq!(driver.write(1, 0, &pattern(1, 512)), 0);
        daemon.terminate();
    }
}

#[test]
fn a_virtio_disk_says_why_it_does_not_fail() {
    let daemon = Daemon::follow("", &[]);
    let refusal = daemon.control().refused(&control::Command::Fail {});
    assert!(refusal.text.contains("DEVICE_NEEDS_RESET"), "{refusal}");
}

#[test]
fn an_id_of_long_ago_stands_before_the_right_one() {
    let daemon = follow("hostile = true\n[[rule]]\nlba = '1..2'\nfault = 'stale-id'");
    let mut driver = driver(&daemon, 1);
    let at = driver.pages(1);
    let first = driver.run(1, Command::transfer(1, 0, 1).at(at, 0)).id;
    driver.run(1, Command::transfer(1, 0, 1).at(at, 0));
    let honest = driver.submit(1, Command::transfer(1, 1, 1).at(at, 0));
    driver.ring(1);
    let ended: Vec<u16> = driver.wait(1, 2).iter().map(|ended| ended.id).collect();
    assert_eq!(ended, [first, honest]);
}
