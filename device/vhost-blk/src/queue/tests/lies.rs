// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the driver finds in the used ring for each lie, and that none of them
//! costs it a completion.

use irqstorm_core::queue::Lie;

use super::*;

/// Makes a chain of one descriptor available, with its status byte in it.
fn submit(bench: &mut Bench, head: u16) {
    bench.describe(head, STATUS, 1, WRITE, 0);
    bench.make_available(head);
}

/// The same, taken by the device. The chain is no request: how it ends is what
/// the test says.
fn take(bench: &mut Bench, head: u16) -> Token {
    submit(bench, head);
    bench.take().token
}

fn tell(bench: &mut Bench, token: Token, lie: Option<Lie>) {
    bench.queue.complete(token, Outcome::ok(0), lie).unwrap();
}

/// Whether the element of `head` and the lie about it are in the ring, rather
/// than the element alone.
fn is_told(bench: &mut Bench, head: u16, lie: Lie) -> bool {
    let token = take(bench, head);
    let before = bench.field(USED_IDX);
    tell(bench, token, Some(lie));
    bench.queue.publish().unwrap();
    bench.field(USED_IDX).wrapping_sub(before) == 2
}

#[test]
fn the_depth_is_the_size_of_the_ring() {
    let memory = memory();
    assert_eq!(Bench::new(&memory).queue.depth(), u32::from(RING_LEN));
}

#[test]
fn a_duplicate_id_stands_in_the_ring_twice() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    let token = take(&mut bench, 3);
    tell(&mut bench, token, Some(Lie::DuplicateId));
    assert_eq!(bench.field(USED_IDX), 0, "not before it is published");
    bench.queue.publish().unwrap();
    assert_eq!(bench.field(USED_IDX), 2);
    assert_eq!([bench.used(0), bench.used(1)], [(3, 1), (3, 1)]);
    assert_eq!(bench.bytes(STATUS, 1), [0]);
}

#[test]
fn an_id_beyond_the_table_stands_before_the_right_one() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    let token = take(&mut bench, 3);
    tell(&mut bench, token, Some(Lie::OutOfRangeId));
    bench.queue.publish().unwrap();
    assert_eq!(bench.field(USED_IDX), 2);
    let beyond = u32::from(RING_LEN);
    assert_eq!([bench.used(0), bench.used(1)], [(beyond, 0), (3, 1)]);
}

#[test]
fn an_id_completed_before_stands_before_the_right_one() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    let first = take(&mut bench, 2);
    tell(&mut bench, first, Some(Lie::StaleId));
    bench.queue.publish().unwrap();
    assert_eq!(bench.field(USED_IDX), 1, "there is none yet");
    let token = take(&mut bench, 3);
    tell(&mut bench, token, Some(Lie::StaleId));
    bench.queue.publish().unwrap();
    assert_eq!(bench.field(USED_IDX), 3);
    assert_eq!([bench.used(1), bench.used(2)], [(2, 1), (3, 1)]);
}

#[test]
fn a_length_stands_in_place_of_the_right_one() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    for lied in [0, 7, u32::MAX] {
        let token = take(&mut bench, 3);
        tell(&mut bench, token, Some(Lie::Length(lied)));
        bench.queue.publish().unwrap();
        assert_eq!(bench.last_used(), (3, lied));
    }
    assert_eq!(bench.field(USED_IDX), 3);
}

#[test]
fn a_head_lied_about_can_be_used_again_and_counts_once() {
    let memory = memory();
    for lie in [Lie::DuplicateId, Lie::OutOfRangeId, Lie::Length(9)] {
        let mut bench = Bench::new(&memory);
        let token = take(&mut bench, 3);
        tell(&mut bench, token, Some(lie));
        bench.queue.publish().unwrap();
        let token = take(&mut bench, 3);
        submit(&mut bench, 3);
        assert!(bench.queue.next().is_err(), "{lie:?}: it is in flight");
        drop(token);
    }
}

#[test]
fn elements_of_lies_are_news_and_part_of_the_position() {
    let memory = memory();
    let mut bench = Bench::with(&memory, &options(), Features::NONE, 65535);
    bench.set(USED_EVENT, 0);
    let token = take(&mut bench, 3);
    tell(&mut bench, token, Some(Lie::DuplicateId));
    bench.queue.publish().unwrap();
    assert!(bench.queue.wants_interrupt().unwrap(), "element 0 is news");
    let position = bench.position.clone();
    drop(bench);
    assert_eq!(position.get(), (0, 1));
}

#[test]
fn a_ring_that_is_full_of_requests_in_flight_has_no_room_for_an_element_too_many() {
    for lie in [Lie::DuplicateId, Lie::OutOfRangeId, Lie::Length(9)] {
        let memory = memory();
        let mut bench = Bench::new(&memory);
        let tokens: Vec<Token> = (0..RING_LEN).map(|head| take(&mut bench, head)).collect();
        for token in tokens {
            tell(&mut bench, token, Some(lie));
        }
        bench.queue.publish().unwrap();
        assert_eq!(bench.field(USED_IDX), RING_LEN, "{lie:?}");
        for head in 0..RING_LEN {
            assert_eq!(bench.used(head).0, u32::from(head), "{lie:?}");
        }
    }
}

#[test]
fn lies_fill_no_more_of_the_ring_than_requests_in_flight_leave() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    let in_flight: Vec<Token> = (0..RING_LEN - 4)
        .map(|head| take(&mut bench, head))
        .collect();
    for token in in_flight {
        tell(&mut bench, token, Some(Lie::DuplicateId));
    }
    bench.queue.publish().unwrap();
    assert_eq!(bench.field(USED_IDX), RING_LEN);
    let mut seen = [0; RING_LEN as usize];
    for index in 0..RING_LEN {
        seen[bench.used(index).0 as usize] += 1;
    }
    assert_eq!(seen, [2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
}

#[test]
fn a_head_used_again_tells_what_the_driver_has_read() {
    let memory = memory();
    let mut bench = Bench::with(&memory, &options(), Features::NONE, 65530);
    for _ in 0..3 * RING_LEN {
        for head in [3, 4] {
            assert!(is_told(&mut bench, head, Lie::OutOfRangeId));
        }
    }
    for head in [5, 6, 7] {
        assert!(is_told(&mut bench, head, Lie::DuplicateId));
    }
}

#[test]
fn a_driver_that_does_not_read_what_a_lie_added_stops_its_ring() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    assert!(is_told(&mut bench, 0, Lie::DuplicateId));
    for head in 1..RING_LEN - 1 {
        let token = take(&mut bench, head);
        tell(&mut bench, token, None);
    }
    let token = take(&mut bench, RING_LEN - 1);
    assert_eq!(signals(&bench.error), 0);
    let stopped = bench.queue.complete(token, Outcome::ok(0), None);
    assert!(stopped.unwrap_err().0.contains("a lie added"));
    assert_eq!(signals(&bench.error), 1);
}
