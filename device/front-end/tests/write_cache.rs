// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The write cache before a disk whose requests end later.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use irqstorm_core::request::{Operation, QueueId, Request, RequestId, Sector, Status};
use irqstorm_core::store::{Ended, Store, Submitted, Ticket};
use irqstorm_front_end::{CacheMode, WriteCache};
use irqstorm_testing::{Bytes, Disk, Slow};

fn cache(writeback: bool) -> (WriteCache<Slow>, CacheMode, Disk) {
    let mode = CacheMode::new();
    mode.set_writeback(writeback);
    let (store, disk) = Slow::new();
    (WriteCache::new(store, mode.clone()), mode, disk)
}

fn ticket(request: u64) -> Ticket {
    Ticket {
        queue: QueueId(3),
        request: RequestId(request),
    }
}

fn submit(cache: &mut WriteCache<Slow>, number: u64, request: &Request) {
    let bytes = usize::try_from(request.bytes()).unwrap();
    let buffers = Bytes::new(vec![1; bytes]);
    let submitted = cache.submit(ticket(number), request, &buffers);
    assert_eq!(submitted, Submitted::Later);
}

fn write(number: u64) -> Request {
    Request::transfer(Operation::Write, Sector(number), 1)
}

/// What has ended once the disk has been looked at.
fn ended(cache: &mut WriteCache<Slow>) -> Vec<Ended> {
    cache.push();
    std::iter::from_fn(|| cache.ended()).collect()
}

#[test]
fn a_write_through_write_ends_when_a_flush_after_it_has() {
    let (mut cache, _, disk) = cache(false);
    submit(&mut cache, 1, &write(1));
    disk.end(1);
    assert!(ended(&mut cache).is_empty(), "it is not flushed yet");
    assert_eq!(disk.done(), [Operation::Write]);
    assert!(cache.has_unsent() && cache.pending() == 1);
    disk.end(1);
    let flushed = ended(&mut cache);
    assert_eq!(disk.done(), [Operation::Write, Operation::Flush]);
    assert_eq!((flushed.len(), flushed[0].ticket), (1, ticket(1)));
    let outcome = cache.finish(&flushed[0], &Bytes::default());
    assert_eq!((outcome.status, outcome.written), (Status::Ok, 0));
    assert_eq!(cache.pending(), 0);
}

#[test]
fn a_write_through_write_whose_flush_fails_has_failed() {
    let (mut cache, _, disk) = cache(false);
    submit(&mut cache, 1, &write(1));
    disk.end(1);
    assert!(ended(&mut cache).is_empty());
    disk.end_as(1, Status::IoError);
    assert_eq!(ended(&mut cache)[0].status, Status::IoError);
}

#[test]
fn a_write_that_has_failed_is_not_flushed() {
    let (mut cache, _, disk) = cache(false);
    submit(&mut cache, 1, &write(1));
    disk.end_as(1, Status::IoError);
    assert_eq!(ended(&mut cache)[0].status, Status::IoError);
    assert_eq!(disk.done(), [Operation::Write]);
}

#[test]
fn in_write_back_only_what_is_to_be_durable_is_flushed() {
    let (mut cache, _, disk) = cache(true);
    let durable = Request {
        durable: true,
        ..write(2)
    };
    submit(&mut cache, 1, &write(1));
    submit(&mut cache, 2, &durable);
    submit(
        &mut cache,
        3,
        &Request::transfer(Operation::Read, Sector(3), 1),
    );
    [1, 2, 3].into_iter().for_each(|number| disk.end(number));
    let numbers = |ended: Vec<Ended>| -> Vec<u64> {
        ended.iter().map(|ended| ended.ticket.request.0).collect()
    };
    assert_eq!(numbers(ended(&mut cache)), [1, 3]);
    disk.end(2);
    assert_eq!(numbers(ended(&mut cache)), [2]);
}

#[test]
fn a_write_is_flushed_if_the_mode_is_write_through_by_the_time_it_ends() {
    let (mut cache, mode, disk) = cache(true);
    submit(&mut cache, 1, &write(1));
    mode.set_writeback(false);
    disk.end(1);
    assert!(ended(&mut cache).is_empty());
    disk.end(1);
    assert_eq!(ended(&mut cache).len(), 1);
    assert_eq!(disk.done(), [Operation::Write, Operation::Flush]);
}
