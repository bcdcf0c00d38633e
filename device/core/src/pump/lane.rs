// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One queue under the pump: what it has in flight, and the ring's side of its
//! completions. What comes of their interrupts is in `interrupts`.

use std::collections::{HashMap, VecDeque};

use rustc_hash::FxBuildHasher;

use crate::counters::Counters;
use crate::event::What;
use crate::filter::Traits;
use crate::plan::Plan;
use crate::queue::{BrokenQueue, RequestQueue};
use crate::request::{Outcome, QueueId, RequestId, Status};
use crate::scenario::{Fault, Order};
use crate::storm::Guard;
use crate::units::Nanos;

use super::interrupts::{Asked, Owed};
use super::measured::Latencies;
use super::storing::Data;
use super::turn::Turn;

/// The entries of the largest ring that there is (Virtio 1.2, 2.7: queue size
/// at most 32768; NVMe 2.0, CAP.MQES: at most 65536).
const MAX_IN_FLIGHT: usize = 65_536;

/// A request that is taken and not yet completed.
pub(super) struct InFlight<T> {
    pub(super) token: T,
    pub(super) data: Data,
    pub(super) plan: Plan,
    pub(super) traits: Traits,
    pub(super) arrived: Nanos,
    pub(super) held: bool,
}

/// What is written of a request that has ended.
pub(super) struct Completion<'p, T> {
    pub(super) request: RequestId,
    pub(super) token: T,
    pub(super) outcome: Outcome,
    pub(super) plan: &'p Plan,
    pub(super) arrived: Nanos,
    pub(super) planned: Nanos,
    /// Whether its interrupt is decided by others.
    pub(super) owe_interrupt: bool,
}

/// Completions one after the other that have their times in common: most of a
/// batch has.
#[derive(Debug)]
struct Alike {
    planned: Nanos,
    /// When their requests came.
    arrived: Nanos,
    count: u32,
}

/// Completions written and not yet visible.
#[derive(Debug, Default)]
pub(super) struct Pending {
    completions: Vec<Alike>,
    /// How many they are.
    pub(super) count: u32,
    /// What they ask of their interrupt.
    pub(super) asked: Asked,
}

impl Pending {
    #[inline]
    fn add(&mut self, planned: Nanos, arrived: Nanos) {
        self.count += 1;
        match self.completions.last_mut() {
            Some(last) if (last.planned, last.arrived) == (planned, arrived) => last.count += 1,
            _ => self.completions.push(Alike {
                planned,
                arrived,
                count: 1,
            }),
        }
    }
}

/// Completions that have come due and wait for others.
#[derive(Debug, Default)]
struct Gathered {
    requests: Vec<RequestId>,
    order: Order,
    /// The window's number.
    window: u64,
}

/// One queue: attached to a driver's rings or not.
pub(super) struct Lane<Q: RequestQueue> {
    pub(super) id: QueueId,
    pub(super) requests: Option<Q>,
    in_flight: HashMap<RequestId, InFlight<Q::Token>, FxBuildHasher>,
    pub(super) pending: Pending,
    pub(super) owed: Owed,
    gathered: Gathered,
    /// Completions that have come due, in their order: the first waits for its
    /// data, or for its turn to be looked at, and the others for it.
    pub(super) in_turn: VecDeque<(RequestId, Nanos)>,
    /// Windows opened under this scenario.
    windows: u64,
    /// Requests taken under this scenario.
    arrivals: u64,
    /// No completion in order is due before this.
    in_order_from: Nanos,
    /// Counts attachments.
    pub(super) attachment: u64,
    pub(super) counters: Counters,
    pub(super) latencies: Latencies,
    pub(super) guard: Guard,
}

impl<Q: RequestQueue> Lane<Q> {
    pub(super) fn new(id: QueueId) -> Lane<Q> {
        Lane {
            id,
            requests: None,
            in_flight: HashMap::default(),
            pending: Pending::default(),
            owed: Owed::default(),
            gathered: Gathered::default(),
            in_turn: VecDeque::new(),
            windows: 0,
            arrivals: 0,
            in_order_from: Nanos::ZERO,
            attachment: 0,
            counters: Counters::default(),
            latencies: Latencies::new(),
            guard: Guard::default(),
        }
    }

