// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the controller says that it has, against what it does: every command,
//! log page and feature there could be is tried.

use irqstorm_testing::nvme::{Command, NvmeDriver, PAGE};

use super::controller::{get_log, u32_at};
use super::{driver, follow, identify};
use crate::support::Daemon;

/// Admin opcodes.
const SET_FEATURES: u8 = 0x09;
const GET_FEATURES: u8 = 0x0a;
const ASYNC_EVENT_REQUEST: u8 = 0x0c;

/// Statuses.
const INVALID_OPCODE: u16 = 0x01;
const INVALID_FIELD: u16 = 0x02;
const INVALID_NAMESPACE: u16 = 0x0b;
const INVALID_LOG_PAGE: u16 = 0x109;
const NOT_OF_NAMESPACE: u16 = 0x10f;

/// In the entry of a command or feature: it is supported, of a namespace, of
/// the controller.
const SUPPORTED: u32 = 1;
const OF_NAMESPACE: u32 = 1 << 20;
const OF_CONTROLLER: u32 = 1 << 21;

/// Optional admin commands, by their bits in OACS (5.17.2.1).
const OPTIONAL_ADMIN: [(u8, &[u8]); 10] = [
    (0, &[0x81, 0x82]),
    (1, &[0x80]),
    (2, &[0x10, 0x11]),
    (3, &[0x0d, 0x15]),
    (4, &[0x14]),
    (5, &[0x19, 0x1a]),
    (6, &[0x1d, 0x1e]),
    (7, &[0x1c]),
    (8, &[0x7c]),
    (9, &[0x86]),
];

/// Optional I/O commands, by their bits in ONCS.
const OPTIONAL_IO: [(u8, &[u8]); 6] = [
    (0, &[0x05]),
    (1, &[0x04]),
    (2, &[0x09]),
    (3, &[0x08]),
    (5, &[0x0d, 0x0e, 0x11, 0x15]),
    (7, &[0x0c]),
];

/// The entries of a log page with one for each number.
fn entries(driver: &mut NvmeDriver, log: u32, from: usize) -> Vec<u32> {
    let page = get_log(driver, log, 4096).unwrap();
    (0..256).map(|n| u32_at(&page, from + n * 4)).collect()
}

fn with_doorbells(how: &str) -> (Daemon, NvmeDriver) {
    let args = ["--transport", "vfio-user", "--doorbells", how];
    let daemon = Daemon::follow("", &args);
    let driver = driver(&daemon, 1);
    (daemon, driver)
}

#[test]
fn every_command_is_there_if_and_only_if_its_effects_say_so() {
    for how in ["socket", "shadow", "mapped"] {
        let (_daemon, mut driver) = with_doorbells(how);
        let admin = entries(&mut driver, 0x05, 0);
        let io = entries(&mut driver, 0x05, 1024);
        let page = driver.pages(2);
        let command = |opcode| Command::new(opcode, 1).at(page, page + PAGE as u64);
        for opcode in 0..=u8::MAX {
            let ended = driver.run(1, command(opcode)).status;
            let known = io[usize::from(opcode)];
            let tried = ended != INVALID_OPCODE;
            assert_eq!(known & SUPPORTED != 0, tried, "{how}: I/O {opcode:#x}");
            assert_eq!(known & OF_NAMESPACE != 0, tried, "{how}: I/O {opcode:#x}");
        }
        for opcode in 0..=u8::MAX {
            let known = admin[usize::from(opcode)];
            // Of this one there is an answer only when there is an event.
            let tried = opcode == ASYNC_EVENT_REQUEST
                || driver.admin(command(opcode)).status != INVALID_OPCODE;
            assert_eq!(known & SUPPORTED != 0, tried, "{how}: admin {opcode:#x}");
            assert_eq!(
                known & OF_CONTROLLER != 0,
                tried,
                "{how}: admin {opcode:#x}"
            );
        }
    }
}

#[test]
fn identify_names_the_optional_commands_that_there_are() {
    for how in ["socket", "shadow", "mapped"] {
        let (_daemon, mut driver) = with_doorbells(how);
        let controller = identify(&mut driver, 1, 0).unwrap();
        let admin = entries(&mut driver, 0x05, 0);
        let io = entries(&mut driver, 0x05, 1024);
        for (optional, effects, at) in [
            (OPTIONAL_ADMIN.as_slice(), &admin, 256),
            (OPTIONAL_IO.as_slice(), &io, 520),
        ] {
            let named = u16::from_le_bytes([controller[at], controller[at + 1]]);
            let known: u16 = optional.iter().map(|(bit, _)| 1 << bit).sum();
            assert_eq!(named & !known, 0, "{how}: what else is at {at}");
            for &(bit, opcodes) in optional {
                for &opcode in opcodes {
                    let there = effects[usize::from(opcode)] & SUPPORTED != 0;
                    assert_eq!(named >> bit & 1 != 0, there, "{how}: {opcode:#x}");
                }
            }
        }
    }
}

