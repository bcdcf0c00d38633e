// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What every front-end's queue must do, whatever its wire: the four steps of a
//! completion stay apart, and nothing is lost, repeated or touched.

use irqstorm_core::queue::{Lie, RequestQueue, Taken};
use irqstorm_core::request::{Operation, Outcome, Status};
use irqstorm_core::units::Nanos;

/// A queue with its driver's side in the test's hands. Each starts empty, and
/// its driver wants every interrupt.
pub trait Driven {
    /// What is under test.
    type Queue: RequestQueue;

    /// It.
    fn queue(&mut self) -> &mut Self::Queue;

    /// Requests that fit into the queue at once.
    fn capacity(&self) -> u16;

    /// Puts a request for one block into the queue: a read, or a write of
    /// bytes of this value. Its data lies where no other's does.
    fn submit(&mut self, operation: Operation, block: u64, fill: u8) -> Tag;

    /// What has become visible since this was last asked: which request, and
    /// whether it ended well. It can be used again by the driver.
    fn seen(&mut self) -> Vec<(Tag, bool)>;

    /// The data of a request.
    fn data(&self, tag: Tag) -> Vec<u8>;

    /// Interrupts raised since this was last asked.
    fn signals(&mut self) -> u64;
}

/// A request, by the name that its driver knows it by.
pub type Tag = u16;

type Token<D> = <<D as Driven>::Queue as RequestQueue>::Token;

fn take<D: Driven>(driven: &mut D) -> Taken<Token<D>> {
    match driven.queue().next() {
        Ok(Some(taken)) => taken,
        other => panic!("no request: {}", other.is_err()),
    }
}

/// Submits a write and takes it.
fn one<D: Driven>(driven: &mut D) -> (Tag, Token<D>) {
    let tag = driven.submit(Operation::Write, 0, 1);
    (tag, take(driven).token)
}

fn complete<D: Driven>(driven: &mut D, token: Token<D>, lie: Option<Lie>) {
    assert_eq!(driven.queue().complete(token, Outcome::ok(0), lie), Ok(()));
}

fn publish<D: Driven>(driven: &mut D) {
    assert_eq!(driven.queue().publish(), Ok(()));
}

/// Each step does its own part and nothing of the next.
pub fn keeps_the_steps_apart<D: Driven>(mut make: impl FnMut() -> D) {
    let mut driven = make();
    let (tag, token) = one(&mut driven);
    complete(&mut driven, token, None);
    assert!(driven.seen().is_empty(), "completing showed the completion");
    driven.queue().signal();
    assert_eq!(driven.signals(), 1);
    assert!(driven.seen().is_empty(), "signalling showed the completion");
    publish(&mut driven);
    assert_eq!(driven.seen(), [(tag, true)]);
    assert_eq!(driven.queue().coalesces_until(Nanos::ZERO), None);
    assert_eq!(driven.queue().wants_interrupt(), Ok(true));
    assert_eq!(driven.signals(), 0, "a step before the last one signalled");
    assert_eq!(
        driven.queue().wants_interrupt(),
        Ok(false),
        "nothing is new"
    );
}

/// Completions are seen in the order they were written, once each, however
/// often it is published; a ring goes round.
pub fn completes_each_once_in_the_order_it_is_told<D: Driven>(mut make: impl FnMut() -> D) {
    let mut driven = make();
    let capacity = driven.capacity();
    assert!(u32::from(capacity) <= driven.queue().depth());
    for round in 0..5u32 {
        let mut taken: Vec<(Tag, Token<D>)> = (0..capacity).map(|_| one(&mut driven)).collect();
        assert!(matches!(driven.queue().next(), Ok(None)), "round {round}");
        if round % 2 == 1 {
            taken.reverse();
        }
        let (tags, tokens): (Vec<Tag>, Vec<Token<D>>) = taken.into_iter().unzip();
        for (index, token) in tokens.into_iter().enumerate() {
            complete(&mut driven, token, None);
            if index % 3 == 0 {
                publish(&mut driven);
            }
        }
        publish(&mut driven);
        publish(&mut driven);
        let seen: Vec<Tag> = driven.seen().into_iter().map(|(tag, _)| tag).collect();
        assert_eq!(seen, tags, "round {round}");
    }
}

