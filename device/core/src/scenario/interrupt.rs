// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The interrupt's own timeline: when and how often it follows, or precedes,
//! the completion that it is for.

use serde::{Deserialize, Serialize};

use super::BadValue;
use crate::latency::MAX_LATENCY;
use crate::units::Nanos;

/// The most duplicates of one interrupt.
pub const MAX_DUPLICATES: u32 = 4096;

/// How the interrupt for a completion is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Interrupt {
    /// When the driver asks for one (virtio: EVENT_IDX or the ring's flag),
    /// once for all that is published together.
    #[default]
    WhenWanted,
    /// So, and no other before the driver has read what the last one told it
    /// of: what comes meanwhile it is about to find, or is told of then. As
    /// when wanted where the front-end cannot know how far the driver has read
    /// (virtio, whose drivers have EVENT_IDX to say so).
    WhenRead,
    /// One for every completion, each published alone, wanted or not.
    PerCompletion,
    /// One for so many completions or after so much time, whichever is first,
    /// if the driver wants it. With `count` alone a driver that has fewer in
    /// flight waits until another interrupt comes.
    Coalesced {
        /// Completions to one interrupt, at least 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u32>,
        /// The longest that a published completion waits for its interrupt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<Nanos>,
    },
    /// So long before the completion is visible, and none with it: the handler
    /// finds nothing.
    Early {
        /// How long before.
        by: Nanos,
        /// If no other interrupt of the queue came this long after the
        /// completion became visible, one more is written.
        #[serde(default = "short_rescue")]
        rescue: Nanos,
    },
    /// Decided so long after the completion is visible.
    Late {
        /// How long after.
        by: Nanos,
    },
    /// Decided and not written.
    Dropped {
        /// If no other interrupt of the queue came this long after the
        /// completion became visible, it is written after all.
        #[serde(default = "long_rescue")]
        rescue: Nanos,
    },
    /// Written when wanted, and then again although nothing is behind it.
    Duplicated {
        /// How often again, 1 to [`MAX_DUPLICATES`].
        count: u32,
        /// From one to the next.
        #[serde(default)]
        gap: Nanos,
    },
    /// Not even decided: something else has to tell the driver.
    Never {
        /// What.
        recovered_by: Recovery,
    },
}

/// What has a driver find its completions without an interrupt for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recovery {
    /// A storm of the scenario: any interrupt of a queue has its driver look.
    Storm,
    /// The driver itself, which looks without being told (io_poll).
    Polling,
    /// `fire`, or a release of the interrupt, by whoever controls the device.
    Control,
}

fn short_rescue() -> Nanos {
    Nanos::from_millis(10)
}

fn long_rescue() -> Nanos {
    Nanos::from_millis(1_000)
}

const A_TIME: &str = "above 0 and at most 600s";

impl Interrupt {
    /// Refuses values that no device can follow; `key` is where it stands.
    pub(super) fn check(&self, key: &str) -> Result<(), BadValue> {
        let span = |name: &str, value: Nanos| match value {
            Nanos::ZERO => Err(BadValue::at(key, name, value, A_TIME)),
            value if value > MAX_LATENCY => Err(BadValue::at(key, name, value, A_TIME)),
            _ => Ok(()),
        };
        match *self {
            Interrupt::WhenWanted
            | Interrupt::WhenRead
            | Interrupt::PerCompletion
            | Interrupt::Never { .. } => Ok(()),
            Interrupt::Coalesced { count: Some(0), .. } => {
                Err(BadValue::at(key, "coalesced.count", 0, "at least 1"))
            }
            Interrupt::Coalesced {
                count: None,
                time: None,
            } => Err(BadValue::at(key, "coalesced", "{}", "count, time, or both")),
            Interrupt::Coalesced { time, .. } => {
                time.map_or(Ok(()), |time| span("coalesced.time", time))
            }
            Interrupt::Early { by, rescue } => {
                span("early.by", by)?;
                span("early.rescue", rescue)
            }
            Interrupt::Late { by } => span("late.by", by),
            Interrupt::Dropped { rescue } => span("dropped.rescue", rescue),
            Interrupt::Duplicated { count, gap } => {
                if count == 0 || count > MAX_DUPLICATES {
                    let allowed = format!("1 to {MAX_DUPLICATES}");
                    return Err(BadValue::at(key, "duplicated.count", count, allowed));
                }
                match gap > MAX_LATENCY {
                    true => Err(BadValue::at(key, "duplicated.gap", gap, "at most 600s")),
                    false => Ok(()),
                }
            }
        }
    }
}
