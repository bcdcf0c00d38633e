// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The controller itself: registers, admin commands, queues that come and go.

use irqstorm_testing::nvme::{Client, Command, NvmeDriver};

use super::{driver, follow, identify, pattern};

/// Admin opcodes.
const DELETE_SUBMISSIONS: u8 = 0x00;
const CREATE_SUBMISSIONS: u8 = 0x01;
const GET_LOG_PAGE: u8 = 0x02;
const DELETE_COMPLETIONS: u8 = 0x04;
const CREATE_COMPLETIONS: u8 = 0x05;
const SET_FEATURES: u8 = 0x09;
const GET_FEATURES: u8 = 0x0a;
const ASYNC_EVENT_REQUEST: u8 = 0x0c;

/// Registers.
const CC: u64 = 0x14;
const CSTS: u64 = 0x1c;
const FATAL: u32 = 1 << 1;

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub(super) fn get_log(driver: &mut NvmeDriver, id: u32, len: u32) -> Result<Vec<u8>, u16> {
    let page = driver.pages(1);
    let command = Command::new(GET_LOG_PAGE, u32::MAX)
        .with(10, (len / 4 - 1) << 16 | id)
        .at(page, 0);
    match driver.admin(command).status {
        0 => Ok(driver.get(page, len as usize)),
        status => Err(status),
    }
}

#[test]
fn the_controller_says_what_a_driver_asks_for() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 0);
    let controller = identify(&mut driver, 1, 0).unwrap();
    assert_eq!(&controller[4..24], b"irqstorm            ");
    assert_eq!(controller[111], 1, "an I/O controller");
    assert_eq!(u32_at(&controller, 516), 1, "one namespace");
    assert!(controller[768..].starts_with(b"nqn.2014-08.org.nvmexpress:uuid:"));
    let namespace = identify(&mut driver, 0, 1).unwrap();
    assert_eq!(u32_at(&namespace, 0), 16_384);
    assert_eq!(namespace[130], 9, "blocks of 512 bytes");
    let active = identify(&mut driver, 2, 0).unwrap();
    assert_eq!([u32_at(&active, 0), u32_at(&active, 4)], [1, 0]);
    assert_eq!(u32_at(&identify(&mut driver, 2, 1).unwrap(), 0), 0);
    let descriptors = identify(&mut driver, 3, 1).unwrap();
    assert_eq!(descriptors[..4], [3, 16, 0, 0], "a UUID");
    assert_eq!(descriptors[20..25], [4, 1, 0, 0, 0], "the NVM command set");
    assert_eq!(descriptors[25..], [0; 4096 - 25]);
    assert_eq!(namespace[104..128], [0; 24], "neither NGUID nor EUI64");
    for (what, namespace) in [(0, 2), (3, 0), (5, 2), (8, u32::MAX)] {
        assert_eq!(identify(&mut driver, what, namespace), Err(0x0b), "{what}");
    }
    assert_eq!(identify(&mut driver, 0xff, 1), Err(0x02));
}

#[test]
fn logs_tell_what_happened() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    driver.write(1, 0, &pattern(1, 1 << 20));
    driver.read(1, 0, 512).unwrap();
    driver.read(1, 99_999, 512).unwrap_err();
    let health = get_log(&mut driver, 2, 512).unwrap();
    assert_eq!(u32_at(&health, 32), 1, "data units read");
    assert_eq!(u32_at(&health, 48), 3, "1 MiB is 2.05 times 512000 bytes");
    assert_eq!(u32_at(&health, 64), 1, "reads");
    assert_eq!(u32_at(&health, 80), 1, "writes");
    assert_eq!(u32_at(&health, 176), 1, "errors");
    let errors = get_log(&mut driver, 1, 128).unwrap();
    assert_eq!(u32_at(&errors, 0), 1);
    assert_eq!(errors[8], 1, "of queue 1");
    assert_eq!(errors[12..14], [0x00, 0x81], "out of range, do not retry");
    assert_eq!(errors[64..], [0; 64]);
    assert_eq!(get_log(&mut driver, 3, 512).unwrap()[0], 1);
    let effects = get_log(&mut driver, 5, 4096).unwrap();
    assert_eq!(u32_at(&effects, 1024 + 4), 1 << 20 | 0b11, "write");
    assert_eq!(u32_at(&effects, 1024 + 0x7f * 4), 0);
    assert_eq!(get_log(&mut driver, 0x7f, 512), Err(0x109));
}

#[test]
fn features_are_found_as_they_were_set() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 0);
    let mut set = |feature: u32, value: u32| {
        let command = Command::new(SET_FEATURES, 0)
            .with(10, feature)
            .with(11, value);
        let ended = driver.admin(command);
        let get = Command::new(GET_FEATURES, 0).with(10, feature & 0xff);
        (ended.status, driver.admin(get).result)
    };
    assert_eq!(set(0x06, 0), (0, 0), "the write cache is off");
    assert_eq!(set(0x06, 1), (0, 1));
    assert_eq!(set(0x0b, 0x1ff), (0, 0x1ff));
    assert_eq!(set(0x07, 0x0003_0003), (0, 63 << 16 | 63));
    assert_eq!(set(0x07, 0xffff_0003).0, 0x02);
    assert_eq!(set(0x06 | 1 << 31, 0).0, 0x10d, "nothing is saved");
    assert_eq!(set(0x7f, 0).0, 0x02);
}

