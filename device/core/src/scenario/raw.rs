// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A scenario's tables as they are written, before what they share is laid out.

use serde::Deserialize;

use super::behaviour::{Keys, Profiles};
use super::sweep::Sweep;
use super::{Fault, Interrupt, Order, Repeat, Selector, Storm, Until};
use crate::filter::{Choice, Filter, LbaRange, SizeRange};
use crate::latency::Latency;
use crate::request::{Operation, QueueId};
use crate::units::Fraction;

/// A table that has the keys of a behaviour among its own. (serde cannot
/// flatten one struct into another that refuses unknown keys.)
macro_rules! with_keys {
    ($(#[$doc:meta])* struct $name:ident {
        $($(#[$attribute:meta])* $field:ident: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$attribute])* pub(super) $field: $type,)*
            profile: Option<String>,
            latency: Option<Latency>,
            interrupt: Option<Interrupt>,
            hold: Option<bool>,
            fault: Option<Fault>,
        }

        impl $name {
            /// The keys of its behaviour.
            pub(super) fn keys(&self) -> Keys {
                Keys {
                    profile: self.profile.clone(),
                    latency: self.latency.clone(),
                    interrupt: self.interrupt,
                    hold: self.hold,
                    fault: self.fault,
                }
            }
        }
    };
}

with_keys! {
    /// The whole of it.
    struct Raw {
        description: String,
        seed: Option<u64>,
        hostile: bool,
        include: Vec<String>,
        profiles: Profiles,
        order: Order,
        #[serde(rename = "rule")]
        rules: Vec<RawRule>,
        #[serde(rename = "storm")]
        storms: Vec<Storm>,
        #[serde(rename = "phase")]
        phases: Vec<RawPhase>,
        repeat: Repeat,
        sweep: Option<Sweep>,
    }
}

with_keys! {
    /// One `[[rule]]`.
    struct RawRule {
        name: Option<String>,
        operation: Choice<Operation>,
        queue: Choice<QueueId>,
        lba: Option<LbaRange>,
        size: Option<SizeRange>,
        every: Option<u64>,
        probability: Option<Fraction>,
    }
}

with_keys! {
    /// One `[[phase]]`.
    struct RawPhase {
        name: Option<String>,
        until: Until,
        mark: Option<String>,
        release: bool,
        order: Option<Order>,
        #[serde(rename = "rule")]
        rules: Vec<RawRule>,
        #[serde(rename = "storm")]
        storms: Vec<Storm>,
    }
}

impl RawRule {
    /// Which requests it is for.
    pub(super) fn selector(&self) -> Selector {
        Selector {
            filter: Filter {
                operation: self.operation.clone(),
                queue: self.queue.clone(),
                lba: self.lba,
                size: self.size,
            },
            every: self.every,
            probability: self.probability,
        }
    }
}
