// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Data: what a driver writes is on the disk, and stays there.

use std::fs;

use virtio_driver::VirtioBlkFeatureFlags;

use crate::support::{Daemon, Driver, FEATURES, IO_ERROR, OK, PIECE, Scratch};

/// Bytes that differ from place to place and from seed to seed.
fn pattern(seed: usize, len: usize) -> Vec<u8> {
    let byte = |i: usize| ((i / 512 * 7 + i) ^ seed).to_le_bytes()[0];
    (0..len).map(byte).collect()
}

#[test]
fn what_one_queue_writes_every_queue_reads() {
    let daemon = Daemon::start(&[]);
    let mut driver = daemon.driver(4);
    for (queue, len) in [(0, 512), (1, 4096), (2, 12_800), (3, PIECE)] {
        let offset = queue as u64 * 1_000_448;
        driver.write_now(queue, queue, offset, &pattern(queue, len));
        for reader in 0..4 {
            let found = driver.read_now(reader, 10, offset, len);
            assert!(found == pattern(queue, len), "{queue} by {reader}");
        }
    }
}

#[test]
fn many_requests_in_flight_end_once_each() {
    let daemon = Daemon::follow("latency = { uniform = { min = '0us', max = '2ms' } }", &[]);
    let mut driver = daemon.driver(2);
    for round in 0..8u64 {
        for tag in 0..32 {
            let offset = (round * 32 + tag as u64) * 4096;
            driver.write(tag % 2, tag, offset, &pattern(tag, 4096));
        }
        driver.kick(0);
        driver.kick(1);
        driver.wait_ok(0, (0..32).step_by(2));
        driver.wait_ok(1, (1..32).step_by(2));
    }
    for piece in 0..256 {
        let found = driver.read_now(0, 0, piece as u64 * 4096, 4096);
        assert!(found == pattern(piece % 32, 4096), "{piece}");
    }
    let status = daemon.control().status();
    assert_eq!(status.total.requests, 512);
    assert_eq!(status.total.completed, 512);
    assert_eq!(status.total.in_flight, 0);
}

#[test]
fn zeroes_and_discards_leave_their_neighbours() {
    let daemon = Daemon::start(&[]);
    let mut driver = daemon.driver(1);
    let data = pattern(1, 8192);
    driver.write_now(0, 0, 0, &data);
    driver.write_zeroes(0, 1, 1024, 2048);
    driver.kick(0);
    driver.wait_ok(0, [1]);
    driver.discard(0, 2, 6144, 1024);
    driver.flush(0, 3);
    driver.kick(0);
    driver.wait_ok(0, [2, 3]);
    let found = driver.read_now(0, 0, 0, 8192);
    assert!(found[..1024] == data[..1024]);
    assert!(found[1024..3072].iter().all(|&byte| byte == 0));
    assert!(found[3072..6144] == data[3072..6144]);
    assert!(found[7168..] == data[7168..]);
}

#[test]
fn the_last_sector_of_an_odd_capacity_is_there_and_the_next_is_not() {
    let daemon = Daemon::start_in(Scratch::new(), &["--ram", "1049088"]);
    let mut driver = daemon.driver(1);
    assert_eq!(u64::from(driver.config().capacity), 2049);
    driver.write_now(0, 0, 2048 * 512, &pattern(3, 512));
    driver.write(0, 1, 2048 * 512, &pattern(4, 1024));
    driver.write(0, 2, 2049 * 512, &pattern(4, 512));
    driver.read(0, 3, 1 << 40, 512);
    driver.kick(0);
    let mut ended = driver.wait(0, 3);
    ended.sort_unstable();
    assert_eq!(ended, [(1, IO_ERROR), (2, IO_ERROR), (3, IO_ERROR)]);
    assert!(driver.read_now(0, 0, 2048 * 512, 512) == pattern(3, 512));
    assert_eq!(daemon.control().status().total.failed, 3);
}

#[test]
fn flushed_writes_are_in_the_file() {
    let scratch = Scratch::new();
    let disk = scratch.write("disk", vec![0xee; 1 << 20]);
    let daemon = Daemon::start_in(scratch, &["--blk-file", disk.to_str().unwrap()]);
    let mut driver = daemon.driver(2);
    driver.write_now(1, 0, 4096, &pattern(5, 8192));
    driver.flush(1, 1);
    driver.kick(1);
    driver.wait_ok(1, [1]);
    let content = fs::read(&disk).unwrap();
    assert!(content[4096..12_288] == pattern(5, 8192));
    assert!(
        content[..4096]
            .iter()
            .chain(&content[12_288..])
            .all(|&byte| byte == 0xee)
    );
    assert_eq!(content.len(), 1 << 20);
}

#[test]
fn a_read_only_disk_says_so_and_stays_as_it_is() {
    let scratch = Scratch::new();
    let disk = scratch.write("disk", pattern(6, 1 << 16));
    let args = ["--read-only", "--blk-file", disk.to_str().unwrap()];
    let daemon = Daemon::start_in(scratch, &args);
    let mut driver = daemon.driver(1);
    assert_ne!(driver.features() & VirtioBlkFeatureFlags::RO.bits(), 0);
    driver.write(0, 0, 0, &pattern(7, 512));
    driver.write_zeroes(0, 1, 0, 512);
    driver.kick(0);
    let ended = driver.wait(0, 2);
    assert!(ended.iter().all(|&(_, status)| status != OK), "{ended:?}");
    assert!(driver.read_now(0, 2, 0, 4096) == pattern(6, 4096));
    assert!(fs::read(&disk).unwrap() == pattern(6, 1 << 16));
}

#[test]
fn a_null_disk_takes_everything_and_gives_zeroes() {
    let daemon = Daemon::start_in(Scratch::new(), &["--null", "1T", "--block-size", "4096"]);
    let mut driver = daemon.driver(1);
    assert_eq!(u64::from(driver.config().capacity), 1 << 31);
    assert_eq!(u32::from(driver.config().blk_size), 4096);
    driver.write_now(0, 0, (1 << 40) - 4096, &pattern(8, 4096));
    let found = driver.read_now(0, 0, (1 << 40) - 4096, 4096);
    assert!(found.iter().all(|&byte| byte == 0));
}

#[test]
fn every_one_of_256_queues_works() {
    let daemon = Daemon::start(&["--num-queues", "256"]);
    let mut driver = Driver::connect_with(&daemon.scratch.socket(), 256, FEATURES);
    assert_eq!(u16::from(driver.config().num_queues), 256);
    for queue in 0..256 {
        driver.write_now(queue, 0, queue as u64 * 512, &pattern(queue, 512));
    }
    for queue in 0..256 {
        let found = driver.read_now(255 - queue, 0, queue as u64 * 512, 512);
        assert!(found == pattern(queue, 512), "{queue}");
    }
    let status = daemon.control().status();
    assert_eq!(status.queues.len(), 256);
    assert!(status.queues.iter().all(|queue| queue.completed == 2));
}
