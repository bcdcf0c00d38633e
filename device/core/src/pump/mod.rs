// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The one loop's body: takes requests, has them executed and planned, and
//! carries every plan out when it is due.
//!
//! A driver of this module (the daemon's loop, a test with a fake clock) calls
//! [`Pump::kick`] when a queue has requests, [`Pump::handle`] with each message
//! of its inbox, and [`Pump::tick`] no later than [`Pump::next_deadline`]. All
//! three take the present time; none blocks, but for the store's own work.

mod commands;
mod lane;
mod storms;

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::event::{Event, EventSink, What};
use crate::held::Held;
use crate::inbox::Message;
use crate::pattern::{Arrival, Pattern, Scripted};
use crate::plan::{Plan, When};
use crate::queue::{BrokenQueue, GuestBuffers, RequestQueue, Taken};
use crate::request::{Operation, Outcome, QueueId, Request, RequestId};
use crate::scenario::Scenario;
use crate::store::Store;
use crate::storm::Course;
use crate::timeline::Timeline;
use crate::units::Nanos;

use lane::{InFlight, Lane};

/// What a pump starts with.
pub struct PumpConfig {
    /// Where the data is.
    pub store: Box<dyn Store>,
    /// The script.
    pub scenario: Scenario,
    /// What to call it in events.
    pub scenario_name: String,
    /// The seed, used unless the scenario brings its own.
    pub seed: u64,
    /// How many queues there are.
    pub queues: u16,
}

/// Whether the driver of the pump goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It was told to stop; nothing is in flight any more.
    Stop,
}

/// What can be due.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// A completion is to be written and published.
    Completion(QueueId, RequestId),
    /// A coalesced interrupt is to be decided.
    Interrupt(QueueId),
    /// A storm of the scenario set by the numbered change has a burst.
    Burst { change: u64, storm: usize },
}

/// The pump over queues of a front-end's kind.
pub struct Pump<Q: RequestQueue> {
    store: Box<dyn Store>,
    pattern: Box<dyn Pattern>,
    rng: ChaCha8Rng,
    seed: u64,
    scenario: Scenario,
    scenario_name: String,
    holding: bool,
    lanes: Vec<Lane<Q>>,
    held: Held,
    timeline: Timeline<Due>,
    /// Queues with something to publish at the end of this tick.
    dirty: BTreeSet<QueueId>,
    /// The storms that run.
    storms: Vec<Course>,
    /// Numbers scenario and storm changes, so that bursts put on the timeline
    /// before one are known as stale.
    change: u64,
    guard_pauses: u64,
    storm_skipped: u64,
    last_request: RequestId,
    events: Box<dyn EventSink + Send>,
}

impl<Q: RequestQueue> Pump<Q> {
    /// A pump with no queue attached.
    pub fn new(config: PumpConfig, events: Box<dyn EventSink + Send>, now: Nanos) -> Pump<Q> {
        let mut pump = Pump {
            store: config.store,
            pattern: Box::new(Scripted::new(&config.scenario)),
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            seed: config.seed,
            scenario: Scenario::default(),
            scenario_name: String::new(),
            holding: false,
            lanes: (0..config.queues)
                .map(|id| Lane::new(QueueId(id)))
                .collect(),
            held: Held::default(),
            timeline: Timeline::default(),
            dirty: BTreeSet::new(),
            storms: Vec::new(),
            change: 0,
            guard_pauses: 0,
            storm_skipped: 0,
            last_request: RequestId(0),
            events,
        };
        pump.set_scenario(config.scenario, config.scenario_name, now);
        pump
    }

