// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is to become of one request's completion.

use crate::scenario::Interrupt;
use crate::units::Nanos;

/// When a completion becomes visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this instant, or as soon after as can be.
    At(Nanos),
    /// When a command releases it.
    Released,
}

/// The decisions about one request, taken at its arrival.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// When its completion becomes visible.
    pub publish: When,
    /// How its interrupt is decided then.
    pub interrupt: Interrupt,
}
