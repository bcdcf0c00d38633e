// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the device did, step by step: the one source of every histogram,
//! trace and report.
//!
//! Times are on the device's own clock, in nanoseconds since its start. A step
//! that was planned carries the planned time beside the actual one (`at`).

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::request::{Operation, QueueId, RequestId, Sector, Status};
use crate::units::Nanos;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in nanoseconds on the device's clock.
    #[serde(with = "nanos_number")]
    pub at: Nanos,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// The kinds of event.
///
/// A request's four steps are told apart: `completed` (ring write) is its own;
/// `published` is that of all its queue's completions since the last
/// `published`; `decided` and `signalled` are about all published and not yet
/// decided. [`crate::steps`] puts them together again, request by request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// What the machine itself takes, measured before the device serves: the
    /// floor below which no planned time can be kept.
    Floor(Floor),
    /// A request was taken from its queue and planned.
    Arrived {
        /// Its number.
        request: RequestId,
        /// Its queue.
        queue: QueueId,
        /// Its number on its queue under the scenario in force, from 0.
        nth: u64,
        /// Its kind.
        operation: Operation,
        /// Where on the disk.
        sector: Sector,
        /// Data bytes.
        bytes: u64,
        /// What was decided.
        plan: Plan,
        /// When its completion is due, in ns; absent when it is held.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "optional_nanos"
        )]
        due: Option<Nanos>,
    },
    /// A planned completion came due while completions are held: it waits now.
    Held {
        /// The request.
        request: RequestId,
        /// Its queue.
        queue: QueueId,
    },
    /// A completion was written into the ring.
    Completed {
        /// The request.
        request: RequestId,
        /// Its queue.
        queue: QueueId,
        /// How it ended.
        status: Status,
        /// When it was due, in ns.
        #[serde(with = "nanos_number")]
        planned: Nanos,
    },
    /// Completions were made visible.
    Published {
        /// The queue.
        queue: QueueId,
        /// How many at once.
        count: u32,
        /// When the last of them was due, in ns.
        #[serde(with = "nanos_number")]
        planned: Nanos,
    },
    /// It was decided whether to interrupt.
    Decided {
        /// The queue.
        queue: QueueId,
        /// Whether the driver wanted one.
        wanted: bool,
        /// About how many completions.
        count: u32,
        /// When that was due, in ns.
        #[serde(with = "nanos_number")]
        planned: Nanos,
    },
    /// An interrupt was written for completions.
    Signalled {
        /// The queue.
        queue: QueueId,
        /// Why this one.
        #[serde(default, skip_serializing_if = "Cause::is_usual")]
        cause: Cause,
        /// When it was due, in ns.
        #[serde(with = "nanos_number")]
        planned: Nanos,
    },
    /// An interrupt was decided and, as planned, not written.
    InterruptDropped {
        /// The queue.
        queue: QueueId,
    },
    /// Interrupts were written with no completion behind them.
    Spurious {
        /// The queue.
        queue: QueueId,
        /// How many back to back.
        count: u32,
        /// When they were due, in ns.
        #[serde(with = "nanos_number")]
        planned: Nanos,
    },
    /// One interrupt was written on each of several queues, as close together
    /// as could be.
    Volley {
        /// How many queues.
        queues: u32,
        /// From the first write to the last, in ns.
        #[serde(with = "nanos_number")]
        skew: Nanos,
        /// When they were due, in ns.
        #[serde(with = "nanos_number")]
        planned: Nanos,
    },
    /// The interrupt of the configuration was written.
    ConfigSignalled {
        /// How many.
        count: u32,
        /// Of these, how many could not be: nobody is connected, or takes them
        /// too slowly.
        refused: u32,
        /// When they were due, in ns.
        #[serde(with = "nanos_number")]
        planned: Nanos,
    },
    /// The guard paused a storm to keep the guest's interrupt alive.
    GuardPaused {
        /// The queue.
        queue: QueueId,
        /// Until when, in ns.
        #[serde(with = "nanos_number")]
        until: Nanos,
    },
    /// A command was carried out; its line as received, less the id.
    Commanded {
        /// The command as JSON.
        command: serde_json::Value,
    },
    /// A scenario is in force.
    ScenarioSet {
        /// Its name.
        scenario: String,
        /// The seed in use.
        seed: u64,
    },
    /// A phase has begun.
    PhaseEntered {
        /// Its place in the scenario, from 0.
        phase: usize,
        /// Its name.
        name: String,
        /// How often the phases have been gone through before.
        round: u64,
    },
    /// A mark was set.
    Marked {
        /// Its name.
        mark: String,
        /// How often it has been by now.
        count: u64,
    },
    /// A queue was set up by the driver.
    QueueStarted {
        /// The queue.
        queue: QueueId,
    },
    /// A queue was stopped by the driver; what it had in flight was completed.
    QueueStopped {
        /// The queue.
        queue: QueueId,
        /// How many were completed on the way.
        drained: u64,
    },
    /// A queue's rings cannot be believed; it is stopped until it is set up anew.
    QueueBroken {
        /// The queue.
        queue: QueueId,
        /// What was found.
        reason: String,
    },
    /// The connection went; what was in flight was given up.
    Disconnected {
        /// How many were given up.
        abandoned: u64,
    },
    /// Events were lost here because nobody took them fast enough.
    Dropped {
        /// How many.
        events: u64,
    },
}

