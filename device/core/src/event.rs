// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the device did, step by step: the one source of every histogram,
//! trace and report.
//!
//! Times are on the device's own clock, in nanoseconds since its start. A step
//! that was planned carries the planned time beside the actual one (`at`).

use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// A request was taken from its queue, executed and planned.
    Arrived {
        /// Its number.
        request: RequestId,
        /// Its queue.
        queue: QueueId,
        /// Its kind.
        operation: Operation,
        /// Where on the disk.
        sector: Sector,
        /// Data bytes.
        bytes: u64,
        /// When its completion is due, in ns; absent when it is held.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "optional_nanos"
        )]
        due: Option<Nanos>,
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
    },
    /// An interrupt was written for completions.
    Signalled {
        /// The queue.
        queue: QueueId,
        /// When it was due, in ns.
        #[serde(with = "nanos_number")]
        planned: Nanos,
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

/// Takes events; never blocks the caller.
pub trait EventSink {
    /// Takes one.
    fn record(&mut self, event: Event);

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

    #[test]
    fn events_come_back_from_their_lines() {
        let events = [
            What::Arrived {
                request: RequestId(1),
                queue: QueueId(0),
                operation: Operation::Write,
                sector: Sector(8),
                bytes: 4096,
                due: None,
            },
            What::Spurious {
                queue: QueueId(1),
                count: 4,
                planned: Nanos(5),
            },
            What::Disconnected { abandoned: 2 },
        ];
        for what in events {
            let event = Event { at: Nanos(9), what };
            let line = serde_json::to_string(&event).unwrap();
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
