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
        // Not as_nanos(), which takes 128 bits: 64 last for 584 years.
        let elapsed = self.start.elapsed();
        Nanos(elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos()))
    }
}

/// A clock that stands still: for tests, which move it themselves.
impl Clock for Nanos {
    fn now(&self) -> Nanos {
        *self
    }
}
