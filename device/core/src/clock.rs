// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where `now` comes from. The pump is handed a clock with each call: it
//! decides what is due by one look at it, and stamps each step by another as
//! the step happens.

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

/// A clock that stands still: for tests, which move it themselves.
impl Clock for Nanos {
    fn now(&self) -> Nanos {
        *self
    }
}
