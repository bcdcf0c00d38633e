// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From a queue into the pump: how many requests are taken before others have
//! their turn.
//!
//! What is taken becomes visible in batches of half of what is known to wait: a
//! driver has one to read, and to add to, while the other is carried out. One
//! that sleeps takes long to wake, and does so meanwhile, so that the first may
//! be small; the others are not, since a batch costs as much as some requests. A
//! queue whose driver adds as fast as the pump takes has its turn, and waits
//! then for that of everything else.
//!
//! What a look into a queue finds has arrived by then, and a batch of it has one
//! time, however long its first requests take.

use super::Pump;
use super::lane::Lane;
use super::turn::Moment;
use crate::clock::Clock;
use crate::queue::{BrokenQueue, RequestQueue, Taken};
use crate::request::QueueId;

/// Requests of the smallest batch but the first, and of that one where it is not
/// known how many wait: each is twice the one before then.
const FEWEST: u32 = 8;

/// Requests of the largest.
const MOST: u32 = 32;

/// Requests of a queue's turn.
const TURN: u32 = 256;

impl<Q: RequestQueue> Pump<Q> {
    /// Takes what is in a queue now, or as much of it as is its turn; ticks take
    /// the rest. An unknown or stopped queue has nothing. What comes due on the
    /// way is not kept waiting: to execute a ring's worth of requests can take
    /// long.
    pub fn kick(&mut self, queue: QueueId, clock: &dyn Clock) {
        self.look_for_reader(queue, clock);
        let Some(first) = self.next_of(queue, clock) else {
            return;
        };
        self.arrive(queue, first, Moment::of(clock));
        let (mut batch, mut taken) = (self.first_batch(queue), 0);
        while taken < TURN {
            if !self.take_some(queue, batch, clock) {
                return;
            }
            match taken {
                // The store has what follows with the first, when it is told.
                0 => self.show(clock),
                _ => self.do_due(clock),
            }
            taken += batch.max(1);
            batch = self.batch_after(queue, batch);
        }
        if !self.behind.contains(&queue) {
            self.behind.push_back(queue);
        }
    }

    /// Gives each queue with more to take another turn, of one batch.
    pub(super) fn catch_up(&mut self, clock: &dyn Clock) {
        for _ in 0..self.behind.len() {
            if let Some(queue) = self.behind.pop_front()
                && self.take_some(queue, MOST, clock)
            {
                self.behind.push_back(queue);
            }
        }
        self.show(clock);
    }

    /// Looks into every queue for requests; how many there were. What they leave
    /// to be done later is done by the next tick.
    pub fn poll(&mut self, clock: &dyn Clock) -> u64 {
        let before = self.last_request.0;
        self.serve_store(clock);
        for index in 0..self.lanes.len() {
            let queue = self.lanes[index].id;
            self.kick(queue, clock);
            // The driver wakes while other queues are looked into.
            self.show(clock);
        }
        self.last_request.0 - before
    }

    /// From now on [`Pump::poll`] is called all the time, and drivers need not
    /// kick; or no longer, and they are to.
    pub fn set_polled(&mut self, polled: bool, clock: &dyn Clock) {
        let queues = self.lanes.iter_mut().filter_map(Lane::requests);
        queues.for_each(|queue| queue.set_polled(polled));
        if !polled {
            self.poll(clock);
        }
    }

    /// Decides an interrupt that waits for its driver to have read, if it has.
    fn look_for_reader(&mut self, queue: QueueId, clock: &dyn Clock) {
        let lane = self.lanes.get_mut(usize::from(queue.0));
        let Some(lane) = lane.filter(|lane| lane.owed.waits_for_reader) else {
            return;
        };
        let moment = Moment::of(clock);
        if let Err(error) = lane.look_for_reader(&mut self.desk.turn(moment)) {
            self.break_queue(queue, &error, moment);
        }
    }

    /// Takes up to `most` requests, a batch; `false` if there are no more.
    fn take_some(&mut self, queue: QueueId, most: u32, clock: &dyn Clock) -> bool {
        let (mut found, mut known) = (None, 0);
        for _ in 0..most {
            let Some(taken) = self.next_of(queue, clock) else {
                return false;
            };
            let moment = match found.filter(|_| known > 0) {
                Some(moment) => moment,
                None => {
                    known = 1 + self.known_in(queue);
                    *found.insert(Moment::of(clock))
                }
            };
            known -= 1;
            self.arrive(queue, taken, moment);
        }
        true
    }

    /// Publishes what was completed. The clock is asked only if something was:
    /// most looks into a queue find nothing.
    fn show(&mut self, clock: &dyn Clock) {
        if !self.dirty.is_empty() {
            self.flush_dirty(Moment::of(clock));
        }
    }

    /// Requests that become visible with the one that was just taken.
    fn first_batch(&self, queue: QueueId) -> u32 {
        match self.known_in(queue) {
            0 => FEWEST,
            known => MOST.min(known / 2),
        }
    }

    /// Requests of the batch after one of `batch`.
    fn batch_after(&self, queue: QueueId, batch: u32) -> u32 {
        match self.known_in(queue) {
            0 => (2 * batch).clamp(FEWEST, MOST),
            known => (known / 2).clamp(FEWEST, MOST),
        }
    }

    /// Requests that were found in a queue and not taken yet.
    fn known_in(&self, queue: QueueId) -> u32 {
        let lane = self.lanes.get(usize::from(queue.0));
        let requests = lane.and_then(|lane| lane.requests.as_ref());
        requests.map_or(0, Q::known)
    }

    /// The next request of a queue, which is stopped if it cannot be believed.
    fn next_of(&mut self, queue: QueueId, clock: &dyn Clock) -> Option<Taken<Q::Token>> {
        let lane = self.lanes.get_mut(usize::from(queue.0))?;
        let full = lane.is_full();
        let requests = lane.requests()?;
        let next = match full {
            true => Err(BrokenQueue(
                "more requests in flight than a ring has entries".into(),
            )),
            false => requests.next(),
        };
        next.unwrap_or_else(|error| {
            self.break_queue(queue, &error, Moment::of(clock));
            None
        })
    }
}
