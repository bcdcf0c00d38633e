// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The one loop's body: takes requests, has them planned and executed, and
//! carries every plan out when it is due.
//!
//! A driver of this module (the daemon's loop, a test with a clock of its own)
//! calls [`Pump::kick`] when a queue has requests, [`Pump::handle`] with each
//! message of its inbox, and [`Pump::tick`] no later than
//! [`Pump::next_deadline`], or when the fd of [`Pump::store_wakes`] is readable.
//! All three are handed the clock; none blocks, but for the store's own work.

mod arrivals;
mod commands;
mod completions;
mod failure;
mod holding;
mod interrupts;
mod lane;
mod measured;
mod phases;
mod queues;
mod status;
mod storing;
mod storms;
mod taking;
mod turn;

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::Value;

use crate::clock::Clock;
use crate::control::{Code, ConfigCounts, Refusal};
use crate::event::{EventSink, Floor, What};
use crate::filter::Filter;
use crate::held::Held;
use crate::inbox::Message;
use crate::pattern::{Replay, Scripted};
use crate::queue::{ConfigLine, FailureLine, RequestQueue};
use crate::request::{QueueId, RequestId};
use crate::scenario::{Scenario, Script};
use crate::store::Store;
use crate::storm::Course;
use crate::timeline::Timeline;
use crate::units::Nanos;

pub use failure::CANNOT_FAIL;
use lane::Lane;
use measured::Measured;
use phases::{Marks, Progress};
use turn::{Desk, Due, Moment};

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
    /// How the device says that it has failed, if the front-end can.
    pub failure_line: Option<Box<dyn FailureLine>>,
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
    dirty: Vec<QueueId>,
    /// Queues in which there may be more requests than had their turn.
    behind: VecDeque<QueueId>,
    /// The storms of what is in force.
    storms: Vec<Course>,
    /// The id of the storm set off last.
    last_storm: u64,
    /// Room for the places of the queues that a volley strikes.
    struck: Vec<usize>,
    config_line: Option<Box<dyn ConfigLine>>,
    failure_line: Option<Box<dyn FailureLine>>,
    config: ConfigCounts,
    guard_pauses: u64,
    storm_skipped: u64,
    last_request: RequestId,
    floor: Floor,
    desk: Desk,
}

/// What becomes of a command.
type Answer = Result<Value, Refusal>;

fn reply<T: Serialize>(reply: T) -> Answer {
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
        let mut store = config.store;
        store.begin();
        let mut pump = Pump {
            store,
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
            dirty: Vec::new(),
            behind: VecDeque::new(),
            storms: Vec::new(),
            last_storm: 0,
            struck: Vec::new(),
            config_line: config.config_line,
            failure_line: config.failure_line,
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
        if !self.dirty.is_empty() || !self.behind.is_empty() || self.store.has_unsent() {
            // Written, and visible with the next tick; or there to be taken, or
            // to be begun.
            return Some(Nanos::ZERO);
        }
        let others = [self.progress.end(), self.marks.next_end()];
        let all = others.into_iter().chain([self.desk.timeline.next_due()]);
        all.flatten().min()
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
            Message::Abort { queue, name, done } => {
                let aborted = self.abort(queue, name, moment);
                let _ = done.send(aborted.into());
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

    /// Carries out everything that is due, and takes what is left to be taken.
    pub fn tick(&mut self, clock: &dyn Clock) {
        self.do_due(clock);
        if !self.behind.is_empty() {
            self.catch_up(clock);
        }
    }

    /// Carries out everything that is due.
    fn do_due(&mut self, clock: &dyn Clock) {
        self.serve_store(clock);
        let moment = Moment::of(clock);
        self.end_phase(moment);
        self.end_waits(moment.now);
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
            Due::Decide(queue) | Due::Coalesced(queue) | Due::Rescue(queue, _) => {
                self.interrupt_due(queue, due, planned, moment);
            }
            Due::Duplicate(duplicates) => {
                self.interrupt_due(duplicates.queue, due, planned, moment);
            }
        }
    }

    fn lane(&mut self, queue: QueueId) -> Option<&mut Lane<Q>> {
        self.lanes.get_mut(usize::from(queue.0))
    }
}
