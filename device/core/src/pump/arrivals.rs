// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From a request in a queue to a plan on the timeline: planned, given to the
//! store, put in flight.

use super::Pump;
use super::lane::{Completion, InFlight, Lane};
use super::storing::Data;
use super::turn::{Due, Moment};
use crate::event::What;
use crate::filter::Traits;
use crate::held::HeldRequest;
use crate::pattern::{Arrival, Draws, Pattern};
use crate::plan::Plan;
use crate::queue::{GuestBuffers, RequestQueue, Taken};
use crate::request::{Operation, Outcome, QueueId, Request, RequestId, Status};
use crate::scenario::{Fault, Interrupt, Order};
use crate::store::{Submitted, Ticket};
use crate::units::Nanos;

impl<Q: RequestQueue> Pump<Q> {
    /// Plans one request and gives it to the store.
    pub(super) fn arrive(&mut self, queue: QueueId, taken: Taken<Q::Token>, moment: Moment) {
        let Taken { token, request } = taken;
        let (request, malformed) = match request {
            Ok(request) => (request, None),
            Err(status) => (Request::bare(Operation::Malformed), Some(status)),
        };
        self.last_request.0 += 1;
        let arrival = Arrival {
            request: self.last_request,
            nth: self.lane(queue).map_or(0, Lane::count_arrival),
            traits: Traits {
                queue,
                operation: request.operation,
                sector: request.start(),
                bytes: request.bytes(),
            },
            at: moment.now,
        };
        let plan = self.plan(&arrival);
        let failed = malformed.or(plan.fault.and_then(Fault::status));
        let submitted = match failed {
            Some(status) => Submitted::Done(Outcome::failed(status)),
            None => self.submit(queue, &token, &request),
        };
        self.put_in_flight(&arrival, token, submitted, plan, moment);
        self.count_request(moment);
    }

    fn submit(&mut self, queue: QueueId, token: &Q::Token, request: &Request) -> Submitted {
        let store = &mut self.store;
        let ticket = Ticket {
            queue,
            request: self.last_request,
        };
        let run = |buffers: &dyn GuestBuffers| store.submit(ticket, request, buffers);
        match self.lanes[usize::from(queue.0)].requests() {
            Some(requests) => requests.with_buffers(token, run),
            None => Submitted::Done(Outcome::failed(Status::IoError)),
        }
    }

    /// As recorded, or as the scenario says. Holding for a while changes nothing
    /// of what is decided.
    fn plan(&mut self, arrival: &Arrival) -> Plan {
        if let Some(replay) = &mut self.replay
            && let Some(plan) = replay.next(&arrival.traits)
        {
            return plan;
        }
        let mut draws = Draws::of_request(self.seed, arrival.traits.queue, arrival.nth);
        self.pattern.plan(arrival, &mut draws)
    }

    fn put_in_flight(
        &mut self,
        arrival: &Arrival,
        token: Q::Token,
        submitted: Submitted,
        plan: Plan,
        moment: Moment,
    ) {
        let &Arrival {
            request,
            traits,
            at,
            ..
        } = arrival;
        let queue = traits.queue;
        let lost = matches!(plan.fault, Some(Fault::Lost { .. }));
        let held = lost || (plan.hold && !self.unheld) || self.is_held_by_command(&traits);
        let in_order = self.phase().script.order == Order::Fifo;
        let Some(lane) = self.lane(queue) else {
            return;
        };
        let mut due = at + plan.latency;
        if in_order && !held {
            due = lane.in_order(due);
        }
        let due = (!held).then_some(due);
        self.record_arrival(arrival, plan, due, moment);
        let at_once = due.is_some_and(|due| self.is_at_once(due, arrival, &plan));
        if at_once
            && let Submitted::Done(outcome) = submitted
            && !self.has_to_wait(queue, in_order)
        {
            let completion = Completion {
                request,
                token,
                outcome,
                plan: &plan,
                arrived: at,
                planned: at,
                owe_interrupt: false,
            };
            return self.write(queue, moment, |lane, turn| {
                lane.complete_at_once(completion, turn)
            });
        }
        let in_flight = InFlight {
            token,
            data: Data::of(submitted),
            plan,
            traits,
            arrived: at,
            held,
        };
        if let Some(lane) = self.lane(queue) {
            lane.insert(request, in_flight);
        }
        if at_once {
            return self.due(queue, request, at, moment);
        }
        match due {
            Some(due) => self.schedule(queue, request, due, &plan),
            None => {
                let arrived = at;
                self.held.insert(request, HeldRequest { traits, arrived });
            }
        }
        if let Some(Fault::Lost { back: Some(back) }) = plan.fault {
            self.desk
                .timeline
                .insert(at + back, Due::Back(queue, request));
        }
    }

    /// Whether a completion has nothing to wait for: it is due as its request
    /// arrives and before anything else, and nobody gathers, holds or announces
    /// it. That is every request of a disk like any other: neither the timeline
    /// nor what is in flight need know of it.
    fn is_at_once(&self, due: Nanos, arrival: &Arrival, plan: &Plan) -> bool {
        due == arrival.at
            && self.holds.is_empty()
            && plan.fault != Some(Fault::DeviceFailure)
            && self.phase().script.order.window().is_none()
            && !matches!(plan.interrupt, Interrupt::Early { .. })
            && self.desk.timeline.next_due().is_none_or(|next| next > due)
    }

    #[inline]
    fn record_arrival(
        &mut self,
        arrival: &Arrival,
        plan: Plan,
        due: Option<Nanos>,
        moment: Moment,
    ) {
        let Arrival {
            request,
            nth,
            traits,
            at,
        } = *arrival;
        let what = What::Arrived {
            request,
            queue: traits.queue,
            nth,
            operation: traits.operation,
            sector: traits.sector,
            bytes: traits.bytes,
            plan,
            due,
        };
        self.desk.turn(moment).record_at(at, what);
    }

    fn schedule(&mut self, queue: QueueId, request: RequestId, due: Nanos, plan: &Plan) {
        let timeline = &mut self.desk.timeline;
        if let Interrupt::Early { by, .. } = plan.interrupt {
            timeline.insert(due - by, Due::Early(queue, request));
        }
        timeline.insert(due, Due::Completion(queue, request));
    }
}