    pub(super) fn attach(&mut self, requests: Q) {
        self.attachment += 1;
        self.requests = Some(requests);
    }

    pub(super) fn requests(&mut self) -> Option<&mut Q> {
        self.requests.as_mut()
    }

    pub(super) fn is_attached(&self) -> bool {
        self.requests.is_some()
    }

    /// Whether more is in flight than any driver can have: one that goes on
    /// regardless would have the device run out of memory.
    pub(super) fn is_full(&self) -> bool {
        self.in_flight.len() > MAX_IN_FLIGHT
    }

    /// Another scenario decides from now on: requests and windows are counted
    /// anew.
    pub(super) fn start_over(&mut self) {
        self.arrivals = 0;
        self.windows = 0;
        self.in_order_from = Nanos::ZERO;
    }

    /// The number of the request that has just arrived, from 0.
    pub(super) fn count_arrival(&mut self) -> u64 {
        let nth = self.arrivals;
        self.arrivals += 1;
        let depth = self.requests.as_ref().map_or(u32::MAX, Q::depth);
        self.guard.arrived(depth);
        nth
    }

    /// `due`, or later if the queue keeps the order of arrival.
    pub(super) fn in_order(&mut self, due: Nanos) -> Nanos {
        self.in_order_from = self.in_order_from.max(due);
        self.in_order_from
    }

    pub(super) fn insert(&mut self, request: RequestId, in_flight: InFlight<Q::Token>) {
        self.counters.requests += 1;
        self.counters.in_flight += 1;
        self.counters.held += u64::from(in_flight.held);
        self.in_flight.insert(request, in_flight);
    }

    /// Its queue, and the request in flight on it.
    pub(super) fn with_requests(
        &mut self,
        request: RequestId,
    ) -> Option<(&mut Q, &mut InFlight<Q::Token>)> {
        let requests = self.requests.as_mut()?;
        Some((requests, self.in_flight.get_mut(&request)?))
    }

    pub(super) fn get(&self, request: RequestId) -> Option<&InFlight<Q::Token>> {
        self.in_flight.get(&request)
    }

    /// The request in flight that its driver calls so, unless it is lost.
    pub(super) fn named(&self, name: u16) -> Option<RequestId> {
        let is_meant = |entry: &InFlight<Q::Token>| {
            let lost = matches!(entry.plan.fault, Some(Fault::Lost { .. }));
            !lost && Q::name(&entry.token) == Some(name)
        };
        let mut in_flight = self.in_flight.iter();
        let found = in_flight.find(|(_, entry)| is_meant(entry));
        found.map(|(&request, _)| request)
    }

    /// Has a request end otherwise than it would: no fault of its plan is left.
    pub(super) fn end_as(&mut self, request: RequestId, outcome: Outcome) {
        if let Some(in_flight) = self.in_flight.get_mut(&request) {
            in_flight.data.end_as(outcome);
            in_flight.plan.fault = None;
        }
    }

    /// Holds a request, or holds it no longer; `None` if it is gone.
    pub(super) fn hold(&mut self, request: RequestId, hold: bool) -> Option<&InFlight<Q::Token>> {
        let in_flight = self.in_flight.get_mut(&request)?;
        if in_flight.held != hold {
            in_flight.held = hold;
            match hold {
                true => self.counters.held += 1,
                false => self.counters.held -= 1,
            }
        }
        Some(in_flight)
    }

    /// The oldest first.
    pub(super) fn in_flight_by_age(&self) -> Vec<RequestId> {
        let mut requests: Vec<RequestId> = self.in_flight.keys().copied().collect();
        requests.sort_unstable();
        requests
    }

    /// Puts a completion that is due with those that wait for each other.
    /// Returns how many these are, and the window's number.
    pub(super) fn gather(&mut self, request: RequestId, order: Order) -> (usize, u64) {
        if self.gathered.requests.is_empty() {
            self.gathered.order = order;
            self.gathered.window = self.windows;
            self.windows += 1;
        }
        self.gathered.requests.push(request);
        (self.gathered.requests.len(), self.gathered.window)
    }

