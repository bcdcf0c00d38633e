// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Data: every I/O command does what it says, and nothing that it must not.

use irqstorm_testing::nvme::{Command, PAGE};

use super::{driver, follow, pattern};

/// Opcodes.
const FLUSH: u8 = 0x00;
const WRITE: u8 = 0x01;
const READ: u8 = 0x02;
const COMPARE: u8 = 0x05;
const WRITE_ZEROES: u8 = 0x08;
const DATASET_MANAGEMENT: u8 = 0x09;
const VERIFY: u8 = 0x0c;

/// Status codes.
const OK: u16 = 0;
const INVALID_OPCODE: u16 = 0x01;
const INVALID_FIELD: u16 = 0x02;
const DATA_TRANSFER: u16 = 0x04;
const INVALID_NAMESPACE: u16 = 0x0b;
const PRP_OFFSET: u16 = 0x13;
const WRITE_PROTECTED: u16 = 0x20;
const LBA_RANGE: u16 = 0x80;
const COMPARE_FAILURE: u16 = 0x285;

/// Blocks of the disk.
const BLOCKS: u64 = 16_384;

#[test]
fn what_one_queue_writes_every_queue_reads() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 3);
    for (queue, len) in [(1, 512), (2, 4096), (3, 12_800), (1, 1 << 20)] {
        let (block, data) = (u64::from(queue) * 2_100, pattern(queue.into(), len));
        assert_eq!(driver.write(queue, block, &data), OK);
        for reader in 1..=3 {
            let found = driver.read(reader, block, len);
            assert!(found == Ok(data.clone()), "{queue} by {reader}");
        }
    }
    assert_eq!(driver.run(1, Command::new(FLUSH, 1)).status, OK);
    assert_eq!(driver.run(1, Command::new(FLUSH, u32::MAX)).status, OK);
}

#[test]
fn data_lies_wherever_the_prp_entries_say() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    let pages = driver.pages(4);
    let data = pattern(1, 3 * 512);
    // From within a page to the start of another, in reverse order.
    let (first, second) = (pages + 3 * PAGE as u64 - 512, pages);
    driver.put(first, &data[..512]);
    driver.put(second, &data[512..]);
    let write = Command::transfer(WRITE, 5, 3).at(first, second);
    assert_eq!(driver.run(1, write).status, OK);
    assert_eq!(driver.read(1, 5, data.len()), Ok(data.clone()));
    let before = driver.get(pages + 3 * PAGE as u64, PAGE);
    driver.put(pages, &[0xee; PAGE]);
    let read = Command::transfer(READ, 5, 3).at(first, second);
    assert_eq!(driver.run(1, read).status, OK);
    assert_eq!(driver.get(first, 512), data[..512]);
    assert_eq!(driver.get(second, 1024), data[512..]);
    assert_eq!(
        driver.get(second + 1024, 512),
        [0xee; 512],
        "behind the data"
    );
    assert_eq!(driver.get(pages + 3 * PAGE as u64, PAGE), before);
}

#[test]
fn zeroes_and_discards_leave_their_neighbours() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    let data = pattern(1, 8192);
    assert_eq!(driver.write(1, 0, &data), OK);
    let zero = Command::transfer(WRITE_ZEROES, 2, 4);
    assert_eq!(driver.run(1, zero).status, OK);
    // Two ranges: blocks 12 and 13, and none at all.
    let ranges = driver.pages(1);
    driver.put(ranges + 4, &2u32.to_le_bytes());
    driver.put(ranges + 8, &12u64.to_le_bytes());
    let discard = Command::new(DATASET_MANAGEMENT, 1)
        .with(10, 1)
        .with(11, 1 << 2)
        .at(ranges, 0);
    assert_eq!(driver.run(1, discard).status, OK);
    let mut expected = data;
    expected[1024..3072].fill(0);
    expected[6144..7168].fill(0);
    assert_eq!(driver.read(1, 0, 8192), Ok(expected));
}

#[test]
fn compare_tells_a_difference_and_verify_reads_without_data() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    let mut data = pattern(2, 4096);
    assert_eq!(driver.write(1, 8, &data), OK);
    let at = driver.pages(1);
    let compare = Command::transfer(COMPARE, 8, 8).at(at, 0);
    driver.put(at, &data);
    assert_eq!(driver.run(1, compare).status, OK);
    data[4095] ^= 1;
    driver.put(at, &data);
    assert_eq!(driver.run(1, compare).status, COMPARE_FAILURE);
    assert_eq!(driver.get(at, 4096), data, "the guest's data stays");
    let verify = Command::transfer(VERIFY, 8, 8);
    assert_eq!(driver.run(1, verify).status, OK);
    let beyond = Command::transfer(VERIFY, BLOCKS - 4, 8);
    assert_eq!(driver.run(1, beyond).status, LBA_RANGE);
}

