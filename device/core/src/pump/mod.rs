// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The one loop's body: takes requests, has them planned and executed, and
//! carries every plan out when it is due.
//!
//! A driver of this module (the daemon's loop, a test with a clock of its own)
//! calls [`Pump::kick`] when a queue has requests, [`Pump::handle`] with each
//! message of its inbox, and [`Pump::tick`] no later than
//! [`Pump::next_deadline`]. All three are handed the clock; none blocks, but
//! for the store's own work.

mod commands;
mod holding;
mod interrupts;
mod lane;
mod measured;
mod phases;
mod status;
mod storms;
mod turn;

use std::collections::BTreeSet;

use rand::seq::SliceRandom;
use serde::Serialize;
use serde_json::Value;

use crate::clock::Clock;
use crate::control::{Code, ConfigCounts, Refusal};
use crate::event::{EventSink, Floor, What};
use crate::filter::{Filter, Traits};
use crate::held::{Held, HeldRequest};
use crate::inbox::Message;
use crate::pattern::{Arrival, Draws, Pattern, Replay, Scripted};
use crate::plan::Plan;
use crate::queue::{BrokenQueue, ConfigLine, GuestBuffers, RequestQueue, Taken};
use crate::request::{Operation, Outcome, QueueId, Request, RequestId, Status};
use crate::scenario::{Fault, Interrupt, Order, Scenario, Script};
use crate::store::Store;
use crate::storm::Course;
use crate::timeline::Timeline;
use crate::units::Nanos;

use interrupts::Decision;
use lane::{InFlight, Lane};
use measured::Measured;
use phases::{Marks, Progress};
use turn::{Desk, Due, Moment};

/// Requests taken from a queue before what has come due has its turn.
const TAKEN_AT_ONCE: u32 = 32;

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
    /// Decisions to repeat in place of the scenario's.
    pub replay: Option<Replay>,
    /// The interrupt of the configuration, if the front-end has one.
    pub config_line: Option<Box<dyn ConfigLine>>,
    /// What the machine takes at least.
    pub floor: Floor,
}

/// Whether the driver of the pump goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It was told to stop; nothing is in flight any more.
    Stop,
}

/// The pump over queues of a front-end's kind.
pub struct Pump<Q: RequestQueue> {
    store: Box<dyn Store>,
    pattern: Scripted,
    replay: Option<Replay>,
    seed: u64,
    scenario: Scenario,
    scenario_name: String,
    progress: Progress,
    marks: Marks,
    lanes: Vec<Lane<Q>>,
    held: Held,
    /// What commands have held from now on.
    holds: Vec<Filter>,
    /// Whether a command has ended the scenario's own holding.
    unheld: bool,
    /// Queues with something to publish at the end of this tick.
    dirty: BTreeSet<QueueId>,
    /// The storms of what is in force.
    storms: Vec<Course>,
    /// The id of the storm set off last.
    last_storm: u64,
    /// Room for the places of the queues that a volley strikes.
    struck: Vec<usize>,
    config_line: Option<Box<dyn ConfigLine>>,
    config: ConfigCounts,
    guard_pauses: u64,
    storm_skipped: u64,
    last_request: RequestId,
    floor: Floor,
    desk: Desk,
}

fn reply<T: Serialize>(reply: T) -> Result<Value, Refusal> {
    serde_json::to_value(reply).map_err(|e| Refusal::new(Code::BadRequest, e.to_string()))
}

impl<Q: RequestQueue> Pump<Q> {
    /// A pump with no queue attached.
    pub fn new(
        config: PumpConfig,
        events: Box<dyn EventSink + Send>,
        clock: &dyn Clock,
    ) -> Pump<Q> {
        let moment = Moment::of(clock);
        let mut pump = Pump {
            store: config.store,
            pattern: Scripted::new(&Script::default(), None),
            replay: config.replay,
            seed: config.seed,
            scenario: Scenario::default(),
            scenario_name: String::new(),
            progress: Progress::default(),
            marks: Marks::default(),
            lanes: (0..config.queues)
                .map(|id| Lane::new(QueueId(id)))
                .collect(),
            held: Held::default(),
            holds: Vec::new(),
            unheld: false,
            dirty: BTreeSet::new(),
            storms: Vec::new(),
            last_storm: 0,
            struck: Vec::new(),
            config_line: config.config_line,
            config: ConfigCounts::default(),
            guard_pauses: 0,
            storm_skipped: 0,
            last_request: RequestId(0),
            floor: config.floor,
            desk: Desk {
                timeline: Timeline::default(),
                events,
                measured: Measured::new(),
            },
        };
        pump.desk.turn(moment).record(What::Floor(config.floor));
        pump.set_scenario(config.scenario, config.scenario_name, moment);
        pump
    }

