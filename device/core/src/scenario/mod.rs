// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The scenario file: a device's script, in TOML.
//!
//! ```toml
//! description = "a flood of completions, one interrupt each, under a storm"
//! seed = 7
//! latency = { uniform = { min = "20us", max = "200us" } }
//! interrupt = "per-completion"
//!
//! [[rule]]
//! operation = "flush"
//! latency = { fixed = "5ms" }
//!
//! [[storm]]
//! rate = "5kHz"
//! burst = 4
//! duty = "50%"
//! period = "100ms"
//! ```
//!
//! A text becomes a [`Document`] (files included, knobs turned), the document a
//! [`Scenario`]: phases, each with everything that is in force in it. Unknown
//! keys are refused, and every error names the file, the place in it, and what
//! is allowed there. What each key means is in `guest-tests/scenarios/LANGUAGE.md`.

mod behaviour;
mod document;
mod error;
mod explain;
mod fault;
mod interrupt;
mod order;
mod phase;
mod raw;
mod resolve;
mod rule;
mod storm;
mod sweep;
#[cfg(test)]
mod tests;

use std::path::Path;

use toml::Value;

pub use behaviour::{Behaviour, Keys};
pub use document::Document;
pub use error::{BadValue, ScenarioError};
pub use explain::{Row, explain};
pub use fault::Fault;
pub use interrupt::{Interrupt, MAX_DUPLICATES, Recovery};
pub use order::{MAX_WINDOW, Order, Window};
pub use phase::{MAX_NAME, MAX_PHASES, Phase, Repeat, Script, Until};
pub use rule::{MAX_RULES, Rule, Selector};
pub use storm::{MAX_BURST, MAX_QUEUES, Storm, StormRate};

/// A device's script.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// One sentence for lists and reports.
    pub description: String,
    /// The seed of every random decision; chosen and logged when absent.
    pub seed: Option<u64>,
    /// Whether it may break the protocol.
    pub hostile: bool,
    /// What is in force when: at least one phase.
    pub phases: Vec<Phase>,
    /// How often the phases are gone through.
    pub repeat: Repeat,
    document: Document,
}

impl Default for Scenario {
    fn default() -> Scenario {
        Scenario {
            description: String::new(),
            seed: None,
            hostile: false,
            phases: vec![Phase::default()],
            repeat: Repeat::default(),
            document: Document::default(),
        }
    }
}

impl Scenario {
    /// Reads a file, and the files that it names.
    pub fn load(path: &Path) -> Result<Scenario, ScenarioError> {
        resolve::scenario(Document::load(path)?)
    }

    /// Reads a text that may name no files; `name` stands for the file in
    /// errors.
    pub fn parse(name: &str, text: &str) -> Result<Scenario, ScenarioError> {
        resolve::scenario(Document::parse(name, text)?)
    }

    /// The same with the value at a path such as `latency.fixed` replaced.
    pub fn with_knob(&self, knob: &str, value: Value) -> Result<Scenario, ScenarioError> {
        resolve::scenario(self.document.with(knob, value)?)
    }

    /// The same, drawing from this seed.
    pub fn with_seed(&self, seed: u64) -> Scenario {
        let mut seeded = self.clone();
        seeded.seed = Some(seed);
        // Beyond 63 bits TOML has no numbers; the field is what counts.
        if let Ok(seed) = i64::try_from(seed)
            && let Ok(document) = self.document.with("seed", Value::from(seed))
        {
            seeded.document = document;
        }
        seeded
    }

    /// Whether it has the device fail at some time.
    pub fn fails_device(&self) -> bool {
        let fails = |behaviour: &Behaviour| behaviour.fault == Some(Fault::DeviceFailure);
        self.phases.iter().any(|Phase { script, .. }| {
            fails(&script.base) || script.rules.iter().any(|rule| fails(&rule.behaviour))
        })
    }

    /// Its keys and values.
    pub fn document(&self) -> &Document {
        &self.document
    }
}
