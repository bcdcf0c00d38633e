// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Scenarios and commands on an NVMe controller: the same timelines as on a
//! virtio disk.

use irqstorm_core::control::{Part, Selection};
use irqstorm_testing::nvme::Command;

use super::{driver, follow, pattern};

fn part(part: Part) -> Selection {
    Selection {
        part,
        ..Selection::default()
    }
}

#[test]
fn completion_and_interrupt_are_released_apart() {
    let daemon = follow("hold = true");
    let mut driver = driver(&daemon, 1);
    let mut control = daemon.control();
    let at = driver.pages(1);
    for block in 0..3 {
        driver.submit(1, Command::transfer(1, block, 1).at(at, 0));
    }
    driver.ring(1);
    control.held(3);
    assert!(driver.completions(1).is_empty());
    assert_eq!(control.release(part(Part::Completion)), 3);
    driver.wait(1, 3);
    assert_eq!(driver.interrupts(1), 0, "the interrupt is still owed");
    assert_eq!(control.release(part(Part::Interrupt)), 3);
    assert_eq!(driver.wait_for_interrupt(1), 1);
}

#[test]
fn an_interrupt_comes_before_its_completion() {
    let daemon =
        follow("interrupt = { early = { by = '1s', rescue = '60s' } }\nlatency = { fixed = '1s' }");
    let mut driver = driver(&daemon, 1);
    let mut control = daemon.control();
    let at = driver.pages(1);
    driver.submit(1, Command::transfer(1, 0, 1).at(at, 0));
    driver.ring(1);
    assert_eq!(driver.wait_for_interrupt(1), 1);
    let total = control.status().total;
    assert_eq!(total.early, 1);
    driver.wait(1, 1);
    assert_eq!(driver.interrupts(1), 0);
}

#[test]
fn many_completions_have_one_interrupt() {
    let daemon = follow("interrupt = { coalesced = { count = 32 } }");
    let mut driver = driver(&daemon, 1);
    let at = driver.pages(1);
    for block in 0..32 {
        driver.submit(1, Command::transfer(1, block, 1).at(at, 0));
    }
    driver.ring(1);
    assert_eq!(driver.wait_for_interrupt(1), 1);
    driver.wait(1, 32);
}

#[test]
fn interrupts_with_nothing_behind_them_come_through_the_queues_vector() {
    let daemon = follow("");
    let driver = driver(&daemon, 2);
    let fired = daemon.control().fire(Some(1), 5);
    assert_eq!(fired.fired, 5);
    assert_eq!(driver.wait_for_interrupt(2), 5);
    assert_eq!(driver.interrupts(1), 0);
}

#[test]
fn faults_end_as_the_errors_that_linux_tells_apart() {
    let daemon = follow(
        "[[rule]]\nlba = '0..1'\nfault = 'io-error'\n[[rule]]\nlba = '1..2'\nfault = 'unsupported'",
    );
    let mut driver = driver(&daemon, 1);
    assert_eq!(driver.write(1, 0, &[1; 512]), 0x06, "internal error: EIO");
    assert_eq!(driver.write(1, 1, &[1; 512]), 0x01, "EOPNOTSUPP");
    assert_eq!(driver.write(1, 2, &[1; 512]), 0);
}

#[test]
fn lies_are_told_in_completion_entries() {
    let daemon = follow(
        "hostile = true\n[[rule]]\nlba = '0..1'\nfault = 'duplicate-id'\n[[rule]]\nlba = '1..2'\nfault = 'out-of-range-id'",
    );
    let mut driver = driver(&daemon, 1);
    let at = driver.pages(1);
    let twice = driver.submit(1, Command::transfer(1, 0, 1).at(at, 0));
    driver.ring(1);
    let ended: Vec<u16> = driver.wait(1, 2).iter().map(|ended| ended.id).collect();
    assert_eq!(ended, [twice, twice]);
    let honest = driver.submit(1, Command::transfer(1, 1, 1).at(at, 0));
    driver.ring(1);
    let ended: Vec<u16> = driver.wait(1, 2).iter().map(|ended| ended.id).collect();
    assert_eq!(ended, [u16::MAX, honest]);
    assert_eq!(daemon.control().status().total.lied, 2);
}

#[test]
fn a_reset_gives_up_what_is_held_and_the_next_driver_sees_none_of_it() {
    let daemon = follow("hold = true");
    let mut driver = driver(&daemon, 1);
    let mut control = daemon.control();
    let at = driver.pages(1);
    driver.submit(1, Command::transfer(1, 0, 1).at(at, 0));
    driver.ring(1);
    control.held(1);
    driver.disable();
    let total = control.status().total;
    assert_eq!((total.abandoned, total.held, total.completed), (1, 0, 0));
    control.hold(false);
    driver.enable();
    driver.create_pair(64, 1);
    assert_eq!(driver.write(1, 0, &pattern(1, 512)), 0);
    assert_eq!(control.status().total.completed, 1);
}

#[test]
fn a_queue_that_is_deleted_completes_what_it_has_first() {
    let daemon = follow("hold = true");
    let mut driver = driver(&daemon, 1);
    let mut control = daemon.control();
    let at = driver.pages(1);
    driver.submit(1, Command::transfer(1, 0, 1).at(at, 0));
    driver.ring(1);
    control.held(1);
    let delete = Command::new(0, 0).with(10, 1);
    assert_eq!(driver.admin(delete).status, 0);
    assert_eq!(driver.completions(1).len(), 1);
    assert_eq!(driver.interrupts(1), 1);
}

#[test]
fn a_full_completion_queue_waits_for_the_driver_and_loses_nothing() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 0);
    driver.create_pair(8, 1);
    let at = driver.pages(1);
    let mut seen = Vec::new();
    // The controller is told nothing of what was read: seven fit.
    for block in 0..7 {
        driver.submit(1, Command::transfer(1, block, 1).at(at, 0));
    }
    driver.ring(1);
    while seen.len() < 7 {
        seen.extend(driver.peek_completions(1));
    }
    for block in 7..12 {
        driver.submit(1, Command::transfer(1, block, 1).at(at, 0));
    }
    driver.ring(1);
    // Its turn comes after the write of the queue's doorbell.
    crate::support::eventually("requests that arrive", || {
        (daemon.control().status().total.requests > 7).then_some(())
    });
    assert!(driver.peek_completions(1).is_empty());
    driver.ring_head(1);
    seen.extend(driver.wait(1, 5));
    let ids: Vec<u16> = seen.iter().map(|ended| ended.id).collect();
    assert_eq!(ids, (0..12).collect::<Vec<u16>>());
}
