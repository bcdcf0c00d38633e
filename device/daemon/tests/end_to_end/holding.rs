// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Completions held and let go over the control socket.

use irqstorm_core::control::{Code, Command, Part, Selection};
use irqstorm_core::filter::Choice;
use irqstorm_core::request::{Operation, QueueId, RequestId, Sector};

use crate::support::{Daemon, Driver, EVENT_IDX, FEATURES, OK};

fn only(request: RequestId) -> Selection {
    Selection {
        request: Some(request),
        ..Selection::default()
    }
}

fn part(part: Part) -> Selection {
    Selection {
        part,
        ..Selection::default()
    }
}

#[test]
fn held_completions_come_in_the_order_they_are_released() {
    let daemon = Daemon::follow("hold = true", &[]);
    let (mut control, mut driver) = (daemon.control(), daemon.driver(1));
    for tag in 0..4 {
        driver.write(0, tag, tag as u64 * 512, &[1; 512]);
    }
    driver.kick(0);
    let held = control.held(4).held;
    let sectors: Vec<Sector> = held.iter().map(|entry| entry.sector).collect();
    assert_eq!(sectors, [0, 1, 2, 3].map(Sector), "oldest first");
    assert!(driver.completions(0).is_empty());
    for tag in [2, 0, 3, 1] {
        assert_eq!(control.release(only(held[tag].request)), 1);
        assert_eq!(driver.wait(0, 1), [(tag, OK)]);
    }
    assert_eq!(control.list().total, 0);
}

#[test]
fn what_is_held_is_on_the_disk_already() {
    let daemon = Daemon::start(&[]);
    let (mut control, mut driver) = (daemon.control(), daemon.driver(2));
    control.hold(true);
    driver.write(0, 0, 0, &[7; 512]);
    driver.kick(0);
    control.held(1);
    control.hold(false);
    assert_eq!(driver.read_now(1, 1, 0, 512), [7; 512]);
    assert_eq!(control.list().total, 1, "held until released");
    assert_eq!(control.release(Selection::default()), 1);
    driver.wait_ok(0, [0]);
}

#[test]
fn a_selection_names_queue_operation_and_count() {
    let daemon = Daemon::follow("hold = true", &[]);
    let (mut control, mut driver) = (daemon.control(), daemon.driver(2));
    for queue in 0..2 {
        for tag in 0..3 {
            driver.write(queue, queue * 10 + tag, 0, &[1; 512]);
        }
        driver.read(queue, queue * 10 + 3, 0, 512);
        driver.kick(queue);
    }
    control.held(8);
    let reads_of_1 = Selection {
        queue: Choice::one(QueueId(1)),
        operation: Choice::one(Operation::Read),
        ..Selection::default()
    };
    assert_eq!(control.release(reads_of_1), 1);
    assert_eq!(driver.wait(1, 1), [(13, OK)]);
    let two_of_1 = Selection {
        queue: Choice::one(QueueId(1)),
        count: Some(2),
        ..Selection::default()
    };
    assert_eq!(control.release(two_of_1), 2);
    assert_eq!(driver.wait(1, 2), [(10, OK), (11, OK)]);
    assert!(driver.completions(0).is_empty());
    assert_eq!(control.list().total, 5);
}

#[test]
fn completion_and_interrupt_are_released_apart() {
    let daemon = Daemon::follow("hold = true", &[]);
    let mut control = daemon.control();
    // Without EVENT_IDX an interrupt is wanted always.
    let mut driver = Driver::connect_with(&daemon.scratch.socket(), 1, FEATURES & !EVENT_IDX);
    driver.flush(0, 0);
    driver.flush(0, 1);
    driver.kick(0);
    control.held(2);
    assert_eq!(control.release(part(Part::Completion)), 2);
    driver.wait_ok(0, [0, 1]);
    assert_eq!(driver.interrupts(0), 0);
    assert_eq!(control.release(part(Part::Interrupt)), 2);
    assert_eq!(driver.interrupts(0), 1);
    assert_eq!(control.release(part(Part::Interrupt)), 0);
    assert_eq!(driver.interrupts(0), 0);
}

#[test]
fn what_is_not_held_cannot_be_released() {
    let daemon = Daemon::start(&["--num-queues", "2"]);
    let mut control = daemon.control();
    let refusal = control.refused(&Command::Release(only(RequestId(9))));
    assert_eq!(refusal.code, Code::NotFound);
    let selection = Selection {
        queue: Choice::one(QueueId(2)),
        ..Selection::default()
    };
    let refusal = control.refused(&Command::Release(selection));
    assert_eq!(refusal.code, Code::NotFound);
    assert_eq!(control.release(Selection::default()), 0);
}

#[test]
fn a_new_scenario_takes_what_comes_and_leaves_what_is_held() {
    let daemon = Daemon::follow("hold = true", &[]);
    let (mut control, mut driver) = (daemon.control(), daemon.driver(1));
    assert_eq!(control.status().scenario, "scenario");
    driver.flush(0, 0);
    driver.kick(0);
    control.held(1);
    let reply = control.replace_scenario("seed = 5\nlatency = { fixed = '10us' }", "quick");
    assert_eq!((reply.scenario.as_str(), reply.seed), ("quick", 5));
    driver.flush(0, 1);
    driver.kick(0);
    driver.wait_ok(0, [1]);
    let status = control.status();
    assert_eq!((status.scenario.as_str(), status.seed), ("quick", 5));
    assert_eq!(status.total.held, 1);

    let refusal = control.refused(&Command::Scenario {
        toml: "latncy = 3".to_owned(),
        name: "typo".to_owned(),
    });
    assert_eq!(refusal.code, Code::BadScenario);
    assert!(refusal.text.contains("typo") && refusal.text.contains("latncy"));
    assert_eq!(control.status().scenario, "quick");
    assert_eq!(control.release(Selection::default()), 1);
    driver.wait_ok(0, [0]);
}
