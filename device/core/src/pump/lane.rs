// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One queue under the pump: what it has in flight, and the four steps of its
//! completions.

use std::collections::BTreeMap;

use crate::counters::Counters;
use crate::event::{Event, EventSink, What};
use crate::plan::Plan;
use crate::queue::{BrokenQueue, RequestQueue};
use crate::request::{Operation, Outcome, QueueId, RequestId, Sector, Status};
use crate::scenario::Interrupt;
use crate::storm::Guard;
use crate::units::Nanos;

/// The entries of the largest ring that there is (Virtio 1.2, 2.7: queue size
/// at most 32768; NVMe 2.0, CAP.MQES: at most 65536).
const MAX_IN_FLIGHT: usize = 65_536;

/// A request that is executed and not yet completed.
pub(super) struct InFlight<T> {
    pub(super) token: T,
    pub(super) outcome: Outcome,
    pub(super) plan: Plan,
    pub(super) operation: Operation,
    pub(super) sector: Sector,
    pub(super) bytes: u64,
    pub(super) arrived: Nanos,
    pub(super) held: bool,
}

/// What the completions written and not yet published ask of their interrupt.
#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    /// Completions in the ring that are not visible yet.
    unpublished: u32,
    /// When the last of them was due.
    planned: Nanos,
    /// Whether one of them has its interrupt decided at once.
    decide: bool,
    /// Whether one of them has its interrupt whatever the driver wants.
    force: bool,
}

/// One queue: attached to a driver's rings or not.
pub(super) struct Lane<Q: RequestQueue> {
    id: QueueId,
    requests: Option<Q>,
    in_flight: BTreeMap<RequestId, InFlight<Q::Token>>,
    pending: Pending,
    /// Published completions whose interrupt is not decided yet.
    undecided: u32,
    /// When a coalesced interrupt is decided at the latest.
    coalesce_until: Option<Nanos>,
    pub(super) counters: Counters,
    pub(super) guard: Guard,
}

impl<Q: RequestQueue> Lane<Q> {
    pub(super) fn new(id: QueueId) -> Lane<Q> {
        Lane {
            id,
            requests: None,
            in_flight: BTreeMap::new(),
            pending: Pending::default(),
            undecided: 0,
            coalesce_until: None,
            counters: Counters::default(),
            guard: Guard::default(),
        }
    }

