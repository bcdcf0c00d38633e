// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a client may ask.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::filter::{Choice, Filter, LbaRange, SizeRange};
use crate::request::{Operation, QueueId, RequestId};
use crate::units::Nanos;

/// The most held requests that one `list` shows.
pub const MAX_LIST: u32 = 10_000;

/// The most interrupts that one `fire` writes on a queue.
pub const MAX_FIRE: u32 = 1_000_000;

/// The longest wait for a mark.
pub const MAX_WAIT: Nanos = Nanos::from_millis(3_600_000);

/// A command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Scenario, phase, counters: answered with
    /// [`StatusReply`](super::StatusReply).
    Status {},
    /// Holds completions from now on, or stops doing so; what is held stays
    /// held until released. Answered with [`HoldReply`](super::HoldReply).
    Hold(Hold),
    /// What is held: answered with [`ListReply`](super::ListReply).
    List(List),
    /// Lets held completions go: answered with
    /// [`ReleaseReply`](super::ReleaseReply).
    Release(Selection),
    /// Raises interrupts with no completion behind them, now: answered with
    /// [`FireReply`](super::FireReply).
    Fire(Fire),
    /// Raises one interrupt on every queue at one instant: answered with
    /// [`VolleyReply`](super::VolleyReply).
    Volley {},
    /// Has the device fail: it says so to its driver and completes nothing until
    /// that resets it. Answered with [`FailReply`](super::FailReply).
    Fail {},
    /// Starts or stops the scenario's storms: answered with
    /// [`StormReply`](super::StormReply).
    Storm {
        /// Whether they run.
        on: bool,
        /// The one of this name; all of them when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Replaces the scenario for what arrives from now on; what is planned or
    /// held stays so. Answered with [`ScenarioReply`](super::ScenarioReply).
    Scenario {
        /// The new one, in TOML.
        toml: String,
        /// What to call it in events and errors.
        #[serde(default = "unnamed")]
        name: String,
    },
    /// Turns one knob of the scenario for what arrives from now on; phase,
    /// storms that do not change, and counts go on. Answered with
    /// [`KnobReply`](super::KnobReply).
    Set {
        /// Its path, as in `latency.fixed` or `storm.0.rate`.
        knob: String,
        /// What it is set to, as a scenario would say it.
        value: Value,
    },
    /// What a knob says: answered with [`KnobReply`](super::KnobReply).
    Get {
        /// Its path; the whole scenario when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        knob: Option<String>,
    },
    /// Goes on to a phase: answered with [`PhaseReply`](super::PhaseReply).
    Phase {
        /// Its name; the next one when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// Sets a mark: the phase that waits for it ends, clients that wait for it
    /// are answered. Answered with [`MarkReply`](super::MarkReply).
    Mark {
        /// The mark.
        name: String,
    },
    /// Waits for a mark: answered with [`MarkReply`](super::MarkReply) once it
    /// has been set.
    Wait(Wait),
    /// Has events sent as they happen: answered with
    /// [`SubscribeReply`](super::SubscribeReply).
    Subscribe(Subscribe),
    /// Every counter as OpenMetrics text: answered with
    /// [`MetricsReply`](super::MetricsReply).
    Metrics {},
}

fn unnamed() -> String {
    "control".to_owned()
}

/// Makes a struct with the fields of a [`Filter`] among its own. (serde cannot
/// flatten one struct into another that refuses unknown keys.)
macro_rules! with_filter {
    ($(#[$doc:meta])* struct $name:ident {
        $($(#[$attribute:meta])* $field:ident: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$attribute])* pub $field: $type,)*
            /// Those of these kinds.
            #[serde(skip_serializing_if = "Choice::is_any")]
            pub operation: Choice<Operation>,
            /// Those of these queues.
            #[serde(skip_serializing_if = "Choice::is_any")]
            pub queue: Choice<QueueId>,
            /// Those that begin in this range of sectors.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub lba: Option<LbaRange>,
            /// Those with so many data bytes.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub size: Option<SizeRange>,
        }

        impl $name {
            /// What requests have to be to be meant.
            pub fn filter(&self) -> Filter {
                Filter {
                    operation: self.operation.clone(),
                    queue: self.queue.clone(),
                    lba: self.lba,
                    size: self.size,
                }
            }
        }
    };
}

fn yes() -> bool {
    true
}

with_filter! {
    /// Which completions are held from now on. All that is absent matches.
    struct Hold {
        /// Whether to hold, in addition to what is held already, as when it is
        /// absent; `false` ends all holding.
        #[serde(default = "yes")]
        on: bool,
    }
}

with_filter! {
    /// Which held requests are shown. All that is absent matches.
    struct List {
        /// At most so many; [`MAX_LIST`] is the bound and the default.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        /// The newest first, instead of the oldest.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        newest: bool,
    }
}

with_filter! {
    /// Which held completions a release lets go. All that is absent matches.
    struct Selection {
        /// This request only.
        #[serde(skip_serializing_if = "Option::is_none")]
        request: Option<RequestId>,
        /// At most so many. With `part` `interrupt`: so many interrupts on
        /// each queue, each decided by itself, instead of one for all.
        #[serde(skip_serializing_if = "Option::is_none")]
        count: Option<u32>,
        /// The newest first, instead of the oldest.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        newest: bool,
        /// Those that arrived at least so long ago.
        #[serde(skip_serializing_if = "Option::is_none")]
        min_age: Option<Nanos>,
        /// Which half of the completion.
        part: Part,
    }
}

/// Completion and interrupt of a held request can be let go apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The completion becomes visible and its interrupt is decided.
    #[default]
    Both,
    /// The completion becomes visible; its interrupt stays owed.
    Completion,
    /// The interrupts owed by earlier `completion` releases are decided.
    Interrupt,
}

/// Interrupts to be written now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fire {
    /// The queues; all of them when absent.
    #[serde(skip_serializing_if = "Choice::is_any")]
    pub queue: Choice<QueueId>,
    /// The interrupt of the configuration instead of a queue's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub config: bool,
    /// How many on each queue, 1 to [`MAX_FIRE`].
    pub count: u32,
}

impl Default for Fire {
    fn default() -> Fire {
        Fire {
            queue: Choice::default(),
            config: false,
            count: 1,
        }
    }
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The mark.
    pub mark: String,
    /// Until it has been set so often since the device's start; once more than
    /// by now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// At most so long; 60 s when absent, [`MAX_WAIT`] at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Nanos>,
}

/// What is sent as it happens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Subscribe {
    /// The kinds of event; all of them when absent, none with an empty list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
}
