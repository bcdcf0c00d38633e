// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where `now` comes from: asked by the loop that drives the pump, never by
//! the pump itself.

use std::time::Instant;

use crate::units::Nanos;

/// A clock that never goes back.
pub trait Clock {
    /// Time since the clock's start.
    fn now(&self) -> Nanos;
}

/// The machine's monotonic clock, counted from when this value was made.
#[derive(Clone, Copy, Debug)]
pub struct Monotonic {
    start: Instant,
}

impl Monotonic {
    /// A clock that shows zero now.
    pub fn start() -> Monotonic {
        Monotonic {
            start: Instant::now(),
        }
    }
}

impl Clock for Monotonic {
    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}
