// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The event stream read request by request: when each of a completion's four
//! steps was planned, and when it was.
//!
//! The stream has one event a step; publications, decisions and interrupts are
//! about many completions at once. This is the one place that knows which: the
//! ring writes of a queue since its last publication, the publications whose
//! interrupt was not decided yet. Reports and traces are made from what comes
//! out here.

use std::collections::{BTreeMap, VecDeque};

use crate::event::{Cause, Event, What};
use crate::plan::Plan;
use crate::request::{Operation, QueueId, RequestId, Sector, Status};
use crate::units::Nanos;

/// One step of a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When it was to be.
    pub planned: Nanos,
    /// When it was.
    pub at: Nanos,
}

/// A request from its arrival to its interrupt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journey {
    /// Its number.
    pub request: RequestId,
    /// Its queue.
    pub queue: QueueId,
    /// Its kind.
    pub operation: Operation,
    /// Where on the disk.
    pub sector: Sector,
    /// Data bytes.
    pub bytes: u64,
    /// What was decided about it.
    pub plan: Plan,
    /// When it was taken from its queue.
    pub arrived: Nanos,
    /// How it ended, once it has.
    pub status: Option<Status>,
    /// Its completion was written into the ring.
    pub written: Option<Step>,
    /// Its completion became visible.
    pub published: Option<Step>,
    /// Its interrupt was decided.
    pub decided: Option<Step>,
    /// An interrupt that tells of it was written, and why.
    pub signalled: Option<(Step, Cause)>,
}

impl Journey {
    /// From its arrival to its completion becoming visible, if it has.
    pub fn latency(&self) -> Option<Nanos> {
        self.published.map(|published| published.at - self.arrived)
    }
}

/// Where the completions of a queue are on their way.
#[derive(Debug, Default)]
struct Lane {
    /// In the ring and not visible.
    written: Vec<Journey>,
    /// Visible, their interrupt not decided.
    undecided: VecDeque<Journey>,
    /// Decided by the last decision, which an interrupt may follow.
    decided: Vec<Journey>,
}

/// Puts journeys together from events, which must come in their order.
#[derive(Debug, Default)]
pub struct Steps {
    under_way: BTreeMap<RequestId, Journey>,
    lanes: BTreeMap<QueueId, Lane>,
    finished: Vec<Journey>,
}

impl Steps {
    /// Takes the next event.
    pub fn take(&mut self, event: &Event) {
        let at = event.at;
        match &event.what {
            &What::Arrived {
                request,
                queue,
                operation,
                sector,
                bytes,
                plan,
                ..
            } => {
                let journey = Journey {
                    request,
                    queue,
                    operation,
                    sector,
                    bytes,
                    plan,
                    arrived: at,
                    status: None,
                    written: None,
                    published: None,
                    decided: None,
                    signalled: None,
                };
                self.under_way.insert(request, journey);
            }
            &What::Completed {
                request,
                queue,
                status,
                planned,
            } => {
                if let Some(mut journey) = self.under_way.remove(&request) {
                    journey.status = Some(status);
                    journey.written = Some(Step { planned, at });
                    self.lane(queue).written.push(journey);
                }
            }
            &What::Published { queue, planned, .. } => self.publish(queue, Step { planned, at }),
            &What::Decided {
                queue,
                count,
                planned,
                ..
            } => self.decide(queue, count, Step { planned, at }),
            &What::Signalled {
                queue,
                cause,
                planned,
            } => self.signal(queue, cause, Step { planned, at }),
            &What::QueueStopped { queue, .. } | &What::QueueBroken { queue, .. } => {
                self.settle(queue);
            }
            What::Disconnected { .. } => {
                let queues: Vec<QueueId> = self.lanes.keys().copied().collect();
                queues.into_iter().for_each(|queue| self.settle(queue));
                self.under_way.clear();
            }
            _ => {}
        }
    }

    fn lane(&mut self, queue: QueueId) -> &mut Lane {
        self.lanes.entry(queue).or_default()
    }

    fn publish(&mut self, queue: QueueId, step: Step) {
        let lane = self.lane(queue);
        for mut journey in lane.written.drain(..) {
            // Each was to be visible when it was to be written.
            let planned = journey
                .written
                .map_or(step.planned, |written| written.planned);
            journey.published = Some(Step { planned, ..step });
            lane.undecided.push_back(journey);
        }
    }

    fn decide(&mut self, queue: QueueId, count: u32, step: Step) {
        let lane = self.lanes.entry(queue).or_default();
        self.finished.append(&mut lane.decided);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let count = count.min(lane.undecided.len());
        for mut journey in lane.undecided.drain(..count) {
            journey.decided = Some(step);
            lane.decided.push(journey);
        }
    }

    fn signal(&mut self, queue: QueueId, cause: Cause, step: Step) {
        let lane = self.lanes.entry(queue).or_default();
        match cause {
            Cause::Completion => {
                for mut journey in lane.decided.drain(..) {
                    journey.signalled = Some((step, cause));
                    self.finished.push(journey);
                }
            }
            // It tells of all that is visible, decided and dropped before or
            // never decided.
            Cause::Rescue => {
                let told = lane.decided.drain(..).chain(lane.undecided.drain(..));
                for mut journey in told {
                    journey.signalled = Some((step, cause));
                    self.finished.push(journey);
                }
            }
            // Nothing that is visible is behind it.
            Cause::Early | Cause::Duplicate => {}
        }
    }

    /// Nothing more comes for what is on its way on a queue.
    fn settle(&mut self, queue: QueueId) {
        if let Some(mut lane) = self.lanes.remove(&queue) {
            self.finished.append(&mut lane.written);
            self.finished.append(&mut lane.decided);
            self.finished.extend(lane.undecided);
        }
        self.under_way.retain(|_, journey| journey.queue != queue);
    }

    /// The journeys to which nothing more will be added, since the last call.
    pub fn drain(&mut self) -> impl Iterator<Item = Journey> {
        self.finished.drain(..)
    }

    /// All that is left, at the stream's end: finished or not.
    pub fn end(mut self) -> Vec<Journey> {
        let queues: Vec<QueueId> = self.lanes.keys().copied().collect();
        let under_way = std::mem::take(&mut self.under_way);
        queues.into_iter().for_each(|queue| self.settle(queue));
        self.finished.extend(under_way.into_values());
        self.finished
    }
}
