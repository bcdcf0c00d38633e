// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The store on a ring of this machine's kernel: against the suite of every
//! store, against a model with many requests under way, and where it goes wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod model;
mod support;

use std::collections::HashMap;
use std::fs::{self, File};

use irqstorm_core::request::{Extent, Operation, Outcome, Request, SECTOR_SIZE, Sector, Status};
use irqstorm_core::store::{FileOptions, FileStore, Geometry, Store, Submitted};
use irqstorm_front_end::{CacheMode, WriteCache};
use irqstorm_testing::store::{keeps_data, odd_geometry, refuses_what_it_must};
use irqstorm_testing::{Bytes, Waited};
use irqstorm_uring::{Through, UringStore};
use rustix::event::{Timespec, epoll};

use support::{Files, buffers, finish_all, ticket, transfer};

#[test]
fn it_does_what_every_store_does_buffered_and_direct() {
    for direct in [false, true] {
        let mut files = Files::new();
        let mut make =
            |geometry| -> Box<dyn Store> { Box::new(Waited::new(files.store(geometry, direct))) };
        keeps_data(&mut make);
        refuses_what_it_must(&mut make);
    }
}

#[test]
fn what_the_page_cache_has_is_done_at_once_and_what_it_has_not_later() {
    let mut files = Files::new();
    let mut make = |geometry| -> Box<dyn Store> {
        let store = files.store_through(geometry, false, Through::Waits);
        Box::new(Waited::new(store))
    };
    keeps_data(&mut make);
    refuses_what_it_must(&mut make);
    let mut store = files.store_through(odd_geometry(), false, Through::Waits);
    store.begin();
    let data = buffers(64, 3);
    let write = transfer(Operation::Write, 0, 64);
    let submitted = store.submit(ticket(1), &write, &data);
    assert_eq!(submitted, Submitted::Done(Outcome::ok(0)));
    let (read, bytes) = (transfer(Operation::Read, 0, 64), 64 * SECTOR_SIZE);
    let data = buffers(64, 0);
    let submitted = store.submit(ticket(2), &read, &data);
    assert_eq!(submitted, Submitted::Done(Outcome::ok(bytes)));
    assert_eq!(data.take(), vec![3; 64 * 512]);
    let data = Bytes::default();
    let flush = Request::bare(Operation::Flush);
    assert_eq!(store.submit(ticket(3), &flush, &data), Submitted::Later);
    finish_all(&mut store, HashMap::from([(3, data)]));
    // Now it is clean, so that the page cache can let go of it.
    let file = File::open(files.path()).unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let data = buffers(64, 0);
    assert_eq!(store.submit(ticket(4), &read, &data), Submitted::Later);
    let ended = finish_all(&mut store, HashMap::from([(4, data)]));
    assert_eq!(ended[&4], (Outcome::ok(bytes), vec![3; 64 * 512]));
}

#[test]
fn a_file_in_memory_needs_no_ring() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("disk");
    fs::write(&path, [0; 4096]).unwrap();
    let options = FileOptions {
        block_size: 512,
        read_only: false,
        direct: false,
    };
    let in_memory = FileStore::open(&path, options).unwrap();
    assert_eq!(Through::what_pays(&in_memory), None);
    let files = Files::new();
    fs::write(files.path(), [0; 4096]).unwrap();
    let on_disk = FileStore::open(&files.path(), options).unwrap();
    assert_eq!(Through::what_pays(&on_disk), Some(Through::Waits));
}

#[test]
fn a_disk_with_little_to_do_has_each_at_once_and_a_busy_one_some_at_a_time() {
    let mut files = Files::new();
    let mut store = files.store(odd_geometry(), true);
    store.begin();
    let mut under_way = HashMap::new();
    let mut unsent = Vec::new();
    for number in 0..24 {
        let data = buffers(8, 1);
        let write = transfer(Operation::Write, number * 8, 8);
        let submitted = store.submit(ticket(number), &write, &data);
        assert_eq!(submitted, Submitted::Later);
        unsent.push(store.has_unsent());
        under_way.insert(number, data);
    }
    let waits = [
        [false; 8].as_slice(),
        &[true; 7],
        &[false],
        &[true; 7],
        &[false],
    ];
    assert_eq!(unsent, waits.concat());
    finish_all(&mut store, under_way);
}

