// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a device does for a while, and what ends it.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BadValue, Behaviour, Order, Rule, Storm};
use crate::latency::MAX_LATENCY;
use crate::units::Nanos;

/// The most phases of a scenario, a sweep's steps included.
pub const MAX_PHASES: usize = 10_000;

/// The longest name of a mark or a phase, in bytes.
pub const MAX_NAME: usize = 64;

/// Everything that is in force at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// What becomes of requests that no rule takes.
    pub base: Behaviour,
    /// In which order completions become visible.
    pub order: Order,
    /// The exceptions, in the order in which they are tried.
    pub rules: Vec<Rule>,
    /// Interrupts tied to no completion.
    pub storms: Vec<Storm>,
}

/// One of the scenario's phases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phase {
    /// What events and `phase NAME` call it; empty for a scenario without any.
    pub name: String,
    /// What ends it.
    pub until: Until,
    /// The mark that is set when it begins.
    pub mark: Option<String>,
    /// Whether all that is held is let go when it begins.
    pub release: bool,
    /// What is in force meanwhile.
    pub script: Script,
}

/// What ends a phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Until {
    /// The command `phase`, which ends any.
    #[default]
    Control,
    /// So much time.
    Time(Nanos),
    /// So many requests taken from all queues, at least 1.
    Requests(u64),
    /// A mark, set by the guest or by a command.
    Mark(String),
}

impl Until {
    /// Refuses what would end before it began; `at` is where it stands.
    pub(super) fn check(&self, at: &str) -> Result<(), BadValue> {
        match self {
            Until::Time(time) if *time == Nanos::ZERO || *time > MAX_LATENCY => {
                Err(BadValue::at(at, "time", time, "above 0 and at most 600s"))
            }
            Until::Requests(0) => Err(BadValue::at(at, "requests", 0, "at least 1")),
            Until::Mark(mark) => check_name(mark, at, "mark"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Until::Control => f.write_str("a command"),
            Until::Time(time) => write!(f, "{time}"),
            Until::Requests(count) => write!(f, "{count} requests"),
            Until::Mark(mark) => write!(f, "mark {mark}"),
        }
    }
}

/// Refuses names that cannot be told or typed.
pub(super) fn check_name(name: &str, at: &str, key: &str) -> Result<(), BadValue> {
    let good = !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control);
    match good {
        true => Ok(()),
        false => {
            let allowed = format!("1 to {MAX_NAME} bytes, none of them a control character");
            Err(BadValue::at(at, key, name.escape_debug(), allowed))
        }
    }
}

/// How often the list of phases is gone through. Afterwards the last one stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// So often, at least once.
    Times(u64),
    /// Without end.
    Forever,
}

impl Default for Repeat {
    fn default() -> Repeat {
        Repeat::Times(1)
    }
}

impl Repeat {
    /// Whether another round follows round `round`, counted from 0.
    pub fn goes_on_after(self, round: u64) -> bool {
        match self {
            Repeat::Times(times) => round + 1 < times,
            Repeat::Forever => true,
        }
    }
}

impl Serialize for Repeat {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Repeat::Times(times) => out.serialize_u64(*times),
            Repeat::Forever => out.serialize_str("forever"),
        }
    }
}

impl<'de> Deserialize<'de> for Repeat {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Repeat, D::Error> {
        struct TimesOrForever;
        impl Visitor<'_> for TimesOrForever {
            type Value = Repeat;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("how many times, at least 1, or \"forever\"")
            }

            fn visit_i64<E: de::Error>(self, times: i64) -> Result<Repeat, E> {
                match u64::try_from(times) {
                    Ok(times) if times > 0 => Ok(Repeat::Times(times)),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(times), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, times: u64) -> Result<Repeat, E> {
                self.visit_i64(i64::try_from(times).unwrap_or(i64::MAX))
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Repeat, E> {
                match word {
                    "forever" => Ok(Repeat::Forever),
                    word => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }
        }
        input.deserialize_any(TimesOrForever)
    }
}
