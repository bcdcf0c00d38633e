// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The ways in which doorbells come to the device.

use irqstorm_testing::nvme::{Command, NvmeDriver};

use super::{driver, pattern};
use crate::support::{Daemon, eventually};

/// Admin opcodes.
const IDENTIFY: u8 = 0x06;
const ASYNC_EVENT_REQUEST: u8 = 0x0c;
const DOORBELL_BUFFERS: u8 = 0x7c;

fn with_doorbells(how: &str, scenario: &str) -> Daemon {
    let args = ["--transport", "vfio-user", "--doorbells", how];
    Daemon::follow(scenario, &args)
}

/// Whether the controller says that a driver may keep doorbell buffers, and what
/// it answers one that does.
fn buffers(driver: &mut NvmeDriver) -> (bool, u16) {
    let page = driver.pages(2);
    let identify = Command::new(IDENTIFY, 0).with(10, 1).at(page, 0);
    assert_eq!(driver.admin(identify).status, 0);
    let offered = driver.get(page + 256, 2)[1] & 1 != 0;
    let command = Command::new(DOORBELL_BUFFERS, 0).at(page, page + 4096);
    (offered, driver.admin(command).status)
}

#[test]
fn doorbell_buffers_are_offered_only_where_they_are_used() {
    for (how, expected) in [
        ("socket", (false, 0x01)),
        ("shadow", (true, 0x00)),
        ("mapped", (false, 0x01)),
    ] {
        let daemon = with_doorbells(how, "");
        let mut driver = driver(&daemon, 1);
        assert_eq!(driver.mapped.is_some(), how == "mapped", "{how}");
        assert_eq!(buffers(&mut driver), expected, "{how}");
        daemon.terminate();
    }
}

#[test]
fn what_is_written_to_mapped_doorbells_is_found_while_looking_and_after_pauses() {
    let daemon = with_doorbells("mapped", "");
    let mut driver = driver(&daemon, 3);
    for round in 0..30u16 {
        let queue = round % 3 + 1;
        let data = pattern(round.into(), 4096);
        assert_eq!(driver.write(queue, u64::from(round) * 8, &data), 0);
        assert_eq!(driver.read(queue, u64::from(round) * 8, 4096), Ok(data));
        if round % 10 == 9 {
            // Until the device looks no more but at its tick.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    assert!(driver.rung >= 120, "heads and tails: {}", driver.rung);
    daemon.terminate();
}

#[test]
fn a_full_completion_queue_goes_on_when_the_mapped_head_moves() {
    let daemon = with_doorbells("mapped", "");
    let mut driver = NvmeDriver::connect(&daemon.scratch.socket());
    driver.create_pair(4, 1);
    let at = driver.pages(1);
    let read = Command::transfer(2, 0, 1).at(at, 0);
    for _ in 0..3 {
        driver.submit(1, read);
    }
    driver.ring(1);
    eventually("three completions", || {
        (driver.interrupts(1) > 0).then_some(())
    });
    let mut ended = Vec::new();
    eventually("a full queue", || {
        ended.extend(driver.peek_completions(1));
        (ended.len() == 3).then_some(())
    });
    for _ in 0..3 {
        driver.submit(1, read);
    }
    driver.ring(1);
    std::thread::sleep(std::time::Duration::from_millis(10));
    assert!(
        driver.peek_completions(1).is_empty(),
        "nothing is overwritten"
    );
    driver.ring_head(1);
    driver.wait(1, 3);
}

#[test]
fn a_mapped_doorbell_with_what_its_queue_does_not_have_is_told_as_an_event() {
    let daemon = with_doorbells("mapped", "");
    let mut driver = driver(&daemon, 1);
    let id = driver.submit(0, Command::new(ASYNC_EVENT_REQUEST, 0));
    driver.ring(0);
    driver.write_bell(2, 64);
    let ended = driver.wait(0, 1)[0];
    assert_eq!((ended.id, ended.result), (id, 0x01_0100));
    assert_eq!(driver.write(1, 0, &pattern(1, 512)), 0);
}

#[test]
fn mapped_doorbells_are_zero_after_a_reset_and_for_the_next_connection() {
    let daemon = with_doorbells("mapped", "");
    let mut driver = driver(&daemon, 1);
    assert_eq!(driver.write(1, 0, &pattern(1, 512)), 0);
    let tail = |driver: &NvmeDriver| {
        let mapped = driver.mapped.as_ref().unwrap();
        mapped.read(driver.bell(2)).unwrap()
    };
    assert_eq!(tail(&driver), 1);
    driver.disable();
    assert_eq!(tail(&driver), 0);
    driver.enable();
    driver.create_pair(64, 1);
    assert_eq!(driver.read(1, 0, 512), Ok(pattern(1, 512)));
    drop(driver);
    let mut next = super::driver(&daemon, 1);
    assert_eq!(tail(&next), 0);
    assert_eq!(next.read(1, 0, 512), Ok(pattern(1, 512)));
}

#[test]
fn what_comes_over_the_socket_while_the_pages_are_away_counts_as_well() {
    let daemon = with_doorbells("mapped", "");
    let mut driver = driver(&daemon, 1);
    assert_eq!(driver.write(1, 0, &pattern(1, 512)), 0);
    driver.mapped = None;
    assert_eq!(driver.read(1, 0, 512), Ok(pattern(1, 512)));
}
