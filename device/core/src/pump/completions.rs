// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What has come due for a request: its completion is held, gathered or let go,
//! its interrupt decided.

use rand::seq::SliceRandom;

use super::Pump;
use super::interrupts::Decision;
use super::lane::Lane;
use super::turn::{Due, Moment, Turn};
use crate::pattern::Draws;
use crate::queue::{BrokenQueue, RequestQueue};
use crate::request::{QueueId, RequestId};
use crate::scenario::Order;
use crate::units::Nanos;

impl<Q: RequestQueue> Pump<Q> {
    /// A planned completion has come due: it is held, gathered, or let go.
    pub(super) fn due(
        &mut self,
        queue: QueueId,
        request: RequestId,
        planned: Nanos,
        moment: Moment,
    ) {
        if self.hold_if_asked(queue, request, moment) {
            return;
        }
        let order = self.phase().script.order;
        let Some(window) = order.window() else {
            let in_turn = order == Order::Fifo;
            return self.let_come(queue, request, planned, in_turn, moment);
        };
        let Some(lane) = self.lane(queue).filter(|lane| lane.get(request).is_some()) else {
            return;
        };
        let (count, number) = lane.gather(request, order);
        if count >= window.window as usize {
            self.close_window(queue, number, planned, moment);
        } else if count == 1 {
            let close = Due::Window(queue, number);
            self.desk.timeline.insert(planned + window.time, close);
        }
    }

    /// Lets go what a window has gathered, unless that was done.
    pub(super) fn close_window(
        &mut self,
        queue: QueueId,
        window: u64,
        planned: Nanos,
        moment: Moment,
    ) {
        let seed = self.seed;
        let Some(lane) = self.lane(queue) else {
            return;
        };
        let (mut requests, order) = lane.take_gathered(window);
        match order {
            Order::Lifo(_) => requests.reverse(),
            Order::Shuffle(_) => requests.shuffle(&mut Draws::of_window(seed, queue, window)),
            Order::Due | Order::Fifo => {}
        }
        for request in requests {
            if !self.hold_if_asked(queue, request, moment) {
                self.let_come(queue, request, planned, true, moment);
            }
        }
    }

    /// The time has come for an interrupt whose completion is still to come.
    pub(super) fn early(
        &mut self,
        queue: QueueId,
        request: RequestId,
        planned: Nanos,
        moment: Moment,
    ) {
        let Some(lane) = self.lanes.get_mut(usize::from(queue.0)) else {
            return;
        };
        if lane.get(request).is_some_and(|in_flight| !in_flight.held) {
            lane.signal_early(planned, &mut self.desk.turn(moment));
        }
    }

    /// A step of a queue's interrupts has come due.
    pub(super) fn interrupt_due(
        &mut self,
        queue: QueueId,
        due: Due,
        planned: Nanos,
        moment: Moment,
    ) {
        let Some(lane) = self.lanes.get_mut(usize::from(queue.0)) else {
            return;
        };
        let mut turn = self.desk.turn(moment);
        // What was completed in this tick comes first: an interrupt is decided
        // for what the driver can see.
        let result = lane.flush(&mut turn).and_then(|()| match due {
            Due::Decide(_) => lane
                .decide(Decision::AsWanted, u32::MAX, planned, &mut turn)
                .map(drop),
            Due::Coalesced(_) => lane.decide_coalesced(planned, &mut turn),
            Due::Rescue(_, serial) => {
                lane.rescue(serial, planned, &mut turn);
                Ok(())
            }
            Due::Duplicate(duplicates) => {
                lane.duplicate(duplicates, planned, &mut turn);
                Ok(())
            }
            _ => Ok(()),
        });
        if let Err(error) = result {
            self.break_queue(queue, &error, moment);
        }
    }

    /// Writes one completion, or has it wait for the store; it is published when
    /// the tick or command ends.
    pub(super) fn complete(
        &mut self,
        queue: QueueId,
        request: RequestId,
        planned: Nanos,
        owe_interrupt: bool,
        moment: Moment,
    ) {
        // A disk that cannot fail has no such request to look for.
        if self.failure_line.is_some() && self.is_failure(queue, request) {
            self.fail_device(moment);
            return;
        }
        if self.waits_for_data(queue, request, planned, owe_interrupt) {
            return;
        }
        self.write(queue, moment, |lane, turn| {
            lane.complete(request, planned, owe_interrupt, turn)
        });
    }

    /// Has a lane write a completion, and notes that there is something to
    /// publish.
    pub(super) fn write(
        &mut self,
        queue: QueueId,
        moment: Moment,
        write: impl FnOnce(&mut Lane<Q>, &mut Turn) -> Result<(), BrokenQueue>,
    ) {
        let Some(lane) = self.lanes.get_mut(usize::from(queue.0)) else {
            return;
        };
        let was_dirty = lane.is_dirty();
        match write(lane, &mut self.desk.turn(moment)) {
            Ok(()) if lane.is_dirty() && !was_dirty => self.dirty.push(queue),
            Ok(()) => {}
            Err(error) => self.break_queue(queue, &error, moment),
        }
    }

    /// Publishes what was completed, once a queue, in the order of queues.
    pub(super) fn flush_dirty(&mut self, moment: Moment) {
        self.dirty.sort_unstable_by(|a, b| b.cmp(a));
        while let Some(queue) = self.dirty.pop() {
            let Some(lane) = self.lanes.get_mut(usize::from(queue.0)) else {
                continue;
            };
            if let Err(error) = lane.flush(&mut self.desk.turn(moment)) {
                self.break_queue(queue, &error, moment);
            }
        }
    }
}
