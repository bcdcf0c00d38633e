// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Requests whose data the store moves while the pump goes on.
//!
//! What becomes of a request is planned as it arrives, whatever the store does
//! with it and when. Its completion comes at the later of two times: when it is
//! due, and when its data is there. Where that was the data's, the completion's
//! event has the time that was planned, which it is later than, as with any
//! other step that was late.
//!
//! Where completions have an order among them (first in, first out; what a
//! window has let go), those that are due wait for the ones before them: the
//! order is the planned one, whichever the disk ends first.
//!
//! A disk may end many at once. They become visible in batches all the same: the
//! driver wakes, and asks for more, while the data of the others is moved, and
//! the disk has that to do before it is told of the last.

use super::Pump;
use super::lane::Lane;
use super::turn::Moment;
use crate::clock::Clock;
use crate::queue::{GuestBuffers, RequestQueue};
use crate::request::{Outcome, QueueId, RequestId, Status};
use crate::store::{Ended, Submitted};
use crate::units::Nanos;

/// Requests that the store has ended, to be made visible together.
const BATCH: u32 = 8;

/// How far the store is with a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Data {
    /// It is done.
    Moved(Outcome),
    /// It is at it.
    Moving {
        /// How the request ends, if not as the store says.
        ends_as: Option<Outcome>,
        /// What waits for the store.
        due: Option<Overdue>,
    },
}

/// A completion that has come due and waits for its data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overdue {
    planned: Nanos,
    owe_interrupt: bool,
    /// Whether it may still be held: nobody has let it go, but its plan.
    may_be_held: bool,
}

impl Data {
    pub(super) fn of(submitted: Submitted) -> Data {
        match submitted {
            Submitted::Done(outcome) => Data::Moved(outcome),
            Submitted::Later => Data::Moving {
                ends_as: None,
                due: None,
            },
        }
    }

    pub(super) fn is_moving(&self) -> bool {
        matches!(self, Data::Moving { .. })
    }

    /// How the request ends. Nothing is completed before it is known.
    pub(super) fn outcome(&self) -> Outcome {
        match *self {
            Data::Moved(outcome) => outcome,
            Data::Moving { .. } => Outcome::failed(Status::IoError),
        }
    }

    /// Has the request end otherwise.
    pub(super) fn end_as(&mut self, outcome: Outcome) {
        match self {
            Data::Moved(moved) => *moved = outcome,
            Data::Moving { ends_as, .. } => *ends_as = Some(outcome),
        }
    }
}

impl<Q: RequestQueue> Lane<Q> {
    /// Has a completion that is due wait for its data; false if that is there.
    fn wait_for_data(&mut self, request: RequestId, overdue: Overdue) -> bool {
        let in_flight = self.with_requests(request);
        match in_flight.map(|(_, in_flight)| &mut in_flight.data) {
            Some(Data::Moving { due, .. }) => {
                let first = due.replace(overdue).is_none();
                self.counters.overdue += u64::from(first);
                true
            }
            Some(Data::Moved(_)) | None => false,
        }
    }

    /// Has a completion that is due wait for its data and for its turn; false if
    /// it need not.
    fn wait_in_turn(&mut self, request: RequestId, planned: Nanos) -> bool {
        let moving = match self.get(request) {
            Some(in_flight) => in_flight.data.is_moving(),
            None => return false,
        };
        let waits = moving || !self.in_turn.is_empty();
        self.counters.overdue += u64::from(moving);
        if waits {
            self.in_turn.push_back((request, planned));
        }
        waits
    }

    /// The next of those that wait in turn, if its data is there.
    fn next_in_turn(&mut self) -> Option<(RequestId, Nanos)> {
        while let Some(&(request, planned)) = self.in_turn.front() {
            match self.get(request).map(|in_flight| in_flight.data) {
                Some(Data::Moving { .. }) => return None,
                Some(Data::Moved(_)) => {
                    self.in_turn.pop_front();
                    return Some((request, planned));
                }
                // It was taken back.
                None => drop(self.in_turn.pop_front()),
            }
        }
        None
    }
}