#[test]
fn all_of_a_turns_requests_are_handed_over_and_end_in_any_order() {
    for direct in [false, true] {
        let mut files = Files::new();
        let mut store = files.store(odd_geometry(), direct);
        store.begin();
        let mut under_way = HashMap::new();
        for number in 0..300 {
            let data = buffers(8, u8::try_from(number % 251).unwrap());
            let write = transfer(Operation::Write, number * 8, 8);
            assert_eq!(
                store.submit(ticket(number), &write, &data),
                Submitted::Later
            );
            under_way.insert(number, data);
        }
        let ended = finish_all(&mut store, under_way);
        assert!(
            ended
                .values()
                .all(|(outcome, _)| *outcome == Outcome::ok(0))
        );
        drop(store);
        let content = fs::read(files.path()).unwrap();
        for (number, block) in content.chunks_exact(4096).take(300).enumerate() {
            let fill = u8::try_from(number % 251).unwrap();
            assert!(block.iter().all(|&byte| byte == fill), "block {number}");
        }
    }
}

#[test]
fn what_is_larger_than_the_pool_is_carried_out_all_the_same() {
    let geometry = Geometry {
        sectors: 40_000,
        ..odd_geometry()
    };
    let mut files = Files::new();
    let mut store = files.store(geometry, false);
    store.begin();
    // The first fills most of the pool; the second has no room beside it.
    let (first, second) = (buffers(16_000, 1), buffers(20_000, 2));
    let write = transfer(Operation::Write, 0, 16_000);
    assert_eq!(store.submit(ticket(1), &write, &first), Submitted::Later);
    let write = transfer(Operation::Write, 16_000, 20_000);
    let submitted = store.submit(ticket(2), &write, &second);
    assert_eq!(submitted, Submitted::Done(Outcome::ok(0)));
    let ended = finish_all(&mut store, HashMap::from([(1, first)]));
    assert_eq!(ended[&1].0, Outcome::ok(0));
    let read = transfer(Operation::Read, 0, 16_000);
    let data = buffers(16_000, 0);
    assert_eq!(store.submit(ticket(3), &read, &data), Submitted::Later);
    let ended = finish_all(&mut store, HashMap::from([(3, data)]));
    assert_eq!(ended[&3].0, Outcome::ok(16_000 * SECTOR_SIZE));
    assert!(ended[&3].1.iter().all(|&byte| byte == 1));
}

#[test]
fn a_file_that_is_cut_under_it_fails_its_reads_and_hangs_none() {
    for direct in [false, true] {
        let mut files = Files::new();
        let mut store = files.store(odd_geometry(), direct);
        store.begin();
        let file = File::options().write(true).open(files.path()).unwrap();
        file.set_len(100 * SECTOR_SIZE).unwrap();
        let mut under_way = HashMap::new();
        // Before the end, over it, at it, and behind it.
        for (number, start) in [(1, 0), (2, 96), (3, 100), (4, 4_000)] {
            let data = buffers(8, 0xee);
            let read = transfer(Operation::Read, start, 8);
            assert_eq!(store.submit(ticket(number), &read, &data), Submitted::Later);
            under_way.insert(number, data);
        }
        let ended = finish_all(&mut store, under_way);
        assert_eq!(ended[&1].0, Outcome::ok(4096), "direct: {direct}");
        for number in 2..=4 {
            let (outcome, data) = &ended[&number];
            assert_eq!(*outcome, Outcome::failed(Status::IoError), "{number}");
            assert!(data.iter().all(|&byte| byte == 0xee), "{number}");
        }
    }
}

#[test]
fn a_flush_discards_and_zeroes_go_through_the_ring() {
    let mut files = Files::new();
    let mut store = files.store(odd_geometry(), false);
    store.begin();
    let data = buffers(64, 0xaa);
    let write = transfer(Operation::Write, 0, 64);
    store.submit(ticket(1), &write, &data);
    finish_all(&mut store, HashMap::from([(1, data)]));
    let mut discard = transfer(Operation::Discard, 0, 8);
    discard.extents.push(Extent {
        start: Sector(16),
        sectors: 8,
    });
    let requests = [
        Request::bare(Operation::Flush),
        discard,
        transfer(Operation::WriteZeroes, 32, 8),
    ];
    let mut under_way = HashMap::new();
    for (number, request) in (1..).zip(&requests) {
        let data = Bytes::default();
        let submitted = store.submit(ticket(number), request, &data);
        assert_eq!(submitted, Submitted::Later, "{request:?}");
        under_way.insert(number, data);
    }
    let ended = finish_all(&mut store, under_way);
    assert!(
        ended
            .values()
            .all(|(outcome, _)| *outcome == Outcome::ok(0))
    );
    drop(store);
    let content = fs::read(files.path()).unwrap();
    for (number, sector) in content.chunks_exact(512).take(64).enumerate() {
        let zero = [0, 16, 32].iter().any(|&at| (at..at + 8).contains(&number));
        let fill = if zero { 0 } else { 0xaa };
        assert!(sector.iter().all(|&byte| byte == fill), "sector {number}");
    }
}