impl What {
    /// Its name, as in its line.
    pub fn name(&self) -> &'static str {
        match self {
            What::Floor(_) => "floor",
            What::Arrived { .. } => "arrived",
            What::Held { .. } => "held",
            What::Completed { .. } => "completed",
            What::Published { .. } => "published",
            What::Decided { .. } => "decided",
            What::Signalled { .. } => "signalled",
            What::InterruptDropped { .. } => "interrupt-dropped",
            What::Spurious { .. } => "spurious",
            What::Volley { .. } => "volley",
            What::ConfigSignalled { .. } => "config-signalled",
            What::GuardPaused { .. } => "guard-paused",
            What::Commanded { .. } => "commanded",
            What::ScenarioSet { .. } => "scenario-set",
            What::PhaseEntered { .. } => "phase-entered",
            What::Marked { .. } => "marked",
            What::QueueStarted { .. } => "queue-started",
            What::QueueStopped { .. } => "queue-stopped",
            What::QueueBroken { .. } => "queue-broken",
            What::Disconnected { .. } => "disconnected",
            What::Dropped { .. } => "dropped",
        }
    }

    /// Every name that there is.
    pub const NAMES: [&'static str; 21] = [
        "floor",
        "arrived",
        "held",
        "completed",
        "published",
        "decided",
        "signalled",
        "interrupt-dropped",
        "spurious",
        "volley",
        "config-signalled",
        "guard-paused",
        "commanded",
        "scenario-set",
        "phase-entered",
        "marked",
        "queue-started",
        "queue-stopped",
        "queue-broken",
        "disconnected",
        "dropped",
    ];
}

/// What the machine takes to do what is asked of it, with nothing else to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// Half of all timer wake-ups came no later than this after their time.
    pub wakeup_p50: Nanos,
    /// Of 100 wake-ups 99 did.
    pub wakeup_p99: Nanos,
    /// Half of all eventfd writes took no longer.
    pub write_p50: Nanos,
}

/// Why an interrupt was written for completions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// They had become visible, and it was decided.
    #[default]
    Completion,
    /// One of them will become visible.
    Early,
    /// None had come for too long.
    Rescue,
    /// Once more: nothing more is behind it.
    Duplicate,
}

impl Cause {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_usual(&self) -> bool {
        *self == Cause::Completion
    }
}

/// Takes events; never blocks the caller.
pub trait EventSink {
    /// Takes one.
    fn record(&mut self, event: Event);

    /// Whether anyone takes them: else none need be made.
    fn listens(&self) -> bool {
        true
    }

    /// Events that could not be kept so far.
    fn dropped(&self) -> u64 {
        0
    }
}

/// Keeps every event: for tests.
impl EventSink for Vec<Event> {
    fn record(&mut self, event: Event) {
        self.push(event);
    }
}

mod nanos_number {
    use super::Nanos;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Nanos, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(value.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Nanos, D::Error> {
        u64::deserialize(input).map(Nanos)
    }
}

mod optional_nanos {
    use super::Nanos;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Nanos>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(nanos) => out.serialize_u64(nanos.0),
            None => out.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Option<Nanos>, D::Error> {
        Ok(Option::<u64>::deserialize(input)?.map(Nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Vec<What> {
        let (request, queue, planned) = (RequestId(1), QueueId(2), Nanos(5));
        vec![
            What::Floor(Floor::default()),
            What::Arrived {
                request,
                queue,
                nth: 0,
                operation: Operation::Write,
                sector: Sector(8),
                bytes: 4096,
                plan: Plan {
                    rule: Some(1),
                    latency: Nanos(80_000),
                    hold: true,
                    ..Plan::default()
                },
                due: None,
            },
            What::Held { request, queue },
            What::Completed {
                request,
                queue,
                status: Status::Ok,
                planned,
            },
            What::Published {
                queue,
                count: 3,
                planned,
            },
            What::Decided {
                queue,
                wanted: true,
                count: 3,
                planned,
            },
            What::Signalled {
                queue,
                cause: Cause::Early,
                planned,
            },
            What::InterruptDropped { queue },
            What::Spurious {
                queue,
                count: 4,
                planned,
            },
            What::Volley {
                queues: 4,
                skew: Nanos(900),
                planned,
            },
            What::ConfigSignalled {
                count: 2,
                refused: 1,
                planned,
            },
            What::GuardPaused {
                queue,
                until: Nanos(7),
            },
            What::Commanded {
                command: serde_json::json!({"cmd": "hold"}),
            },
            What::ScenarioSet {
                scenario: "x".into(),
                seed: 1,
            },
            What::PhaseEntered {
                phase: 1,
                name: "calm".into(),
                round: 0,
            },
            What::Marked {
                mark: "go".into(),
                count: 2,
            },
            What::QueueStarted { queue },
            What::QueueStopped { queue, drained: 0 },
            What::QueueBroken {
                queue,
                reason: "x".into(),
            },
            What::Disconnected { abandoned: 2 },
            What::Dropped { events: 9 },
        ]
    }

    #[test]
    fn events_come_back_from_their_lines_under_their_names() {
        for (what, name) in one_of_each().into_iter().zip(What::NAMES) {
            assert_eq!(what.name(), name);
            let event = Event { at: Nanos(9), what };
            let line = serde_json::to_string(&event).unwrap();
            assert!(line.contains(&format!(r#""event":"{name}""#)), "{line}");
            assert_eq!(
                serde_json::from_str::<Event>(&line).unwrap(),
                event,
                "{line}"
            );
        }
    }

    #[test]
    fn times_are_plain_nanoseconds() {
        let event = Event {
            at: Nanos(1_500),
            what: What::Disconnected { abandoned: 0 },
        };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(line, r#"{"at":1500,"event":"disconnected","abandoned":0}"#);
    }
}
