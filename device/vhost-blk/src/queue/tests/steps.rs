// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The four steps: each does its own part and nothing of the next.

use super::*;

const CHAIN: [Buffer; 2] = [(HEADER, 16, 0), (STATUS, 1, WRITE)];

fn flush(bench: &mut Bench) -> Token {
    bench.header(FLUSH, 0);
    bench.submit(&CHAIN);
    bench.take().token
}

#[test]
fn completing_writes_the_element_and_leaves_the_index() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    let token = flush(&mut bench);
    bench.queue.complete(token, Outcome::ok(0), None).unwrap();
    assert_eq!(bench.field(USED_IDX), 0);
    assert_eq!(bench.bytes(STATUS, 1), [0]);
    assert_eq!(bench.used(0), (0, 1));
    assert_eq!(signals(&bench.call), 0);
}

#[test]
fn publishing_shows_everything_completed_and_signals_nothing() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    for _ in 0..3 {
        let token = flush(&mut bench);
        bench.queue.complete(token, Outcome::ok(0), None).unwrap();
    }
    assert_eq!(bench.field(USED_IDX), 0);
    bench.queue.publish().unwrap();
    assert_eq!(bench.field(USED_IDX), 3);
    bench.queue.publish().unwrap();
    assert_eq!(bench.field(USED_IDX), 3);
    assert_eq!(signals(&bench.call), 0);
}

#[test]
fn asking_signals_nothing_and_signalling_shows_nothing() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    let token = flush(&mut bench);
    bench.queue.complete(token, Outcome::ok(0), None).unwrap();
    bench.queue.signal();
    bench.queue.signal();
    assert_eq!(signals(&bench.call), 2);
    assert_eq!(bench.field(USED_IDX), 0);
    bench.queue.publish().unwrap();
    assert!(bench.queue.wants_interrupt().unwrap());
    assert_eq!(signals(&bench.call), 0);
}

#[test]
fn completions_out_of_order_are_used_in_the_order_they_were_completed() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    let mut tokens: Vec<Token> = (0..3).map(|_| flush(&mut bench)).collect();
    while let Some(token) = tokens.pop() {
        bench.queue.complete(token, Outcome::ok(0), None).unwrap();
    }
    bench.queue.publish().unwrap();
    assert_eq!([0, 1, 2].map(|index| bench.used(index).0), [4, 2, 0]);
}

/// Completes `count` requests and shows them at once.
fn show(bench: &mut Bench, count: u16) {
    for _ in 0..count {
        let token = flush(bench);
        bench.queue.complete(token, Outcome::ok(0), None).unwrap();
    }
    bench.queue.publish().unwrap();
}

#[test]
fn without_event_idx_the_flag_decides() {
    let memory = memory();
    let mut bench = Bench::with(&memory, &options(), Features::EVENT_IDX, 0);
    bench.set(AVAIL_FLAGS, 1);
    show(&mut bench, 1);
    assert!(!bench.queue.wants_interrupt().unwrap());
    bench.set(AVAIL_FLAGS, 0);
    assert!(!bench.queue.wants_interrupt().unwrap(), "nothing new");
    show(&mut bench, 1);
    assert!(bench.queue.wants_interrupt().unwrap());
}

#[test]
fn with_event_idx_the_index_decides_and_the_flag_does_not() {
    for start in [0, 65533, 65534, 65535] {
        let memory = memory();
        let mut bench = Bench::with(&memory, &options(), Features::NONE, start);
        bench.set(AVAIL_FLAGS, 1);
        let event = |bench: &Bench, after: u16| {
            let index = start.wrapping_add(after);
            bench.set(USED_EVENT, index);
        };
        event(&bench, 1);
        show(&mut bench, 1);
        assert!(!bench.queue.wants_interrupt().unwrap(), "from {start}: 1");
        show(&mut bench, 1);
        assert!(bench.queue.wants_interrupt().unwrap(), "from {start}: 2");
        show(&mut bench, 1);
        assert!(!bench.queue.wants_interrupt().unwrap(), "from {start}: 3");
        event(&bench, 4);
        show(&mut bench, 4);
        assert!(bench.queue.wants_interrupt().unwrap(), "from {start}: 7");
        assert!(!bench.queue.wants_interrupt().unwrap(), "nothing new");
        assert_eq!(bench.field(USED_IDX), start.wrapping_add(7), "from {start}");
    }
}

#[test]
fn an_index_passed_while_no_one_asked_is_found_when_asked() {
    let memory = memory();
    let mut bench = Bench::new(&memory);
    bench.set(USED_EVENT, 0);
    for _ in 0..5 {
        show(&mut bench, 1);
    }
    assert!(bench.queue.wants_interrupt().unwrap());
    assert!(!bench.queue.wants_interrupt().unwrap());
}

#[test]
fn the_element_goes_round_the_ring() {
    let memory = memory();
    let mut bench = Bench::with(&memory, &options(), Features::NONE, 65530);
    for completed in 1..=40u16 {
        show(&mut bench, 1);
        let index = 65530u16.wrapping_add(completed);
        assert_eq!(bench.field(USED_IDX), index);
        assert_eq!(bench.last_used().1, 1);
    }
}

#[test]
fn a_drained_ring_asks_for_a_kick_and_one_being_served_does_not() {
    let memory = memory();
    let mut bench = Bench::with(&memory, &options(), Features::EVENT_IDX, 0);
    let no_notify = |bench: &Bench| bench.field(USED_FLAGS) == 1;
    let token = flush(&mut bench);
    assert!(no_notify(&bench));
    assert!(bench.queue.next().unwrap().is_none());
    assert!(!no_notify(&bench));
    bench.queue.complete(token, Outcome::ok(0), None).unwrap();
}

#[test]
fn a_drained_ring_asks_for_a_kick_at_the_next_index() {
    let memory = memory();
    let mut bench = Bench::with(&memory, &options(), Features::NONE, 65535);
    let _token = flush(&mut bench);
    assert!(bench.queue.next().unwrap().is_none());
    assert_eq!(bench.field(AVAIL_EVENT), 0);
}

#[test]
fn a_ring_remembers_where_it_was_when_it_is_dropped() {
    let memory = memory();
    let mut bench = Bench::with(&memory, &options(), Features::NONE, 65535);
    show(&mut bench, 2);
    let _in_flight = flush(&mut bench);
    let position = bench.position.clone();
    drop(bench);
    assert_eq!(position.get(), (2, 1));
}

#[test]
fn a_call_fd_whose_counter_is_full_does_not_block() {
    let memory = memory();
    let bench = Bench::new(&memory);
    let blocking = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    rustix::io::write(&blocking, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    bench
        .queue
        .wires
        .call
        .set(Some(File::from(blocking.try_clone().unwrap())));
    bench.queue.signal();
    assert_eq!(signals(&File::from(blocking)), u64::MAX - 1);
}

#[test]
fn a_ring_without_a_call_fd_signals_no_one() {
    let memory = memory();
    let bench = Bench::new(&memory);
    bench.queue.wires.call.set(None);
    bench.queue.signal();
    assert_eq!(signals(&bench.call), 0);
}
