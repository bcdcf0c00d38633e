// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the device says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{COMMANDS, PROTOCOL};
use crate::counters::Counters;
use crate::event::Floor;
use crate::request::{Operation, QueueId, RequestId, Sector};
use crate::units::Nanos;

/// The first line from the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The protocol's version, [`PROTOCOL`].
    pub irqstorm: u32,
    /// The device's own version.
    pub version: String,
    /// What may be asked, [`COMMANDS`].
    pub commands: Vec<String>,
}

impl Greeting {
    /// The greeting of a device of this version of the crate.
    pub fn new() -> Greeting {
        Greeting {
            irqstorm: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commands: COMMANDS.map(str::to_owned).to_vec(),
        }
    }
}

impl Default for Greeting {
    fn default() -> Greeting {
        Greeting::new()
    }
}

/// Answer to [`Command::Status`](super::Command::Status).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusReply {
    /// The device's clock: since its start.
    pub at: Nanos,
    /// The scenario's name.
    pub scenario: String,
    /// The seed in use.
    pub seed: u64,
    /// The phase.
    pub phase: PhaseReply,
    /// Whether completions are held, all or some.
    pub holding: bool,
    /// Whether any storm runs.
    pub storming: bool,
    /// Whether a guest's driver is connected.
    pub connected: bool,
    /// Sums over all queues.
    pub total: Counters,
    /// Per queue, up to the last one that has done anything.
    pub queues: Vec<Counters>,
    /// Per queue, alike: how many completions became visible after which time
    /// from their arrival; bucket n counts those of 2^n up to 2^(n+1)
    /// nanoseconds, up to the last one that counts any.
    pub latencies: Vec<Vec<u64>>,
    /// Sums of those times, in nanoseconds, per queue.
    pub latency_sums: Vec<u64>,
    /// Interrupts of the configuration.
    pub config: ConfigCounts,
    /// How late completions became visible and interrupts were written, after
    /// their planned times.
    pub precision: Precision,
    /// Marks, and how often each was set.
    pub marks: BTreeMap<String, u64>,
    /// Of a device that replays a recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayStatus>,
    /// Events that could not be written and were dropped.
    pub events_dropped: u64,
    /// Pauses that the guard put into storms.
    pub guard_pauses: u64,
    /// Instants of storms that were let go because the device was late.
    pub storm_skipped: u64,
}

/// Interrupts of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigCounts {
    /// Written.
    pub signalled: u64,
    /// That could not be written.
    pub refused: u64,
}

/// How much of a recording has been used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayStatus {
    /// Requests that got their recorded decision.
    pub repeated: u64,
    /// Requests that were not recorded: the scenario decided.
    pub unrecorded: u64,
}

/// The errors of planned times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Precision {
    /// What the machine takes with nothing else to do.
    pub floor: Floor,
    /// From when a completion was to become visible until it was.
    pub published: Quantiles,
    /// From when an interrupt was to be written until it was.
    pub signalled: Quantiles,
}

/// A distribution of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    /// Half are at most this.
    pub p50: Nanos,
    /// Of 100, 99 are.
    pub p99: Nanos,
    /// Of 1000, 999 are.
    pub p999: Nanos,
    /// All are.
    pub max: Nanos,
}

/// Answer to [`Command::Hold`](super::Command::Hold).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReply {
    /// Whether completions, all or some, are held from now on.
    pub holding: bool,
}

/// One held request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldEntry {
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
    /// Time since its arrival.
    pub age: Nanos,
}

/// Answer to [`Command::List`](super::Command::List).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReply {
    /// How many are held in all.
    pub total: u64,
    /// Those that were asked for, up to the limit.
    pub held: Vec<HeldEntry>,
}

/// Answer to [`Command::Release`](super::Command::Release).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseReply {
    /// How many completions, or with `part` `interrupt` how many completions'
    /// interrupts, were let go.
    pub released: u64,
}

/// Answer to [`Command::Fire`](super::Command::Fire).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FireReply {
    /// Interrupts written, over all queues.
    pub fired: u64,
    /// Interrupts that were not: the guard withheld them to keep the guest's
    /// line alive, or the configuration's could not be written.
    pub withheld: u64,
}

/// Answer to [`Command::Volley`](super::Command::Volley).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolleyReply {
    /// On how many queues an interrupt was written.
    pub queues: u32,
    /// On how many the guard withheld it.
    pub withheld: u32,
    /// From the first write to the last.
    pub skew: Nanos,
}

/// Answer to [`Command::Fail`](super::Command::Fail).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailReply {
    /// How many queues were stopped.
    pub queues: u32,
    /// How many requests were in flight on them, and are given up.
    pub requests: u64,
}

/// Answer to [`Command::Storm`](super::Command::Storm).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StormReply {
    /// How many storms were started or stopped.
    pub storms: usize,
    /// Whether they run from now on.
    pub storming: bool,
}

/// Answer to [`Command::Scenario`](super::Command::Scenario).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioReply {
    /// The scenario's name.
    pub scenario: String,
    /// The seed in use from now on.
    pub seed: u64,
}

/// Answer to [`Command::Set`](super::Command::Set) and
/// [`Command::Get`](super::Command::Get).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnobReply {
    /// The path; empty for the whole scenario.
    pub knob: String,
    /// What is there now; the whole scenario as TOML.
    pub value: serde_json::Value,
    /// What was there before, if anything was and this has set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
}

/// Answer to [`Command::Phase`](super::Command::Phase), and part of a status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseReply {
    /// The phase's place in the scenario, from 0.
    pub index: usize,
    /// How many there are.
    pub of: usize,
    /// Its name; empty for a scenario without phases.
    pub name: String,
    /// What ends it.
    pub until: String,
    /// How often the phases have been gone through before.
    pub round: u64,
    /// Time since it began.
    pub elapsed: Nanos,
    /// Requests since it began.
    pub requests: u64,
}

/// Answer to [`Command::Mark`](super::Command::Mark) and
/// [`Command::Wait`](super::Command::Wait).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkReply {
    /// The mark.
    pub mark: String,
    /// How often it has been set by now.
    pub count: u64,
}

/// Answer to [`Command::Subscribe`](super::Command::Subscribe).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscribeReply {
    /// The events that are sent from now on; none after an empty list.
    pub events: Vec<String>,
}

/// Answer to [`Command::Metrics`](super::Command::Metrics).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsReply {
    /// All counters as OpenMetrics text.
    pub text: String,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text} ({code:?})")]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people.
    pub text: String,
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Not a command, or with values that cannot be.
    BadRequest,
    /// A scenario that cannot be used.
    BadScenario,
    /// No such queue, held request, storm, phase or knob.
    NotFound,
    /// What was waited for did not come in time.
    TimedOut,
    /// There is no room for one more of these.
    Busy,
    /// This client may not steer the device.
    Forbidden,
    /// The device is on its way out.
    Stopping,
}

impl Refusal {
    /// A refusal with a text.
    pub fn new(code: Code, text: impl Into<String>) -> Refusal {
        Refusal {
            code,
            text: text.into(),
        }
    }
}
