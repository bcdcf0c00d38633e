// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Interrupts tied to no completion.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::BadValue;
use crate::filter::Choice;
use crate::latency::MAX_LATENCY;
use crate::request::QueueId;
use crate::units::{self, Fraction, Nanos, Rate};

/// The most queues that a device has.
pub const MAX_QUEUES: u16 = 256;

/// The most interrupts of one burst of a storm.
pub const MAX_BURST: u32 = 4096;

/// One storm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    /// What `storm start NAME` and events call it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The queues whose interrupt is raised; all of them when absent.
    #[serde(default, skip_serializing_if = "Choice::is_any")]
    pub queues: Choice<QueueId>,
    /// The interrupt of the configuration instead of a queue's.
    #[serde(default, skip_serializing_if = "is_not")]
    pub config: bool,
    /// Interrupts a second on each queue, while the storm is on.
    pub rate: StormRate,
    /// Interrupts at each of its instants; the instants are that much rarer,
    /// so that `rate` holds.
    #[serde(default = "one")]
    pub burst: u32,
    /// Between two interrupts of a burst; without one they are back to back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gap: Nanos,
    /// The share of each `period` in which the storm is on.
    #[serde(default = "whole")]
    pub duty: Fraction,
    /// The cycle that `duty` is a share of.
    #[serde(default = "second")]
    pub period: Nanos,
    /// Each of its instants is one interrupt on every queue, as close together
    /// as can be.
    #[serde(default, skip_serializing_if = "is_not")]
    pub volley: bool,
    /// Whether it is on as soon as the scenario is; else `storm start` does it.
    #[serde(default = "yes")]
    pub active: bool,
    /// Leaves the guard off: the guest's kernel may then disable the
    /// interrupt for good ("nobody cared", kernel/irq/spurious.c).
    #[serde(default, skip_serializing_if = "is_not")]
    pub cross_kill_line: bool,
}

/// How often a storm strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StormRate {
    /// So many interrupts a second on each queue.
    Every(Rate),
    /// As many as can be written, without end: hostile.
    Max,
}

impl FromStr for StormRate {
    type Err = units::UnitError;
    fn from_str(text: &str) -> Result<StormRate, units::UnitError> {
        match text.trim() {
            "max" => Ok(StormRate::Max),
            text => text.parse().map(StormRate::Every),
        }
    }
}

impl fmt::Display for StormRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StormRate::Every(rate) => rate.fmt(f),
            StormRate::Max => f.write_str("max"),
        }
    }
}

units::as_text!(
    StormRate,
    "a quoted number with its unit, as in \"5kHz\", or \"max\""
);

fn one() -> u32 {
    1
}

fn whole() -> Fraction {
    Fraction::WHOLE
}

fn second() -> Nanos {
    Nanos::from_millis(1_000)
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_not(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(time: &Nanos) -> bool {
    *time == Nanos::ZERO
}

impl Storm {
    /// From one of its instants to the next.
    pub fn interval(&self) -> Nanos {
        match self.rate {
            StormRate::Every(rate) => rate.period(self.burst),
            StormRate::Max => Nanos(1),
        }
    }

    /// Refuses values that no device can follow; `key` is where it stands.
    pub(super) fn check(&self, key: &str, hostile: bool) -> Result<(), BadValue> {
        let refuse = |name: &str, value: &dyn fmt::Display, allowed: &str| {
            Err(BadValue::at(key, name, value, allowed))
        };
        let beyond = |queue: &&QueueId| queue.0 >= MAX_QUEUES;
        if let Some(queue) = self.queues.values().iter().find(beyond) {
            let allowed = format!("queues are 0 to {}", MAX_QUEUES - 1);
            return refuse("queues", &queue.0, &allowed);
        }
        if self.burst == 0 || self.burst > MAX_BURST {
            return refuse("burst", &self.burst, &format!("1 to {MAX_BURST}"));
        }
        if self.period == Nanos::ZERO || self.period > MAX_LATENCY {
            return refuse("period", &self.period, "above 0 and at most 600s");
        }
        let burst = self.gap.0.checked_mul(u64::from(self.burst));
        if burst.is_none_or(|burst| burst > self.interval().0) && self.gap != Nanos::ZERO {
            let most = self.interval().0 / u64::from(self.burst);
            let allowed = format!("a burst ends before the next: at most {}", Nanos(most));
            return refuse("gap", &self.gap, &allowed);
        }
        if self.config && !self.queues.is_any() {
            return refuse("config", &true, "not together with queues");
        }
        if self.volley && (self.config || self.burst > 1) {
            return refuse("volley", &true, "not together with config or burst");
        }
        if self.rate == StormRate::Max && !(hostile && self.cross_kill_line) {
            let allowed = "a flood without end needs hostile = true and cross_kill_line = true";
            return refuse("rate", &"max", allowed);
        }
        Ok(())
    }

    /// Whether it strikes this queue.
    pub fn strikes(&self, queue: QueueId) -> bool {
        !self.config && self.queues.takes(&queue)
    }
}
