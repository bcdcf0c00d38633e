// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The scenario file: a device's script, in TOML.
//!
//! ```toml
//! description = "a flood of completions, one interrupt each, under a storm"
//! seed = 7
//! latency = { uniform = { min = "20us", max = "200us" } }
//! interrupt = "per-completion"
//!
//! [[storm]]
//! rate = "5kHz"
//! burst = 4
//! duty = "50%"
//! period = "100ms"
//! ```
//!
//! Unknown keys are refused, and every error names the file, the place in it,
//! and what is allowed there.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::request::QueueId;
use crate::units::{Fraction, Nanos, Rate};

/// The most queues that a device has.
pub const MAX_QUEUES: u16 = 256;

/// The longest latency that a scenario may ask for: to wait without end there
/// is `hold`.
pub const MAX_LATENCY: Nanos = Nanos::from_millis(600_000);

/// The most interrupts written back to back by one burst of a storm.
pub const MAX_BURST: u32 = 4096;

/// A scenario that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file could not be read.
    #[error("read scenario {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not a scenario; the message shows the line.
    #[error("read scenario {name}: {source}")]
    Parse {
        /// The file or where the text came from.
        name: String,
        /// Where in it and what is allowed.
        source: Box<toml::de::Error>,
    },
    /// A key has a value that no device can follow.
    #[error("use scenario {name}: {key} = {value}: {allowed}")]
    Value {
        /// The file or where the text came from.
        name: String,
        /// The key, with its table.
        key: String,
        /// What it says.
        value: String,
        /// What it may say.
        allowed: String,
    },
}

/// A device's script.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// One sentence for lists and reports.
    pub description: String,
    /// The seed of every random decision; chosen and logged when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How long after its arrival a request's completion becomes visible.
    pub latency: Latency,
    /// Whether completions are held until a `release`.
    pub hold: bool,
    /// How the interrupt for a completion is decided.
    pub interrupt: Interrupt,
    /// Interrupts tied to no completion.
    #[serde(rename = "storm")]
    pub storms: Vec<Storm>,
}

/// The time from a request's arrival to its completion becoming visible.
///
/// The store executes a request before this is waited for: a latency shorter
/// than the execution is the execution's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Latency {
    /// Always the same.
    Fixed(Nanos),
    /// Any of the range with equal likelihood, both ends included.
    Uniform {
        /// The shortest.
        min: Nanos,
        /// The longest.
        max: Nanos,
    },
    /// Memoryless arrivals of completions, as of a loaded server.
    Exponential {
        /// The mean of the distribution before `max` cuts it.
        mean: Nanos,
        /// Longer draws are cut to this; [`MAX_LATENCY`] when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Nanos>,
    },
}

impl Default for Latency {
    fn default() -> Latency {
        Latency::Fixed(Nanos::ZERO)
    }
}

/// How the interrupt for completions is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Interrupt {
    /// When the driver asks for one (virtio: EVENT_IDX or the ring's flag),
    /// once for all that is published together.
    #[default]
    WhenWanted,
    /// One for every completion, each published alone, wanted or not.
    PerCompletion,
    /// One for so many completions or after so much time, whichever is first,
    /// if the driver wants it.
    Coalesced {
        /// Completions to one interrupt, at least 1.
        count: u32,
        /// The longest that a published completion waits for its interrupt.
        time: Nanos,
    },
}

/// Interrupts written with no completion behind them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    /// The queues whose interrupt is raised; all of them when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<QueueId>,
    /// Interrupts a second on each queue, while the storm is on.
    pub rate: Rate,
    /// Interrupts written back to back at each of its instants; the instants
    /// are that much rarer, so that `rate` holds.
    #[serde(default = "one")]
    pub burst: u32,
    /// The share of each `period` in which the storm is on.
    #[serde(default = "whole")]
    pub duty: Fraction,
    /// The cycle that `duty` is a share of.
    #[serde(default = "second")]
    pub period: Nanos,
    /// Whether it is on as soon as the scenario is; else `storm start` does it.
    #[serde(default = "yes")]
    pub active: bool,
    /// Leaves the guard off: the guest's kernel may then disable the
    /// interrupt for good ("nobody cared", kernel/irq/spurious.c).
    #[serde(default)]
    pub cross_kill_line: bool,
}

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