#[test]
fn every_log_page_is_there_if_and_only_if_the_list_of_them_says_so() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 0);
    let known = get_log(&mut driver, 0x00, 1024).unwrap();
    for id in 0..=u8::MAX {
        let read = get_log(&mut driver, id.into(), 64);
        match u32_at(&known, usize::from(id) * 4) & SUPPORTED {
            0 => assert_eq!(read, Err(INVALID_LOG_PAGE), "{id:#x}"),
            _ => assert_eq!(read.map(|page| page.len()), Ok(64), "{id:#x}"),
        }
    }
    // LPA: commands with their effects, offsets and long reads, and the lists
    // of logs and features; no health of single namespaces, no telemetry.
    assert_eq!(identify(&mut driver, 1, 0).unwrap()[261], 0b10_0110);
}

#[test]
fn a_log_is_read_from_an_offset_in_bytes_and_from_no_other() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 0);
    let whole = get_log(&mut driver, 0x05, 4096).unwrap();
    let page = driver.pages(1);
    let read = Command::new(0x02, u32::MAX)
        .with(10, 15 << 16 | 0x05)
        .at(page, 0);
    assert_eq!(driver.admin(read.with(12, 1024)).status, 0);
    assert_eq!(driver.get(page, 64), whole[1024..1088]);
    for refused in [
        read.with(12, 1022),
        read.with(12, 8192),
        read.with(13, 1),
        // An offset in structures; another command set.
        read.with(14, 1 << 23),
        read.with(14, 2 << 24),
    ] {
        assert_eq!(driver.admin(refused).status, INVALID_FIELD, "{refused:x?}");
    }
}

#[test]
fn every_feature_is_there_if_and_only_if_its_effects_say_so() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 0);
    let known = entries(&mut driver, 0x12, 0);
    for id in 0..=u8::MAX {
        let get = Command::new(GET_FEATURES, 1).with(10, id.into());
        let got = driver.admin(get);
        let set = Command::new(SET_FEATURES, 1).with(10, id.into());
        let set = driver.admin(set.with(11, got.result)).status;
        let effects = known[usize::from(id)];
        let expected = match effects & (OF_NAMESPACE | OF_CONTROLLER) {
            OF_NAMESPACE => (0, 0),
            OF_CONTROLLER => (0, NOT_OF_NAMESPACE),
            _ => (INVALID_FIELD, INVALID_FIELD),
        };
        assert_eq!((got.status, set), expected, "{id:#x}: {effects:#x}");
        assert_eq!(effects & SUPPORTED != 0, expected.0 == 0, "{id:#x}");
    }
}

#[test]
fn error_recovery_is_set_for_a_namespace_or_for_all() {
    let args = ["--transport", "vfio-user", "--namespaces", "3"];
    let daemon = Daemon::follow("", &args);
    let mut driver = driver(&daemon, 0);
    let command = |opcode, namespace| Command::new(opcode, namespace).with(10, 5);
    let mut set = |namespace, value| {
        let set = command(SET_FEATURES, namespace).with(11, value);
        let status = driver.admin(set).status;
        let got = [1, 2, 3].map(|id| driver.admin(command(GET_FEATURES, id)).result);
        (status, got)
    };
    assert_eq!(set(2, 7), (0, [0, 7, 0]));
    assert_eq!(set(u32::MAX, 9), (0, [9, 9, 9]));
    assert_eq!(set(4, 1), (INVALID_NAMESPACE, [9, 9, 9]));
    // DULBE is not offered.
    assert_eq!(set(1, 1 << 16), (INVALID_FIELD, [9, 9, 9]));
    let of_all = driver.admin(command(GET_FEATURES, u32::MAX));
    assert_eq!(of_all.status, INVALID_NAMESPACE);
}

#[test]
fn limits_are_those_that_hold() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    let controller = identify(&mut driver, 1, 0).unwrap();
    let limits = identify(&mut driver, 6, 0).unwrap();
    assert_eq!((controller[77], limits[0]), (8, 8), "MDTS and VSL");
    assert!(limits[1..].iter().all(|&byte| byte == 0), "no other limit");
    let (prp1, prp2) = driver.buffer(1 << 20);
    for (opcode, blocks, status) in [
        (0x02, 2048, 0),
        (0x02, 2049, INVALID_FIELD),
        (0x0c, 2048, 0),
        (0x0c, 2049, INVALID_FIELD),
        (0x08, 16_384, 0),
    ] {
        let command = Command::transfer(opcode, 0, blocks).at(prp1, prp2);
        assert_eq!(
            driver.run(1, command).status,
            status,
            "{opcode:#x} {blocks}"
        );
    }
}

#[test]
fn a_read_only_disk_says_so_wherever_a_driver_looks() {
    for read_only in [false, true] {
        let mut args = vec!["--transport", "vfio-user"];
        args.extend(read_only.then_some("--read-only"));
        let daemon = Daemon::follow("", &args);
        let mut driver = driver(&daemon, 1);
        let namespace = identify(&mut driver, 0, 1).unwrap();
        let independent = identify(&mut driver, 8, 1).unwrap();
        assert_eq!(namespace[99], u8::from(read_only), "NSATTR");
        assert_eq!(independent[8], u8::from(read_only), "NSATTR");
        assert_eq!(independent[3], 0, "FPI: no format goes on");
        let (prp1, prp2) = driver.buffer(512);
        let write = Command::transfer(1, 0, 1).at(prp1, prp2);
        let expected = if read_only { 0x20 } else { 0 };
        assert_eq!(driver.run(1, write).status, expected);
    }
}