    pub(super) fn attach(&mut self, requests: Q) {
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

    pub(super) fn insert(&mut self, request: RequestId, in_flight: InFlight<Q::Token>) {
        self.counters.requests += 1;
        self.counters.in_flight += 1;
        self.counters.held += u64::from(in_flight.held);
        self.in_flight.insert(request, in_flight);
    }

    pub(super) fn get(&self, request: RequestId) -> Option<&InFlight<Q::Token>> {
        self.in_flight.get(&request)
    }

    /// Turns a planned completion into a held one; `false` if it is gone.
    pub(super) fn hold(&mut self, request: RequestId) -> bool {
        let Some(in_flight) = self.in_flight.get_mut(&request) else {
            return false;
        };
        in_flight.held = true;
        self.counters.held += 1;
        true
    }

    pub(super) fn oldest_in_flight(&self) -> Option<RequestId> {
        self.in_flight.keys().next().copied()
    }

    /// Step one, the ring write; for an interrupt of its own, the other three
    /// as well. Nothing is done for a request that is no longer in flight.
    /// Returns when a coalesced interrupt is to be decided, if this is the
    /// first completion to wait for it.
    pub(super) fn complete(
        &mut self,
        request: RequestId,
        planned: Nanos,
        owe_interrupt: bool,
        now: Nanos,
        events: &mut dyn EventSink,
    ) -> Result<Option<Nanos>, BrokenQueue> {
        let Some(in_flight) = self.in_flight.remove(&request) else {
            return Ok(None);
        };
        self.counters.in_flight -= 1;
        self.counters.held -= u64::from(in_flight.held);
        let Some(requests) = self.requests.as_mut() else {
            return Ok(None);
        };
        let status = in_flight.outcome.status;
        requests.complete(in_flight.token, in_flight.outcome, None)?;
        self.counters.completed += 1;
        self.counters.failed += u64::from(status != Status::Ok);
        events.record(Event {
            at: now,
            what: What::Completed {
                request,
                queue: self.id,
                status,
                planned,
            },
        });
        self.pending.unpublished += 1;
        self.pending.planned = planned;
        if owe_interrupt {
            return Ok(None);
        }
        match in_flight.plan.interrupt {
            Interrupt::WhenWanted => self.pending.decide = true,
            Interrupt::PerCompletion => {
                self.pending.force = true;
                self.flush(now, events)?;
            }
            Interrupt::Coalesced { count, time } => {
                let waiting = self.undecided + self.pending.unpublished;
                self.pending.decide |= waiting >= count;
                if self.coalesce_until.is_none() {
                    self.coalesce_until = Some(now + time);
                    return Ok(self.coalesce_until);
                }
            }
        }
        Ok(None)
    }

    /// Whether there is something to publish.
    pub(super) fn is_dirty(&self) -> bool {
        self.pending.unpublished > 0
    }

    /// When a coalesced interrupt is to be decided, if one waits.
    pub(super) fn coalesce_until(&self) -> Option<Nanos> {
        self.coalesce_until
    }

    /// Step two, publish, and the decision if it is due.
    pub(super) fn flush(
        &mut self,
        now: Nanos,
        events: &mut dyn EventSink,
    ) -> Result<(), BrokenQueue> {
        let pending = std::mem::take(&mut self.pending);
        if pending.unpublished == 0 {
            return Ok(());
        }
        let Some(requests) = self.requests.as_mut() else {
            return Ok(());
        };
        requests.publish()?;
        self.counters.published += 1;
        self.undecided += pending.unpublished;
        events.record(Event {
            at: now,
            what: What::Published {
                queue: self.id,
                count: pending.unpublished,
                planned: pending.planned,
            },
        });
        if pending.decide || pending.force {
            self.decide(pending.planned, pending.force, now, events)?;
        }
        Ok(())
    }

    /// Steps three and four: asks whether the driver wants an interrupt, and
    /// raises it if so, or if it is to come in any case.
    pub(super) fn decide(
        &mut self,
        planned: Nanos,
        force: bool,
        now: Nanos,
        events: &mut dyn EventSink,
    ) -> Result<u64, BrokenQueue> {
        let decided = std::mem::take(&mut self.undecided);
        self.coalesce_until = None;
        let Some(requests) = self.requests.as_mut() else {
            return Ok(0);
        };
        if decided == 0 {
            return Ok(0);
        }
        let queue = self.id;
        let wanted = requests.wants_interrupt()?;
        self.counters.wanted += u64::from(wanted);
        events.record(Event {
            at: now,
            what: What::Decided { queue, wanted },
        });
        if wanted || force {
            requests.signal();
            self.counters.signalled += 1;
            events.record(Event {
                at: now,
                what: What::Signalled { queue, planned },
            });
        } else {
            self.counters.suppressed += 1;
        }
        Ok(u64::from(decided))
    }

    /// Raises `count` interrupts with no completion behind them.
    pub(super) fn fire(
        &mut self,
        count: u32,
        planned: Nanos,
        now: Nanos,
        events: &mut dyn EventSink,
    ) {
        let Some(requests) = self.requests.as_ref() else {
            return;
        };
        for _ in 0..count {
            requests.signal();
        }
        self.counters.spurious += u64::from(count);
        events.record(Event {
            at: now,
            what: What::Spurious {
                queue: self.id,
                count,
                planned,
            },
        });
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
        self.undecided = 0;
        self.coalesce_until = None;
        count
    }
}
