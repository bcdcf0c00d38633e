// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Queues that come and go, and what becomes of what is in flight on them.

use super::Pump;
use super::interrupts::Decision;
use super::lane::Lane;
use super::turn::Moment;
use crate::event::What;
use crate::queue::{BrokenQueue, RequestQueue};
use crate::request::QueueId;

impl<Q: RequestQueue> Pump<Q> {
    pub(super) fn attach(&mut self, queue: QueueId, requests: Q, moment: Moment) {
        let Some(lane) = self.lane(queue) else {
            return;
        };
        // A front-end detaches first; one that did not has new rings anyway.
        let stale = lane.abandon();
        // A write that was given up is on the disk before any that comes.
        self.settle(moment);
        let Some(lane) = self.lane(queue) else {
            return;
        };
        lane.attach(requests);
        if stale > 0 {
            self.held.forget(queue);
        }
        self.desk.turn(moment).record(What::QueueStarted { queue });
        self.unpark_storms(moment.now);
        self.kick(queue, moment.clock);
    }

    /// Completes everything in flight on a queue and lets go of its rings.
    pub(super) fn detach(&mut self, queue: QueueId, moment: Moment) -> u64 {
        self.settle(moment);
        let in_flight = self.lane(queue).map(|lane| lane.in_flight_by_age());
        let mut drained = 0;
        for request in in_flight.unwrap_or_default() {
            // A queue that breaks on the way has given up the others.
            if self
                .lane(queue)
                .is_some_and(|lane| lane.get(request).is_some())
            {
                self.complete(queue, request, moment.now, false, moment);
                drained += 1;
            }
        }
        self.flush_dirty(moment);
        let Some(lane) = self.lanes.get_mut(usize::from(queue.0)) else {
            return 0;
        };
        if !lane.is_attached() {
            return drained;
        }
        // What was left to a coalesced or an owed interrupt is decided now;
        // a broken queue has nothing more to lose.
        let mut turn = self.desk.turn(moment);
        let _ = lane.decide(Decision::WithoutDelay, u32::MAX, moment.now, &mut turn);
        lane.abandon();
        self.held.forget(queue);
        let what = What::QueueStopped { queue, drained };
        self.desk.turn(moment).record(what);
        drained
    }

    /// Gives up everything on every queue.
    pub(super) fn disconnect(&mut self, moment: Moment) -> u64 {
        let abandoned = self.lanes.iter_mut().map(Lane::abandon).sum();
        self.held.clear();
        self.dirty.clear();
        // Nothing is left that would change the disk under the next driver.
        self.settle(moment);
        self.desk
            .turn(moment)
            .record(What::Disconnected { abandoned });
        abandoned
    }

    /// Stops a queue whose rings cannot be believed.
    pub(super) fn break_queue(&mut self, queue: QueueId, error: &BrokenQueue, moment: Moment) {
        if let Some(lane) = self.lane(queue) {
            lane.abandon();
        }
        self.held.forget(queue);
        self.dirty.retain(|&dirty| dirty != queue);
        let reason = error.0.clone();
        let what = What::QueueBroken { queue, reason };
        self.desk.turn(moment).record(what);
    }
}