    /// When [`Pump::tick`] has something to do at the earliest.
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.desk.timeline.next_due()
    }

    /// How many queues have a driver.
    pub fn attached(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.is_attached()).count()
    }

    /// Carries out one message. What becomes due by it is done by the next tick.
    pub fn handle(&mut self, message: Message<Q>, clock: &dyn Clock) -> Flow {
        let moment = Moment::of(clock);
        match message {
            Message::Attach {
                queue, requests, ..
            } => self.attach(queue, requests, moment),
            Message::Detach { queue, done } => {
                let drained = self.detach(queue, moment);
                // The other side may have given up waiting.
                let _ = done.send(drained);
            }
            Message::Disconnect { done } => {
                let abandoned = self.disconnect(moment);
                let _ = done.send(abandoned);
            }
            Message::Kick(queue) => self.kick(queue, clock),
            Message::Command { command, respond } => self.command(command, respond, moment),
            Message::Stop => {
                self.disconnect(moment);
                return Flow::Stop;
            }
        }
        Flow::Continue
    }

    /// Takes everything that is in a queue now. An unknown or stopped queue has
    /// nothing. What comes due on the way is not kept waiting: to execute a
    /// ring's worth of requests can take long.
    pub fn kick(&mut self, queue: QueueId, clock: &dyn Clock) {
        loop {
            let moment = Moment::of(clock);
            for _ in 0..TAKEN_AT_ONCE {
                if !self.take_one(queue, moment) {
                    return;
                }
            }
            self.tick(clock);
        }
    }

    /// Takes one request; `false` if there is none.
    fn take_one(&mut self, queue: QueueId, moment: Moment) -> bool {
        let Some(lane) = self.lane(queue) else {
            return false;
        };
        let next = match lane.is_full() {
            true => Err(BrokenQueue(
                "more requests in flight than a ring has entries".into(),
            )),
            false => match lane.requests() {
                Some(requests) => requests.next(),
                None => return false,
            },
        };
        match next {
            Ok(Some(taken)) => {
                self.arrive(queue, taken, moment);
                true
            }
            Ok(None) => false,
            Err(error) => {
                self.break_queue(queue, &error, moment);
                false
            }
        }
    }

    /// Carries out everything that is due.
    pub fn tick(&mut self, clock: &dyn Clock) {
        let moment = Moment::of(clock);
        while let Some((planned, due)) = self.desk.timeline.pop_due(moment.now) {
            self.carry_out_due(due, planned, moment);
        }
        self.flush_dirty(moment);
    }

    fn carry_out_due(&mut self, due: Due, planned: Nanos, moment: Moment) {
        match due {
            Due::Completion(queue, request) => self.due(queue, request, planned, moment),
            Due::Early(queue, request) => self.early(queue, request, planned, moment),
            Due::Back(queue, request) => self.come_back(queue, request, planned, moment),
            Due::Window(queue, window) => self.close_window(queue, window, planned, moment),
            Due::Burst(id) => self.burst(id, planned, moment),
            Due::Strike(id, left) => self.strike_on(id, left, planned, moment),
            Due::PhaseEnd(entered) => self.phase_time_is_over(entered, moment),
            Due::WaitEnd(id) => self.end_wait(id),
            Due::Decide(queue) | Due::Coalesced(queue) | Due::Rescue(queue, _) => {
                self.interrupt_due(queue, due, planned, moment);
            }
            Due::Duplicate(duplicates) => {
                self.interrupt_due(duplicates.queue, due, planned, moment);
            }
        }
    }

    /// A step of a queue's interrupts has come due.
    fn interrupt_due(&mut self, queue: QueueId, due: Due, planned: Nanos, moment: Moment) {
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

    fn lane(&mut self, queue: QueueId) -> Option<&mut Lane<Q>> {
        self.lanes.get_mut(usize::from(queue.0))
    }

    /// Plans and executes one request.
    fn arrive(&mut self, queue: QueueId, taken: Taken<Q::Token>, moment: Moment) {
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
            at: moment.clock.now(),
        };
        let plan = self.plan(&arrival);
        let failed = malformed.or(plan.fault.and_then(Fault::status));
        let outcome = match failed {
            Some(status) => Outcome::failed(status),
            None => self.execute(queue, &token, &request),
        };
        self.put_in_flight(&arrival, token, outcome, plan, moment);
        self.count_request(moment);
    }

    fn execute(&mut self, queue: QueueId, token: &Q::Token, request: &Request) -> Outcome {
        let store = &mut self.store;
        let run = |buffers: &dyn GuestBuffers| store.execute(request, buffers);
        match self.lanes[usize::from(queue.0)].requests() {
            Some(requests) => requests.with_buffers(token, run),
            None => Outcome::failed(Status::IoError),
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
        outcome: Outcome,
        plan: Plan,
        moment: Moment,
    ) {
        let &Arrival {
            request,
            nth,
            traits,
            at,
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
        let in_flight = InFlight {
            token,
            outcome,
            plan,
            traits,
            arrived: at,
            held,
        };
        lane.insert(request, in_flight);
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
        let Traits {
            operation,
            sector,
            bytes,
            ..
        } = traits;
        let what = What::Arrived {
            request,
            queue,
            nth,
            operation,
            sector,
            bytes,
            plan,
            due,
        };
        if self.desk.events.listens() {
            self.desk.turn(moment).record_at(at, what);
        }
    }

    fn schedule(&mut self, queue: QueueId, request: RequestId, due: Nanos, plan: &Plan) {
        let timeline = &mut self.desk.timeline;
        if let Interrupt::Early { by, .. } = plan.interrupt {
            timeline.insert(due - by, Due::Early(queue, request));
        }
        timeline.insert(due, Due::Completion(queue, request));
    }

    /// A planned completion has come due: it is held, gathered, or let go.
    fn due(&mut self, queue: QueueId, request: RequestId, planned: Nanos, moment: Moment) {
        if self.hold_if_asked(queue, request, moment) {
            return;
        }
        let order = self.phase().script.order;
        let Some(window) = order.window() else {
            return self.complete(queue, request, planned, false, moment);
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
    fn close_window(&mut self, queue: QueueId, window: u64, planned: Nanos, moment: Moment) {
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
                self.complete(queue, request, planned, false, moment);
            }
        }
    }

    /// The time has come for an interrupt whose completion is still to come.
    fn early(&mut self, queue: QueueId, request: RequestId, planned: Nanos, moment: Moment) {
        let Some(lane) = self.lanes.get_mut(usize::from(queue.0)) else {
            return;
        };
        if lane.get(request).is_some_and(|in_flight| !in_flight.held) {
            lane.signal_early(planned, &mut self.desk.turn(moment));
        }
    }

    /// Writes one completion; it is published when the tick or command ends.
    fn complete(
        &mut self,
        queue: QueueId,
        request: RequestId,
        planned: Nanos,
        owe_interrupt: bool,
        moment: Moment,
    ) {
        let Some(lane) = self.lanes.get_mut(usize::from(queue.0)) else {
            return;
        };
        let mut turn = self.desk.turn(moment);
        match lane.complete(request, planned, owe_interrupt, &mut turn) {
            Ok(()) if lane.is_dirty() => drop(self.dirty.insert(queue)),
            Ok(()) => {}
            Err(error) => self.break_queue(queue, &error, moment),
        }
    }

    /// Publishes what was completed, once a queue.
    fn flush_dirty(&mut self, moment: Moment) {
        while let Some(queue) = self.dirty.pop_first() {
            let Some(lane) = self.lanes.get_mut(usize::from(queue.0)) else {
                continue;
            };
            if let Err(error) = lane.flush(&mut self.desk.turn(moment)) {
                self.break_queue(queue, &error, moment);
            }
        }
    }

    fn attach(&mut self, queue: QueueId, requests: Q, moment: Moment) {
        let Some(lane) = self.lane(queue) else {
            return;
        };
        // A front-end detaches first; one that did not has new rings anyway.
        let stale = lane.abandon();
        lane.attach(requests);
        if stale > 0 {
            self.held.forget(queue);
        }
        self.desk.turn(moment).record(What::QueueStarted { queue });
        self.unpark_storms(moment.now);
        self.kick(queue, moment.clock);
    }

    /// Completes everything in flight on a queue and lets go of its rings.
    fn detach(&mut self, queue: QueueId, moment: Moment) -> u64 {
        let mut drained = 0;
        while let Some(request) = self.lane(queue).and_then(|lane| lane.oldest_in_flight()) {
            self.complete(queue, request, moment.now, false, moment);
            drained += 1;
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
        let _ = lane.decide(Decision::AsWanted, u32::MAX, moment.now, &mut turn);
        lane.abandon();
        self.held.forget(queue);
        let what = What::QueueStopped { queue, drained };
        self.desk.turn(moment).record(what);
        drained
    }

    /// Gives up everything on every queue.
    fn disconnect(&mut self, moment: Moment) -> u64 {
        let abandoned = self.lanes.iter_mut().map(Lane::abandon).sum();
        self.held.clear();
        self.dirty.clear();
        self.desk
            .turn(moment)
            .record(What::Disconnected { abandoned });
        abandoned
    }

    /// Stops a queue whose rings cannot be believed.
    fn break_queue(&mut self, queue: QueueId, error: &BrokenQueue, moment: Moment) {
        if let Some(lane) = self.lane(queue) {
            lane.abandon();
        }
        self.held.forget(queue);
        self.dirty.remove(&queue);
        let reason = error.0.clone();
        let what = What::QueueBroken { queue, reason };
        self.desk.turn(moment).record(what);
    }
}