    /// When [`Pump::tick`] has something to do at the earliest.
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.timeline.next_due()
    }

    /// Carries out one message. What becomes due by it is done by the next tick.
    pub fn handle(&mut self, message: Message<Q>, now: Nanos) -> Flow {
        match message {
            Message::Attach {
                queue, requests, ..
            } => self.attach(queue, requests, now),
            Message::Detach { queue, done } => {
                let drained = self.detach(queue, now);
                // The other side may have given up waiting.
                let _ = done.send(drained);
            }
            Message::Disconnect { done } => {
                let abandoned = self.disconnect(now);
                let _ = done.send(abandoned);
            }
            Message::Kick(queue) => self.kick(queue, now),
            Message::Command { command, respond } => respond(self.command(command, now)),
            Message::Stop => {
                self.disconnect(now);
                return Flow::Stop;
            }
        }
        Flow::Continue
    }

    /// Takes everything that is in a queue now. An unknown or stopped queue has
    /// nothing.
    pub fn kick(&mut self, queue: QueueId, now: Nanos) {
        loop {
            let Some(lane) = self.lane(queue) else {
                return;
            };
            if lane.is_full() {
                let error = BrokenQueue("more requests in flight than a ring has entries".into());
                return self.break_queue(queue, &error, now);
            }
            let Some(requests) = lane.requests() else {
                return;
            };
            match requests.next() {
                Ok(Some(taken)) => self.arrive(queue, taken, now),
                Ok(None) => return,
                Err(error) => return self.break_queue(queue, &error, now),
            }
        }
    }

    /// Carries out everything that is due.
    pub fn tick(&mut self, now: Nanos) {
        while let Some((planned, due)) = self.timeline.pop_due(now) {
            match due {
                Due::Completion(queue, request) => self.due(queue, request, planned, now),
                Due::Interrupt(queue) => self.decide_coalesced(queue, planned, now),
                Due::Burst { change, storm } if change == self.change => {
                    self.burst(storm, planned, now);
                }
                Due::Burst { .. } => {}
            }
        }
        self.flush_dirty(now);
    }

    fn lane(&mut self, queue: QueueId) -> Option<&mut Lane<Q>> {
        self.lanes.get_mut(usize::from(queue.0))
    }

    fn record(&mut self, at: Nanos, what: What) {
        self.events.record(Event { at, what });
    }

    /// Executes and plans one request.
    fn arrive(&mut self, queue: QueueId, taken: Taken<Q::Token>, now: Nanos) {
        let Taken { token, request } = taken;
        let (request, outcome) = match request {
            Ok(request) => {
                let outcome = self.execute(queue, &token, &request);
                (request, outcome)
            }
            Err(status) => (Request::bare(Operation::Malformed), Outcome::failed(status)),
        };
        self.last_request.0 += 1;
        let arrival = Arrival {
            request: self.last_request,
            queue,
            operation: request.operation,
            sector: request.start(),
            bytes: request.bytes(),
            at: now,
        };
        let plan = self.plan(&arrival);
        self.put_in_flight(&arrival, token, outcome, plan);
    }

    fn execute(&mut self, queue: QueueId, token: &Q::Token, request: &Request) -> Outcome {
        let store = &mut self.store;
        let run = |buffers: &dyn GuestBuffers| store.execute(request, buffers);
        match self.lanes[usize::from(queue.0)].requests() {
            Some(requests) => requests.with_buffers(token, run),
            None => Outcome::failed(crate::request::Status::IoError),
        }
    }

    fn plan(&mut self, arrival: &Arrival) -> Plan {
        let mut plan = self.pattern.plan(arrival, &mut self.rng);
        // Decided even when held, so that holding for a while does not change
        // what is decided afterwards.
        if self.holding {
            plan.publish = When::Released;
        }
        plan
    }

    fn put_in_flight(&mut self, arrival: &Arrival, token: Q::Token, outcome: Outcome, plan: Plan) {
        let due = match plan.publish {
            When::At(due) => Some(due),
            When::Released => None,
        };
        let in_flight = InFlight {
            token,
            outcome,
            plan,
            operation: arrival.operation,
            sector: arrival.sector,
            bytes: arrival.bytes,
            arrived: arrival.at,
            held: due.is_none(),
        };
        let (queue, request) = (arrival.queue, arrival.request);
        if let Some(lane) = self.lane(queue) {
            lane.insert(request, in_flight);
        }
        match due {
            Some(due) => self.timeline.insert(due, Due::Completion(queue, request)),
            None => self.held.insert(request, queue),
        }
        self.record(
            arrival.at,
            What::Arrived {
                request,
                queue,
                operation: arrival.operation,
                sector: arrival.sector,
                bytes: arrival.bytes,
                due,
            },
        );
    }

    /// A planned completion has come due: it is let go, or held if everything is.
    fn due(&mut self, queue: QueueId, request: RequestId, planned: Nanos, now: Nanos) {
        if !self.holding {
            return self.complete(queue, request, planned, false, now);
        }
        if self.lane(queue).is_some_and(|lane| lane.hold(request)) {
            self.held.insert(request, queue);
        }
    }

    /// Writes one completion; it is published when the tick or command ends.
    fn complete(
        &mut self,
        queue: QueueId,
        request: RequestId,
        planned: Nanos,
        owe_interrupt: bool,
        now: Nanos,
    ) {
        let Some(lane) = self.lanes.get_mut(usize::from(queue.0)) else {
            return;
        };
        let events = self.events.as_mut();
        match lane.complete(request, planned, owe_interrupt, now, events) {
            Ok(coalesce_until) => {
                if lane.is_dirty() {
                    self.dirty.insert(queue);
                }
                if let Some(until) = coalesce_until {
                    self.timeline.insert(until, Due::Interrupt(queue));
                }
            }
            Err(error) => self.break_queue(queue, &error, now),
        }
    }

    /// Publishes what was completed, once a queue.
    fn flush_dirty(&mut self, now: Nanos) {
        while let Some(queue) = self.dirty.pop_first() {
            let Some(lane) = self.lanes.get_mut(usize::from(queue.0)) else {
                continue;
            };
            if let Err(error) = lane.flush(now, self.events.as_mut()) {
                self.break_queue(queue, &error, now);
            }
        }
    }

    /// The time of a coalesced interrupt has come, unless its count came first.
    fn decide_coalesced(&mut self, queue: QueueId, planned: Nanos, now: Nanos) {
        let Some(lane) = self.lanes.get_mut(usize::from(queue.0)) else {
            return;
        };
        if lane.coalesce_until() != Some(planned) {
            return;
        }
        if let Err(error) = lane.decide(planned, false, now, self.events.as_mut()) {
            self.break_queue(queue, &error, now);
        }
    }

    fn attach(&mut self, queue: QueueId, requests: Q, now: Nanos) {
        let Some(lane) = self.lane(queue) else {
            return;
        };
        // A front-end detaches first; one that did not has new rings anyway.
        let stale = lane.abandon();
        lane.attach(requests);
        if stale > 0 {
            self.forget_held(queue);
        }
        self.record(now, What::QueueStarted { queue });
        self.unpark_storms(now);
        self.kick(queue, now);
    }

    /// Completes everything in flight on a queue and lets go of its rings.
    fn detach(&mut self, queue: QueueId, now: Nanos) -> u64 {
        let mut drained = 0;
        while let Some(request) = self.lane(queue).and_then(|lane| lane.oldest_in_flight()) {
            self.complete(queue, request, now, false, now);
            drained += 1;
        }
        self.flush_dirty(now);
        let Some(lane) = self.lanes.get_mut(usize::from(queue.0)) else {
            return 0;
        };
        if !lane.is_attached() {
            return drained;
        }
        // What was left to a coalesced or an owed interrupt is decided now;
        // a broken queue has nothing more to lose.
        let _ = lane.decide(now, false, now, self.events.as_mut());
        lane.abandon();
        self.forget_held(queue);
        self.record(now, What::QueueStopped { queue, drained });
        drained
    }

    /// Gives up everything on every queue.
    fn disconnect(&mut self, now: Nanos) -> u64 {
        let abandoned = self.lanes.iter_mut().map(Lane::abandon).sum();
        self.held.clear();
        self.dirty.clear();
        self.record(now, What::Disconnected { abandoned });
        abandoned
    }

    /// Stops a queue whose rings cannot be believed.
    fn break_queue(&mut self, queue: QueueId, error: &BrokenQueue, now: Nanos) {
        if let Some(lane) = self.lane(queue) {
            lane.abandon();
        }
        self.forget_held(queue);
        self.dirty.remove(&queue);
        let reason = error.0.clone();
        self.record(now, What::QueueBroken { queue, reason });
    }

    /// Drops held entries whose requests are no longer in flight.
    fn forget_held(&mut self, queue: QueueId) {
        let stale: Vec<RequestId> = self
            .held
            .iter()
            .filter(|&(_, on)| on == queue)
            .map(|(request, _)| request)
            .collect();
        for request in stale {
            self.held.remove(request);
        }
    }

    fn set_scenario(&mut self, scenario: Scenario, name: String, now: Nanos) {
        if let Some(seed) = scenario.seed {
            self.seed = seed;
        }
        self.rng = ChaCha8Rng::seed_from_u64(self.seed);
        self.pattern = Box::new(Scripted::new(&scenario));
        self.holding = scenario.hold;
        self.scenario = scenario;
        self.scenario_name = name;
        let (scenario, seed) = (self.scenario_name.clone(), self.seed);
        self.record(now, What::ScenarioSet { scenario, seed });
        self.start_storms(|storm| storm.active, now);
    }
}

/// The id of the queue at an index of the lanes, of which there are at most
/// 65,536.
fn queue_id(index: usize) -> QueueId {
    QueueId(u16::try_from(index).unwrap_or(u16::MAX))
}