impl Scenario {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Scenario, ScenarioError> {
        let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Read {
            path: path.to_owned(),
            source,
        })?;
        Scenario::parse(&path.display().to_string(), &text)
    }

    /// Reads a text; `name` stands for the file in errors.
    pub fn parse(name: &str, text: &str) -> Result<Scenario, ScenarioError> {
        let scenario: Scenario = toml::from_str(text).map_err(|source| ScenarioError::Parse {
            name: name.to_owned(),
            source: Box::new(source),
        })?;
        scenario.check(name)?;
        Ok(scenario)
    }

    /// Refuses values that parse but that no device can follow.
    fn check(&self, name: &str) -> Result<(), ScenarioError> {
        let refuse = |key: &str, value: &dyn ToString, allowed: &str| {
            Err(ScenarioError::Value {
                name: name.to_owned(),
                key: key.to_owned(),
                value: value.to_string(),
                allowed: allowed.to_owned(),
            })
        };
        let too_long =
            format!("a latency is at most {MAX_LATENCY}; to wait longer, hold and release");
        match self.latency {
            Latency::Fixed(time) if time > MAX_LATENCY => {
                return refuse("latency.fixed", &time, &too_long);
            }
            Latency::Uniform { min, max } if min > max => {
                return refuse(
                    "latency.uniform.min",
                    &min,
                    &format!("at most max, which is {max}"),
                );
            }
            Latency::Uniform { max, .. } if max > MAX_LATENCY => {
                return refuse("latency.uniform.max", &max, &too_long);
            }
            Latency::Exponential { mean, .. } if mean == Nanos::ZERO || mean > MAX_LATENCY => {
                return refuse(
                    "latency.exponential.mean",
                    &mean,
                    "above 0 and at most 600s",
                );
            }
            Latency::Exponential { max: Some(max), .. } if max > MAX_LATENCY => {
                return refuse("latency.exponential.max", &max, &too_long);
            }
            _ => {}
        }
        if let Interrupt::Coalesced { count, time } = self.interrupt {
            if count == 0 {
                return refuse("interrupt.coalesced.count", &count, "at least 1");
            }
            if time == Nanos::ZERO || time > MAX_LATENCY {
                return refuse(
                    "interrupt.coalesced.time",
                    &time,
                    "above 0 and at most 600s",
                );
            }
        }
        for (index, storm) in self.storms.iter().enumerate() {
            if let Some((key, value, allowed)) = storm.fault() {
                return refuse(&format!("storm[{index}].{key}"), &value, &allowed);
            }
        }
        Ok(())
    }
}

impl Storm {
    /// The key, value and rule of what cannot be, if anything.
    fn fault(&self) -> Option<(&'static str, String, String)> {
        let beyond = self.queues.iter().find(|queue| queue.0 >= MAX_QUEUES);
        if let Some(queue) = beyond {
            return Some((
                "queues",
                queue.0.to_string(),
                format!("queues are 0 to {}", MAX_QUEUES - 1),
            ));
        }
        if self.burst == 0 || self.burst > MAX_BURST {
            return Some(("burst", self.burst.to_string(), format!("1 to {MAX_BURST}")));
        }
        if self.period == Nanos::ZERO || self.period > MAX_LATENCY {
            return Some((
                "period",
                self.period.to_string(),
                "above 0 and at most 600s".into(),
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Scenario::parse("s.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_scenario_completes_at_once_when_wanted() {
        let scenario = Scenario::parse("s.toml", "").unwrap();
        assert_eq!(scenario.latency, Latency::Fixed(Nanos::ZERO));
        assert_eq!(scenario.interrupt, Interrupt::WhenWanted);
        assert!(!scenario.hold && scenario.storms.is_empty());
    }

    #[test]
    fn every_key_is_read() {
        let scenario = Scenario::parse(
            "s.toml",
            r#"
            description = "all of it"
            seed = 3
            hold = true
            latency = { exponential = { mean = "50us", max = "5ms" } }
            interrupt = { coalesced = { count = 8, time = "100us" } }
            [[storm]]
            queues = [0, 2]
            rate = "20kHz"
            burst = 8
            duty = "50%"
            period = "20ms"
            active = false
            cross_kill_line = true
            "#,
        )
        .unwrap();
        assert_eq!(scenario.seed, Some(3));
        assert!(scenario.hold);
        assert_eq!(scenario.storms[0].queues, [QueueId(0), QueueId(2)]);
        assert!(scenario.storms[0].cross_kill_line && !scenario.storms[0].active);
        let again = toml::to_string(&scenario).unwrap();
        assert_eq!(Scenario::parse("again", &again).unwrap(), scenario);
    }

    #[test]
    fn a_wrong_key_is_named_with_what_is_allowed() {
        let error = refusal("latencies = 3");
        for word in ["s.toml", "latencies", "latency", "interrupt"] {
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_bare_number_is_refused_with_the_units() {
        let error = refusal("latency = { fixed = 80 }");
        assert!(error.contains("unit"), "{error}");
    }

    #[test]
    fn impossible_values_are_named() {
        for (text, key) in [
            (
                "latency = { uniform = { min = '2us', max = '1us' } }",
                "latency.uniform.min",
            ),
            ("latency = { fixed = '3600s' }", "latency.fixed"),
            (
                "latency = { exponential = { mean = '0us' } }",
                "latency.exponential.mean",
            ),
            (
                "interrupt = { coalesced = { count = 0, time = '1us' } }",
                "interrupt.coalesced.count",
            ),
            (
                "interrupt = { coalesced = { count = 1, time = '0us' } }",
                "interrupt.coalesced.time",
            ),
            ("[[storm]]\nrate = '1kHz'\nburst = 0", "storm[0].burst"),
            (
                "[[storm]]\nrate = '1kHz'\nqueues = [256]",
                "storm[0].queues",
            ),
            ("[[storm]]\nrate = '1kHz'\nperiod = '0s'", "storm[0].period"),
        ] {
            let error = refusal(text);
            assert!(error.contains(key), "{text}: {error}");
        }
    }
}
