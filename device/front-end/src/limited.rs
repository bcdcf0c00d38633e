// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Log lines that a guest can cause, kept to a few a second.

use std::time::{Duration, Instant};

/// The span over which lines are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// Lines let through in each span.
const LINES: u32 = 5;

/// Lets a few lines through in each span and counts the rest.
#[derive(Debug, Default)]
pub struct Limiter {
    window: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl Limiter {
    /// Whether a line may be written now: if so, how many were not before it.
    pub fn admit(&mut self, now: Instant) -> Option<u64> {
        let begins = self
            .window
            .is_none_or(|start| now.saturating_duration_since(start) >= WINDOW);
        if begins {
            self.window = Some(now);
            self.lines = 0;
        }
        if self.lines == LINES {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_a_few_lines_and_the_next_tells_how_many_it_lost() {
        let start = Instant::now();
        let mut limiter = Limiter::default();
        let admitted = (0..100).filter(|_| limiter.admit(start).is_some()).count();
        assert_eq!(admitted, 5);
        assert_eq!(limiter.admit(start + WINDOW), Some(95));
        assert_eq!(limiter.admit(start + WINDOW), Some(0));
    }
}
