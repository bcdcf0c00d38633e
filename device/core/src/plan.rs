// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is to become of one request.

use serde::{Deserialize, Serialize};

use crate::scenario::{Fault, Interrupt};
use crate::units::Nanos;

/// The decisions about one request, taken at its arrival. They say nothing of
/// the time at which that was, so that they can be taken again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// The rule that decided, by its place in the phase's list; none for the
    /// rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<u16>,
    /// From its arrival to its completion becoming visible.
    pub latency: Nanos,
    /// Whether it waits for a release instead.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
    /// How its interrupt is decided.
    pub interrupt: Interrupt,
    /// What goes wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}