/// A write's data can be read, a read's written, and neither the other way.
pub fn moves_data_one_way<D: Driven>(mut make: impl FnMut() -> D) {
    let mut driven = make();
    let write = driven.submit(Operation::Write, 3, 0x5a);
    let read = driven.submit(Operation::Read, 4, 0);
    for (tag, operation, block) in [(write, Operation::Write, 3), (read, Operation::Read, 4)] {
        let Taken { token, request } = take(&mut driven);
        let request = match request {
            Ok(request) => request,
            Err(status) => panic!("refused with {status:?}"),
        };
        assert_eq!(request.operation, operation);
        let block_size = request.bytes();
        assert_eq!(request.start().0 * 512, block * block_size);
        driven.queue().with_buffers(&token, |buffers| {
            assert_eq!(buffers.len(), block_size);
            let mut byte = [0];
            let (reads, writes) = (buffers.read(0, &mut byte), buffers.write(1, &[0xa5]));
            let is_write = operation == Operation::Write;
            assert_eq!((reads.is_ok(), writes.is_ok()), (is_write, !is_write));
            assert_eq!(byte, [if is_write { 0x5a } else { 0 }]);
            assert!(buffers.write(block_size, &[1]).is_err(), "behind the data");
        });
        complete(&mut driven, token, None);
        let second = driven.data(tag)[1];
        assert_eq!(
            second,
            if operation == Operation::Read {
                0xa5
            } else {
                0x5a
            }
        );
    }
    publish(&mut driven);
    assert_eq!(driven.seen(), [(write, true), (read, true)]);
}

/// What fails is seen to have failed, and only that.
pub fn tells_failures<D: Driven>(mut make: impl FnMut() -> D) {
    let mut driven = make();
    let mut expected = Vec::new();
    for status in [Status::IoError, Status::Ok, Status::Unsupported] {
        let (tag, token) = one(&mut driven);
        let outcome = Outcome { status, written: 0 };
        assert_eq!(driven.queue().complete(token, outcome, None), Ok(()));
        expected.push((tag, status == Status::Ok));
    }
    publish(&mut driven);
    assert_eq!(driven.seen(), expected);
}

/// How many more it knows of is how many it yields without another look, once
/// round its ring.
pub fn knows_what_a_look_has_found<D: Driven>(mut make: impl FnMut() -> D) {
    let mut driven = make();
    assert_eq!(driven.queue().known(), 0);
    for _ in 0..driven.capacity() {
        for block in 0..3 {
            driven.submit(Operation::Write, block, 1);
        }
        for known in [2, 1, 0] {
            let token = take(&mut driven).token;
            assert_eq!(driven.queue().known(), known);
            complete(&mut driven, token, None);
        }
        publish(&mut driven);
        assert_eq!(driven.seen().len(), 3);
    }
}

/// What is given up is seen never, and what comes after it is.
pub fn gives_up_without_a_trace<D: Driven>(mut make: impl FnMut() -> D) {
    let mut driven = make();
    let (gone, token) = one(&mut driven);
    let before = driven.data(gone);
    driven.queue().abandon(token);
    let (tag, token) = one(&mut driven);
    complete(&mut driven, token, None);
    publish(&mut driven);
    assert_eq!(driven.seen(), [(tag, true)]);
    assert_eq!(driven.data(gone), before);
    assert_eq!(driven.signals(), 0);
}

/// A lie is seen, and costs no completion its own.
pub fn lies_beside_the_truth<D: Driven>(mut make: impl FnMut() -> D) {
    for (lie, extra) in [
        (Lie::DuplicateId, 1),
        (Lie::OutOfRangeId, 1),
        // Nothing was completed before.
        (Lie::StaleId, 0),
        (Lie::Length(7), 0),
    ] {
        let mut driven = make();
        let (lied, token) = one(&mut driven);
        complete(&mut driven, token, Some(lie));
        let (honest, token) = one(&mut driven);
        complete(&mut driven, token, None);
        publish(&mut driven);
        let seen: Vec<Tag> = driven.seen().into_iter().map(|(tag, _)| tag).collect();
        assert_eq!(seen.len(), 2 + extra, "{lie:?}");
        assert!(
            seen.contains(&lied) && seen.last() == Some(&honest),
            "{lie:?}"
        );
    }
}
