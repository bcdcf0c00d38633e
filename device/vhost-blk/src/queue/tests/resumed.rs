// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A ring whose device was killed, under the next device: nothing is lost, and
//! nothing completed twice.

use std::sync::Arc;

use irqstorm_core::queue::Lie;
use virtio_queue::QueueT;

use super::*;
use crate::inflight::InFlight;
use crate::inflight::region::Region;

const CHAIN: [Buffer; 2] = [(HEADER, 16, 0), (STATUS, 1, WRITE)];

/// A device that keeps what it has in flight in `region`, from the used index
/// on: that is all that a front-end knows of one that was killed.
fn device<'a>(memory: &'a GuestMemoryMmap, region: &Arc<Region>) -> Bench<'a> {
    let used = memory.read_obj(GuestAddress(USED_IDX)).unwrap();
    let avail: u16 = memory.read_obj(GuestAddress(AVAIL_IDX)).unwrap();
    let mut bench = Bench::with(memory, &options(), Features::NONE, used);
    bench.set(AVAIL_IDX, avail);
    let acked = options().offered();
    let mut ring = ring(acked, used);
    let inflight = InFlight::open(region, QueueId(0), &ring).unwrap();
    if let Some(next) = inflight.next_avail() {
        ring.set_next_avail(next);
    }
    bench.queue = VirtioQueue::new(
        QueueId(0),
        GuestMemoryAtomic::new(memory.clone()),
        ring,
        Terms::new(&options(), acked),
        Wires::default(),
        bench.position.clone(),
        Some(inflight),
    );
    bench
}

fn region() -> Arc<Region> {
    Arc::new(Region::new(1, RING_LEN).unwrap())
}

/// Makes a flush available whose chain begins at `head`.
fn flush(bench: &Bench, head: u16) {
    bench.describe(head, HEADER, 16, NEXT, head + 1);
    bench.describe(head + 1, STATUS, 1, WRITE, 0);
    bench.make_available(head);
}

fn taken(bench: &mut Bench) -> Vec<Token> {
    std::iter::from_fn(|| bench.queue.next().unwrap())
        .map(|taken| taken.token)
        .collect()
}

fn heads(tokens: &[Token]) -> Vec<u16> {
    tokens.iter().map(|token| token.head).collect()
}

fn complete(bench: &mut Bench, token: Token) {
    bench.queue.complete(token, Outcome::ok(0), None).unwrap();
}

#[test]
fn what_was_taken_is_taken_again_in_order_and_before_what_is_new() {
    let (memory, region) = (memory(), region());
    let mut bench = device(&memory, &region);
    bench.header(FLUSH, 0);
    [6, 0, 10, 4].iter().for_each(|&head| flush(&bench, head));
    let mut tokens = taken(&mut bench);
    complete(&mut bench, tokens.remove(1));
    bench.queue.publish().unwrap();
    // Written, and not visible.
    complete(&mut bench, tokens.remove(2));
    flush(&bench, 12);
    drop(bench);

    let mut bench = device(&memory, &region);
    let tokens = taken(&mut bench);
    assert_eq!(heads(&tokens), [6, 10, 4, 12]);
    tokens
        .into_iter()
        .rev()
        .for_each(|token| complete(&mut bench, token));
    bench.queue.publish().unwrap();
    assert_eq!(bench.field(USED_IDX), 5);
    assert_eq!([1, 2, 3, 4].map(|n| bench.used(n).0), [12, 4, 10, 6]);

    let mut bench = device(&memory, &region);
    assert!(taken(&mut bench).is_empty());
    flush(&bench, 6);
    assert_eq!(heads(&taken(&mut bench)), [6]);
}

#[test]
fn a_head_that_left_the_available_ring_is_taken_again() {
    let (memory, region) = (memory(), region());
    let mut bench = device(&memory, &region);
    bench.header(FLUSH, 0);
    flush(&bench, 14);
    let held = taken(&mut bench);
    for _ in 0..2 * RING_LEN {
        flush(&bench, 2);
        let token = taken(&mut bench).remove(0);
        complete(&mut bench, token);
        bench.queue.publish().unwrap();
    }
    drop((bench, held));
    let mut bench = device(&memory, &region);
    assert_eq!(heads(&taken(&mut bench)), [14]);
    let (next_avail, _) = {
        drop(bench.queue);
        bench.position.get()
    };
    assert_eq!(next_avail, 2 * RING_LEN + 1);
}

#[test]
fn an_indirect_chain_is_taken_again() {
    let (memory, region) = (memory(), region());
    let mut bench = device(&memory, &region);
    bench.header(FLUSH, 0);
    bench.submit_indirect(&CHAIN);
    let held = taken(&mut bench);
    drop((bench, held));
    let mut bench = device(&memory, &region);
    bench.complete(Outcome::ok(0)).unwrap();
    assert_eq!(bench.bytes(STATUS, 1), [0]);
    assert_eq!(bench.field(USED_IDX), 1);
}

#[test]
fn a_ring_in_use_twice_over_is_stopped_as_ever() {
    let (memory, region) = (memory(), region());
    let mut bench = device(&memory, &region);
    bench.header(FLUSH, 0);
    flush(&bench, 8);
    drop((taken(&mut bench), bench));
    let mut bench = device(&memory, &region);
    flush(&bench, 8);
    assert_eq!(heads(&[bench.take().token]), [8]);
    assert!(bench.queue.next().is_err(), "8 is the device's already");
}

#[test]
fn a_ring_that_was_lied_to_starts_over_where_it_is_told() {
    let (memory, region) = (memory(), region());
    let mut bench = device(&memory, &region);
    bench.header(FLUSH, 0);
    flush(&bench, 0);
    flush(&bench, 2);
    let mut tokens = taken(&mut bench);
    let token = tokens.remove(0);
    let lie = Some(Lie::DuplicateId);
    bench.queue.complete(token, Outcome::ok(0), lie).unwrap();
    bench.queue.publish().unwrap();
    let ring = ring(options().offered(), bench.field(USED_IDX));
    let inflight = InFlight::open(&region, QueueId(0), &ring).unwrap();
    assert_eq!(inflight.next_avail(), None);
    assert!(!inflight.has_more());
}