#[test]
fn queues_come_and_go_and_what_cannot_be_a_queue_is_named() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    let page = driver.pages(1);
    let create = |opcode: u8, id: u32, entries: u32, rest: u32| {
        Command::new(opcode, 0)
            .at(page, 0)
            .with(10, (entries - 1) << 16 | id)
            .with(11, rest)
    };
    for (command, status) in [
        (create(CREATE_COMPLETIONS, 1, 16, 3), 0x101),
        (create(CREATE_COMPLETIONS, 0, 16, 3), 0x101),
        (create(CREATE_COMPLETIONS, 65, 16, 3), 0x101),
        (create(CREATE_COMPLETIONS, 2, 1, 3), 0x102),
        (create(CREATE_COMPLETIONS, 2, 1025, 3), 0x102),
        (create(CREATE_COMPLETIONS, 2, 16, 2), 0x02),
        (create(CREATE_COMPLETIONS, 2, 16, 65 << 16 | 3), 0x108),
        (create(CREATE_COMPLETIONS, 2, 16, 3).at(page + 8, 0), 0x13),
        (create(CREATE_SUBMISSIONS, 2, 16, 2 << 16 | 1), 0x100),
        (create(CREATE_SUBMISSIONS, 1, 16, 1 << 16 | 1), 0x101),
        (create(DELETE_COMPLETIONS, 1, 1, 0), 0x10c),
        (create(DELETE_SUBMISSIONS, 2, 1, 0), 0x101),
        (create(DELETE_SUBMISSIONS, 0, 1, 0), 0x101),
        (create(DELETE_SUBMISSIONS, 1, 1, 0), 0),
        (create(DELETE_COMPLETIONS, 1, 1, 0), 0),
        (create(DELETE_COMPLETIONS, 1, 1, 0), 0x101),
    ] {
        assert_eq!(driver.admin(command).status, status, "{command:x?}");
    }
    driver.disable();
    driver.enable();
    driver.create_pair(2, 5);
    assert_eq!(driver.write(1, 0, &pattern(1, 512)), 0);
    assert_eq!(driver.wait_for_interrupt(5), 1);
}

#[test]
fn doorbells_of_no_queue_are_told_as_events_and_change_nothing() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    let event = Command::new(ASYNC_EVENT_REQUEST, 0);
    let ids: Vec<u16> = (0..4).map(|_| driver.submit(0, event)).collect();
    let refused = driver.admin(event);
    assert_eq!(refused.status, 0x105, "a fifth");
    driver.client.post_write(0x1000 + 9 * 8, 1);
    let ended = driver.wait(0, 1)[0];
    assert_eq!((ended.id, ended.result), (ids[0], 0x01_0000));
    // Nothing more until the log was read.
    driver.client.post_write(0x1000 + 8, 64);
    assert_eq!(driver.client.register(CSTS), 1);
    assert!(driver.completions(0).is_empty());
    let page = driver.pages(1);
    let read_log = Command::new(GET_LOG_PAGE, u32::MAX).with(10, 15 << 16 | 1);
    driver.submit(0, read_log.at(page, 0));
    driver.ring(0);
    let ended = driver.wait(0, 2);
    assert_eq!((ended[1].id, ended[1].result), (ids[1], 0x01_0100));
    let errors = get_log(&mut driver, 1, 64).unwrap();
    assert_eq!(errors[8..12], [0xff; 4], "of no queue and no command");
    assert_eq!(driver.write(1, 0, &pattern(1, 512)), 0);
}

#[test]
fn a_controller_that_cannot_be_enabled_says_so_until_it_is_reset() {
    let daemon = follow("");
    let mut client = Client::connect(&daemon.scratch.socket());
    client.set_register(CC, 1);
    assert_eq!(client.register(CSTS), FATAL, "no admin queues");
    client.set_register(CC, 0);
    assert_eq!(client.register(CSTS), 0);
    // Queues of 32 where no memory is.
    client.set_register(0x24, 31 << 16 | 31);
    client.set_register(CC, 1);
    assert_eq!(client.register(CSTS), FATAL);
    client.reset();
    assert_eq!((client.register(CSTS), client.register(0x24)), (0, 0));
}

#[test]
fn memory_that_goes_under_a_queue_is_fatal_until_the_next_reset() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    let command = Command::transfer(0x02, 0, 1).at(0x1000, 0);
    driver.submit(1, command);
    driver.client.unmap(0, 64 << 20).unwrap();
    driver.ring(1);
    crate::support::eventually("a fatal status", || {
        (driver.client.register(CSTS) == 1 | FATAL).then_some(())
    });
    driver.client.set_register(CC, 0);
    assert_eq!(driver.client.register(CSTS), 0);
}