impl<Q: RequestQueue> Pump<Q> {
    /// An fd that is readable when a tick may find that the store has ended
    /// something, if it ends anything later.
    pub fn store_wakes(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.store.wakes()
    }

    /// Has the store begin what it was given, and takes back what it has ended.
    pub(super) fn serve_store(&mut self, clock: &dyn Clock) {
        if self.store.pending() > 0 {
            self.take_stored(Moment::of(clock));
        }
    }

    fn take_stored(&mut self, moment: Moment) {
        self.store.push();
        let mut batch = 0;
        while let Some(ended) = self.store.ended() {
            self.stored(&ended, moment);
            batch += 1;
            if batch == BATCH {
                self.flush_dirty(moment);
                batch = 0;
            }
        }
        // What ended may have asked for more, as a flush after a write.
        if self.store.has_unsent() {
            self.store.push();
        }
    }

    /// Waits until the store has ended everything that it was given.
    pub(super) fn settle(&mut self, moment: Moment) {
        while self.store.pending() > 0 {
            self.store.wait();
            self.take_stored(moment);
        }
    }

    /// The store has ended a request: its data goes to the guest, and its
    /// completion comes if it is due.
    fn stored(&mut self, ended: &Ended, moment: Moment) {
        let (queue, request) = (ended.ticket.queue, ended.ticket.request);
        let lane = self.lanes.get_mut(usize::from(queue.0));
        let Some((requests, in_flight)) = lane.and_then(|lane| lane.with_requests(request)) else {
            // Its driver has gone.
            return self.store.forget(ended);
        };
        let Data::Moving { ends_as, due } = in_flight.data else {
            return self.store.forget(ended);
        };
        let outcome = match ends_as {
            Some(outcome) => {
                self.store.forget(ended);
                outcome
            }
            None => {
                let store = &mut self.store;
                let finish = |buffers: &dyn GuestBuffers| store.finish(ended, buffers);
                requests.with_buffers(&in_flight.token, finish)
            }
        };
        in_flight.data = Data::Moved(outcome);
        if let Some(due) = due
            && !(due.may_be_held && self.hold_if_asked(queue, request, moment))
        {
            self.complete(queue, request, due.planned, due.owe_interrupt, moment);
        }
        self.take_turns(queue, moment);
    }

    /// Lets those come that have waited for others before them.
    fn take_turns(&mut self, queue: QueueId, moment: Moment) {
        while let Some((request, planned)) = self.lane(queue).and_then(Lane::next_in_turn) {
            if !self.hold_if_asked(queue, request, moment) {
                self.complete(queue, request, planned, false, moment);
            }
        }
    }

    /// Completes what its plan lets come, now or when its data is there; in turn
    /// with those before it if they have an order.
    pub(super) fn let_come(
        &mut self,
        queue: QueueId,
        request: RequestId,
        planned: Nanos,
        in_turn: bool,
        moment: Moment,
    ) {
        let overdue = Overdue {
            planned,
            owe_interrupt: false,
            may_be_held: true,
        };
        let waits = self.lane(queue).is_some_and(|lane| match in_turn {
            true => lane.wait_in_turn(request, planned),
            false => lane.wait_for_data(request, overdue),
        });
        if !waits {
            self.complete(queue, request, planned, false, moment);
        }
    }

    /// Whether what is about to be completed waits for its data first.
    pub(super) fn waits_for_data(
        &mut self,
        queue: QueueId,
        request: RequestId,
        planned: Nanos,
        owe_interrupt: bool,
    ) -> bool {
        let overdue = Overdue {
            planned,
            owe_interrupt,
            may_be_held: false,
        };
        // Where nothing is pending nothing is to be looked for.
        self.store.pending() > 0
            && self
                .lane(queue)
                .is_some_and(|lane| lane.wait_for_data(request, overdue))
    }

    /// Whether a completion that is due as its request arrives has to wait for
    /// others before it.
    #[inline]
    pub(super) fn has_to_wait(&mut self, queue: QueueId, in_turn: bool) -> bool {
        in_turn
            && self
                .lane(queue)
                .is_some_and(|lane| !lane.in_turn.is_empty())
    }
}