    /// What window `window` has gathered, in the order of their dues, and the
    /// order that it is to be let go in; nothing if it was already.
    pub(super) fn take_gathered(&mut self, window: u64) -> (Vec<RequestId>, Order) {
        if self.gathered.window != window {
            return (Vec::new(), Order::Due);
        }
        let requests = std::mem::take(&mut self.gathered.requests);
        (requests, self.gathered.order)
    }

    /// Step one, the ring write; where each is published alone, the other
    /// three as well. Nothing is done for a request that is no longer in
    /// flight.
    pub(super) fn complete(
        &mut self,
        request: RequestId,
        planned: Nanos,
        owe_interrupt: bool,
        turn: &mut Turn,
    ) -> Result<(), BrokenQueue> {
        let Some(in_flight) = self.in_flight.remove(&request) else {
            return Ok(());
        };
        self.counters.in_flight -= 1;
        self.counters.held -= u64::from(in_flight.held);
        let completion = Completion {
            request,
            outcome: in_flight.data.outcome(),
            token: in_flight.token,
            plan: &in_flight.plan,
            arrived: in_flight.arrived,
            planned,
            owe_interrupt,
        };
        self.write(completion, turn)
    }

    /// The same for a request that has only just arrived and is in flight for
    /// no time at all.
    #[inline]
    pub(super) fn complete_at_once(
        &mut self,
        completion: Completion<Q::Token>,
        turn: &mut Turn,
    ) -> Result<(), BrokenQueue> {
        self.counters.requests += 1;
        self.write(completion, turn)
    }

    #[inline]
    fn write(
        &mut self,
        completion: Completion<Q::Token>,
        turn: &mut Turn,
    ) -> Result<(), BrokenQueue> {
        let Some(requests) = self.requests.as_mut() else {
            return Ok(());
        };
        let Completion {
            request,
            token,
            outcome,
            plan,
            arrived,
            planned,
            owe_interrupt,
        } = completion;
        let status = outcome.status;
        let lie = plan.fault.and_then(|fault| fault.lie());
        requests.complete(token, outcome, lie)?;
        self.counters.completed += 1;
        self.counters.failed += u64::from(status != Status::Ok);
        self.counters.lied += u64::from(lie.is_some());
        turn.record(What::Completed {
            request,
            queue: self.id,
            status,
            planned,
        });
        self.pending.add(planned, arrived);
        if owe_interrupt {
            return Ok(());
        }
        self.ask(plan.interrupt, planned, turn)
    }

    /// Whether there is something to publish.
    pub(super) fn is_dirty(&self) -> bool {
        self.pending.count > 0
    }

    /// Step two, publish, and the decision if it is due.
    pub(super) fn flush(&mut self, turn: &mut Turn) -> Result<(), BrokenQueue> {
        let asked = std::mem::take(&mut self.pending.asked);
        let Some(&Alike { planned, .. }) = self.pending.completions.last() else {
            return Ok(());
        };
        let Some(requests) = self.requests.as_mut() else {
            return Ok(());
        };
        requests.publish()?;
        let at = turn.clock();
        let count = std::mem::take(&mut self.pending.count);
        self.counters.published += 1;
        for alike in self.pending.completions.drain(..) {
            turn.measured().published(at - alike.planned, alike.count);
            self.latencies.record(at - alike.arrived, alike.count);
        }
        let queue = self.id;
        turn.record_at(
            at,
            What::Published {
                queue,
                count,
                planned,
            },
        );
        self.published(count, planned, asked, turn)
    }

    /// Gives up everything in flight and the rings with it, without touching
    /// guest memory. Returns how many requests that were.
    pub(super) fn abandon(&mut self) -> u64 {
        let in_flight = std::mem::take(&mut self.in_flight);
        let count = in_flight.len() as u64;
        if let Some(mut requests) = self.requests.take() {
            for (_, entry) in in_flight {
                requests.abandon(entry.token);
            }
        }
        self.counters.abandoned += count;
        self.counters.in_flight = 0;
        self.counters.held = 0;
        self.pending = Pending::default();
        self.gathered.requests.clear();
        self.in_turn.clear();
        self.in_order_from = Nanos::ZERO;
        self.attachment += 1;
        self.owed.forget();
        count
    }
}