#[test]
fn what_cannot_be_carried_out_ends_with_the_status_that_names_it() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    let at = driver.pages(1);
    for (command, status) in [
        (Command::new(0x7f, 1), INVALID_OPCODE),
        (Command::transfer(READ, BLOCKS, 1).at(at, 0), LBA_RANGE),
        (Command::transfer(WRITE, BLOCKS - 1, 2).at(at, 0), LBA_RANGE),
        (Command::transfer(READ, u64::MAX, 1).at(at, 0), LBA_RANGE),
        (Command::transfer(READ, 0, 2049).at(at, 0), INVALID_FIELD),
        (Command::transfer(READ, 0, 1).at(at + 2, 0), PRP_OFFSET),
        (Command::transfer(READ, 0, 9).at(at, at + 4), PRP_OFFSET),
        (Command::transfer(READ, 0, 1).at(1 << 40, 0), DATA_TRANSFER),
        (Command::new(READ, 2).at(at, 0), INVALID_NAMESPACE),
        (Command::new(READ, u32::MAX).at(at, 0), INVALID_NAMESPACE),
        (Command::new(FLUSH, 2), INVALID_NAMESPACE),
        // Fused.
        (
            Command::new(READ, 1).at(at, 0).with(0, 0x102),
            INVALID_FIELD,
        ),
    ] {
        assert_eq!(driver.run(1, command).status, status, "{command:x?}");
    }
    assert_eq!(driver.write(1, 0, &pattern(3, 512)), OK, "it goes on");
}

#[test]
fn a_read_only_disk_says_so_and_stays_as_it_is() {
    let args = ["--transport", "vfio-user", "--read-only"];
    let daemon = crate::support::Daemon::start(&args);
    let mut driver = driver(&daemon, 1);
    assert_eq!(driver.write(1, 0, &[1; 512]), WRITE_PROTECTED);
    let zero = Command::transfer(WRITE_ZEROES, 0, 1);
    assert_eq!(driver.run(1, zero).status, WRITE_PROTECTED);
    assert_eq!(driver.read(1, 0, 512), Ok(vec![0; 512]));
    let page = driver.pages(1);
    assert_eq!(driver.admin(Command::new(0x06, 1).at(page, 0)).status, OK);
    assert_eq!(driver.get(page + 99, 1), [1], "NSATTR");
}

#[test]
fn data_lies_wherever_sgl_descriptors_say() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    let pages = driver.pages(2);
    let data = pattern(4, 1024);
    driver.put(pages + 1, &data[..700]);
    driver.put(pages + 0x1000, &data[700..]);
    let list = driver.pages(1);
    for (at, (address, len)) in [(0, (pages + 1, 700)), (16, (pages + 0x1000, 324u32))] {
        driver.put(list + at, &address.to_le_bytes());
        driver.put(list + at + 8, &len.to_le_bytes());
    }
    // A last segment of two descriptors.
    let listed = |opcode: u8| {
        Command::transfer(opcode, 9, 2)
            .with(0, u32::from(opcode) | 1 << 14)
            .at(list, 0x3000_0000_0000_0020)
    };
    assert_eq!(driver.run(1, listed(WRITE)).status, OK);
    assert_eq!(driver.read(1, 9, 1024), Ok(data.clone()));
    driver.put(pages, &[0; 2 * PAGE]);
    assert_eq!(driver.run(1, listed(READ)).status, OK);
    assert_eq!(driver.get(pages + 1, 700), data[..700]);
    assert_eq!(driver.get(pages + 0x1000, 324), data[700..]);
    let short = Command::transfer(READ, 9, 1).with(0, 2 | 1 << 14);
    assert_eq!(driver.run(1, short.at(list, 32 | 3 << 60)).status, 0x0f);
}

#[test]
fn doorbells_in_memory_are_followed_with_few_registers_written() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 2);
    driver.keep_doorbells_in_memory();
    let data = pattern(5, 4096);
    for round in 0..200u64 {
        let queue = 1 + (round % 2) as u16;
        assert_eq!(driver.write(queue, round * 8, &data), OK);
        assert_eq!(driver.read(3 - queue, round * 8, 4096), Ok(data.clone()));
        driver.interrupts(1);
    }
    // At most once for each command, and for a head once in a round of its
    // queue, since nobody waits for it.
    assert!(driver.rung <= 400 + 2 * 4, "{}", driver.rung);
    driver.disable();
    driver.enable();
    driver.create_pair(64, 1);
    assert_eq!(driver.write(1, 0, &data), OK, "registers again");
}

#[test]
fn a_device_that_polls_finds_commands_in_memory() {
    let args = ["--transport", "vfio-user", "--poll", "1ms"];
    let daemon = crate::support::Daemon::start(&args);
    let mut driver = driver(&daemon, 1);
    assert_eq!(driver.write(1, 0, &pattern(6, 4096)), OK);
    driver.keep_doorbells_in_memory();
    for _ in 0..200 {
        assert_eq!(driver.read(1, 0, 4096), Ok(pattern(6, 4096)));
    }
    assert_eq!(daemon.control().status().total.completed, 201);
}

#[test]
fn shadow_pages_that_are_not_there_are_refused() {
    let daemon = follow("");
    let mut driver = driver(&daemon, 1);
    let page = driver.pages(2);
    for (doorbells, indices) in [(page + 4, page), (page, 1 << 40), (u64::MAX - 0xfff, page)] {
        let command = Command::new(0x7c, 0).at(doorbells, indices);
        assert_eq!(driver.admin(command).status, INVALID_FIELD);
    }
    assert_eq!(driver.write(1, 0, &pattern(1, 512)), OK);
}
