// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A controller in its sandbox does all that it does without.

use std::os::fd::AsFd;

use irqstorm_testing::nvme::{Client, Command, NvmeDriver};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::MemfdFlags;

use super::controller::get_log;
use super::{driver, identify, pattern};
use crate::confined::{confined, steer};
use crate::support::Daemon;

/// I/O opcodes.
const FLUSH: u8 = 0x00;
const WRITE: u8 = 0x01;
const COMPARE: u8 = 0x05;
const WRITE_ZEROES: u8 = 0x08;
const DATASET_MANAGEMENT: u8 = 0x09;
const VERIFY: u8 = 0x0c;

/// Admin opcodes.
const DELETE_SUBMISSIONS: u8 = 0x00;
const DELETE_COMPLETIONS: u8 = 0x04;
const ABORT: u8 = 0x08;
const HOLD: u8 = 0xc0;
const FIRE: u8 = 0xc8;

/// Every kind of request.
fn transfer_all(driver: &mut NvmeDriver) {
    assert_eq!(driver.write(1, 0, &pattern(1, 64 << 10)), 0);
    assert_eq!(driver.read(2, 0, 64 << 10), Ok(pattern(1, 64 << 10)));
    let page = driver.pages(1);
    driver.put(page, &pattern(1, 512));
    let block = |opcode| Command::transfer(opcode, 0, 1).at(page, 0);
    let range = driver.pages(1);
    driver.put(range + 4, &[8, 0, 0, 0, 16]);
    let discard = Command::new(DATASET_MANAGEMENT, 1).with(11, 1 << 2);
    for command in [
        block(COMPARE),
        block(VERIFY),
        block(WRITE_ZEROES),
        block(WRITE).with(12, 1 << 30),
        discard.at(range, 0),
        Command::new(FLUSH, 1),
    ] {
        assert_eq!(driver.run(1, command).status, 0, "{command:x?}");
    }
}

/// What a driver does beside that, and what the VMM does for it.
fn administrate(driver: &mut NvmeDriver) {
    identify(driver, 1, 0).unwrap();
    get_log(driver, 2, 512).unwrap();
    let fire = Command::new(FIRE, 0).with(10, 1);
    for (command, count) in [(fire, 1), (Command::new(HOLD, 0).with(10, 1), 1)] {
        let ended = driver.admin(command);
        assert_eq!((ended.status, ended.result.min(1)), (0, count));
    }
    let page = driver.pages(1);
    let id = driver.submit(2, Command::transfer(WRITE, 0, 1).at(page, 0));
    driver.ring(2);
    crate::support::eventually("an abort", || {
        let abort = Command::new(ABORT, 0).with(10, u32::from(id) << 16 | 2);
        (driver.admin(abort).result == 0).then_some(())
    });
    driver.wait(2, 1);
    assert_eq!(driver.admin(Command::new(HOLD, 0)).status, 0);
    for opcode in [DELETE_SUBMISSIONS, DELETE_COMPLETIONS] {
        assert_eq!(driver.admin(Command::new(opcode, 0).with(10, 2)).status, 0);
    }
    let more = rustix::fs::memfd_create("more", MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&more, 1 << 20).unwrap();
    let at = 1 << 32;
    driver
        .client
        .map(at, 1 << 20, 0, Some(more.as_fd()))
        .unwrap();
    driver.client.unmap(at, 1 << 20).unwrap();
    driver.client.set_vector(1, None);
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    driver.client.set_vector(1, Some(fd.as_fd()));
}

/// A driver that resets its controller, and goes with a request in flight.
fn come_and_go(daemon: &Daemon, shadow: bool) {
    let mut driver = driver(daemon, 2);
    transfer_all(&mut driver);
    administrate(&mut driver);
    driver.disable();
    driver.enable();
    driver.create_pair(64, 1);
    driver.create_pair(64, 2);
    if shadow {
        driver.keep_doorbells_in_memory();
    }
    transfer_all(&mut driver);
    daemon.control().hold(true);
    driver.submit(1, Command::new(FLUSH, 1));
    driver.ring(1);
    daemon.control().held(1);
    driver.client.reset();
    drop(driver);
    daemon
        .control()
        .until("the driver's end", |status| !status.connected);
    daemon.control().hold(false);
}

#[test]
fn a_confined_controller_does_all_that_it_does_without() {
    for mode in ["enforce", "log"] {
        for doorbells in ["socket", "shadow", "mapped"] {
            let more = ["--transport", "vfio-user", "--doorbells", doorbells];
            let daemon = confined(mode, &more);
            for _ in 0..2 {
                come_and_go(&daemon, doorbells == "shadow");
                steer(&daemon);
            }
            // One that shares nothing is looked for, and refused.
            let mut client = Client::connect(&daemon.scratch.socket());
            client.map(0, 1 << 20, 0, None).unwrap();
            client.device_info().unwrap_err();
            daemon.terminate();
        }
    }
}

#[test]
fn every_thread_of_a_confined_controller_is_confined() {
    let daemon = confined("enforce", &["--transport", "vfio-user"]);
    let _driver = driver(&daemon, 2);
    let all = daemon.threads();
    // Pump, control plane, front-end, and the writers of two files.
    assert!(all.len() >= 5, "{all:?}");
    let confined = |status: &str| status.contains("Seccomp:\t2");
    assert!(all.iter().all(|(_, status)| confined(status)), "{all:?}");
}