#[test]
fn a_write_through_write_ends_once_flushed_on_a_ring_too() {
    let mut files = Files::new();
    let mode = CacheMode::new();
    mode.set_writeback(false);
    let mut store = WriteCache::new(files.store(odd_geometry(), false), mode);
    store.begin();
    let data = buffers(8, 1);
    let write = transfer(Operation::Write, 0, 8);
    assert_eq!(store.submit(ticket(1), &write, &data), Submitted::Later);
    // The write ends, and is not told of before its flush.
    store.wait();
    assert_eq!(store.ended(), None);
    assert_eq!(store.pending(), 1);
    let ended = finish_all(&mut store, HashMap::from([(1, data)]));
    assert_eq!(ended[&1].0, Outcome::ok(0));
}

#[test]
fn a_store_that_goes_with_requests_under_way_waits_for_them() {
    for direct in [false, true] {
        let mut files = Files::new();
        for _ in 0..20 {
            let mut store = files.store(odd_geometry(), direct);
            store.begin();
            for number in 0..200 {
                let operation = match number % 2 {
                    0 => Operation::Read,
                    _ => Operation::Write,
                };
                let request = transfer(operation, number * 8, 8);
                let submitted = store.submit(ticket(number), &request, &buffers(8, 7));
                assert_eq!(submitted, Submitted::Later);
            }
            store.push();
            let path = files.path();
            drop(store);
            // What was handed over is in the file, and nobody has it open.
            let content = fs::read(&path).unwrap();
            for block in content.chunks_exact(4096).take(200).skip(1).step_by(2) {
                assert!(block.iter().all(|&byte| byte == 7));
            }
            File::open(&path).unwrap().try_lock().unwrap();
        }
    }
}

#[test]
fn what_nobody_wants_any_more_leaves_room_for_others() {
    let mut files = Files::new();
    let mut store = files.store(odd_geometry(), true);
    store.begin();
    // Ten times the pool.
    for round in 0..100 {
        for number in 0..20 {
            let read = transfer(Operation::Read, number * 100, 80);
            let submitted = store.submit(ticket(round * 20 + number), &read, &buffers(80, 0));
            assert_eq!(submitted, Submitted::Later, "round {round}");
        }
        while store.pending() > 0 {
            store.wait();
            while let Some(ended) = store.ended() {
                store.forget(&ended);
            }
        }
    }
}

#[test]
fn whoever_waits_for_it_is_told_when_something_has_ended() {
    for direct in [false, true] {
        let mut files = Files::new();
        let mut store = files.store(odd_geometry(), direct);
        store.begin();
        let waiter = Waiter::new(&store);
        for number in 0..200 {
            let operation = match number % 3 {
                0 => Request::bare(Operation::Flush),
                1 => transfer(Operation::Read, number * 8, 8),
                _ => transfer(Operation::Write, number * 8, 8),
            };
            let data = buffers(if number % 3 == 0 { 0 } else { 8 }, 1);
            let submitted = store.submit(ticket(number), &operation, &data);
            assert_eq!(submitted, Submitted::Later);
            let ended = loop {
                store.push();
                match store.ended() {
                    Some(ended) => break ended,
                    // Not to be told is to wait for ever; this bounds it.
                    None => assert!(waiter.is_told(), "{number}: it was not told"),
                }
            };
            assert_eq!(store.finish(&ended, &data).status, Status::Ok);
        }
    }
}

/// Waits as the device's loop does.
struct Waiter(rustix::fd::OwnedFd);

impl Waiter {
    fn new(store: &UringStore) -> Waiter {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let once = epoll::EventFlags::IN | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(1);
        epoll::add(&epoll, store.wakes().unwrap(), data, once).unwrap();
        Waiter(epoll)
    }

    fn is_told(&self) -> bool {
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }];
        let patience = Timespec {
            tv_sec: 10,
            tv_nsec: 0,
        };
        // The ring may interrupt whoever made it to have it look.
        loop {
            match epoll::wait(&self.0, &mut events, Some(&patience)) {
                Err(rustix::io::Errno::INTR) => {}
                told => return told.unwrap() > 0,
            }
        }
    }
}
