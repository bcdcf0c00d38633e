// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What becomes of a request: the keys that a scenario, its rules, its phases
//! and its profiles have in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BadValue, Fault, Interrupt};
use crate::latency::Latency;

/// What becomes of a request, in full.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Behaviour {
    /// From its arrival to its completion becoming visible.
    pub latency: Latency,
    /// How its interrupt is decided.
    pub interrupt: Interrupt,
    /// Whether it waits for a release instead.
    pub hold: bool,
    /// What goes wrong with it.
    pub fault: Option<Fault>,
}

/// Part of a behaviour: what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// The name of a profile whose keys count where there are none here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// See [`Behaviour::latency`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// See [`Behaviour::interrupt`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupt: Option<Interrupt>,
    /// See [`Behaviour::hold`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<bool>,
    /// See [`Behaviour::fault`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// Named parts of behaviours.
pub(super) type Profiles = BTreeMap<String, Keys>;

impl Keys {
    /// This behaviour with these keys in place of its own, those of the
    /// profile below them. `at` is where they stand.
    pub(super) fn over(
        &self,
        base: &Behaviour,
        profiles: &Profiles,
        at: &str,
    ) -> Result<Behaviour, BadValue> {
        let mut behaviour = base.clone();
        if let Some(name) = &self.profile {
            let known = || match profiles.is_empty() {
                true => "the scenario has no [profiles.NAME]".to_owned(),
                false => {
                    let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
                    format!("one of {}", names.join(", "))
                }
            };
            let profile = profiles
                .get(name)
                .ok_or_else(|| BadValue::at(at, "profile", name, known()))?;
            profile.lay_over(&mut behaviour);
        }
        self.lay_over(&mut behaviour);
        Ok(behaviour)
    }

    fn lay_over(&self, behaviour: &mut Behaviour) {
        if let Some(latency) = &self.latency {
            behaviour.latency = latency.clone();
        }
        behaviour.interrupt = self.interrupt.unwrap_or(behaviour.interrupt);
        behaviour.hold = self.hold.unwrap_or(behaviour.hold);
        behaviour.fault = self
            .fault
            .or(behaviour.fault)
            .filter(|fault| *fault != Fault::None);
    }

    /// Refuses values that no device can follow; `at` is where they stand.
    pub(super) fn check(&self, at: &str, hostile: bool) -> Result<(), BadValue> {
        let key = |name: &str| match at {
            "" => name.to_owned(),
            at => format!("{at}.{name}"),
        };
        if let Some(latency) = &self.latency {
            latency.check(&key("latency"))?;
        }
        if let Some(interrupt) = &self.interrupt {
            interrupt.check(&key("interrupt"))?;
        }
        match &self.fault {
            Some(fault) => fault.check(&key("fault"), hostile),
            None => Ok(()),
        }
    }
}
