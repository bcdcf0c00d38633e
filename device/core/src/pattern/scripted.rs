// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The pattern that follows a scenario.

use rand::Rng;

use super::{Arrival, Pattern};
use crate::plan::{Plan, When};
use crate::scenario::{Interrupt, Latency, Scenario};

/// Plans as a [`Scenario`] says. Its `hold` is the pump's to follow: a command
/// turns it on and off without changing what is decided here.
#[derive(Clone, Debug)]
pub struct Scripted {
    latency: Latency,
    interrupt: Interrupt,
}

impl Scripted {
    /// The pattern of a scenario.
    pub fn new(scenario: &Scenario) -> Scripted {
        Scripted {
            latency: scenario.latency,
            interrupt: scenario.interrupt,
        }
    }
}

impl Pattern for Scripted {
    fn plan(&mut self, arrival: &Arrival, rng: &mut dyn Rng) -> Plan {
        Plan {
            publish: When::At(arrival.at + self.latency.draw(rng)),
            interrupt: self.interrupt,
        }
    }
}
