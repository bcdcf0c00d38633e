// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Files by each way that there is to read and write them.

use std::fs;

use crate::support::{Daemon, OK, PIECE, Scratch};

/// What to ask for, and what the log says then.
const WAYS: [(&[&str], &str); 4] = [
    (
        &["--file-io", "sync"],
        "file I/O: one request after the other",
    ),
    (
        &["--file-io", "uring"],
        "file I/O: io_uring registered=false",
    ),
    (&["--file-io", "uring", "--direct"], "file I/O: io_uring"),
    (&["--direct"], "file I/O: io_uring"),
];

/// Bytes of the disk.
const SIZE: usize = 1 << 20;

fn device(more: &[&str]) -> Daemon {
    let scratch = Scratch::new();
    let disk = scratch.write("disk", vec![0xee; SIZE]);
    let mut args = vec!["--sandbox", "enforce", "--blk-file", disk.to_str().unwrap()];
    args.extend(more);
    Daemon::start_in(scratch, &args)
}

fn pattern(seed: u8) -> Vec<u8> {
    let byte = |n: usize| (n % 251).to_le_bytes()[0] ^ seed;
    (0..PIECE).map(byte).collect()
}

#[test]
fn a_confined_device_does_all_requests_by_each_way_and_says_by_which() {
    for (way, told) in WAYS {
        let daemon = device(way);
        let mut driver = daemon.driver(2);
        driver.write_now(0, 0, 0, &pattern(1));
        driver.write_zeroes(0, 1, 4096, 8192);
        driver.discard(1, 2, 16_384, 4096);
        driver.kick(0);
        driver.kick(1);
        driver.wait_ok(0, [1]);
        driver.wait_ok(1, [2]);
        driver.flush(1, 3);
        driver.kick(1);
        driver.wait_ok(1, [3]);
        let mut expected = pattern(1);
        expected[4096..12_288].fill(0);
        expected[16_384..20_480].fill(0);
        assert!(driver.read_now(1, 4, 0, PIECE) == expected, "{way:?}");
        assert!(daemon.log().contains(told), "{way:?}: {}", daemon.log());
        drop(driver);
        let scratch = daemon.terminate();
        let content = fs::read(scratch.path("disk")).unwrap();
        assert!(content[..PIECE] == expected, "{way:?}");
        assert!(content[PIECE..].iter().all(|&byte| byte == 0xee));
    }
}

#[test]
fn the_driver_after_one_that_went_amid_its_requests_finds_all_as_it_should_be() {
    for (way, _) in WAYS {
        let daemon = device(way);
        for round in 1..=10u8 {
            let mut gone = daemon.driver(2);
            for tag in 0..8 {
                let offset = u64::try_from(tag).unwrap() * 32_768;
                match tag % 2 {
                    0 => gone.write(0, tag, offset, &[round; 4096]),
                    _ => gone.read(0, tag, offset, 4096),
                }
            }
            gone.kick(0);
            drop(gone);
            // What the one before may have written must not come after this.
            let mut next = daemon.driver(2);
            for tag in 0..8 {
                let offset = u64::try_from(tag).unwrap() * 32_768;
                next.write(1, tag, offset, &[0xf0 | round & 0xf; 4096]);
            }
            next.kick(1);
            let ended = next.wait(1, 8);
            assert!(ended.iter().all(|&(_, status)| status == OK));
            for tag in 0..8 {
                let offset = u64::try_from(tag).unwrap() * 32_768;
                let found = next.read_now(0, tag, offset, 4096);
                assert!(found == [0xf0 | round & 0xf; 4096], "{way:?}: {round}");
            }
        }
    }
}

#[test]
fn writes_of_a_driver_without_flush_are_durable_by_each_way() {
    use crate::support::{Driver, FEATURES};
    for (way, _) in WAYS {
        let daemon = device(way);
        let flush = virtio_driver::VirtioBlkFeatureFlags::FLUSH.bits();
        let socket = daemon.scratch.socket();
        let mut driver = Driver::connect_with(&socket, 1, FEATURES & !flush);
        for round in 0..4u8 {
            driver.write_now(0, 0, u64::from(round) * 4096, &[round; 4096]);
        }
        assert_eq!(daemon.control().status().total.failed, 0);
        assert_eq!(driver.read_now(0, 1, 8192, 4096), [2; 4096]);
    }
}
