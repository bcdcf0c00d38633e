// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Keeps storms under the line at which the guest's kernel gives an interrupt up.
//!
//! Linux counts interrupts that no handler claimed (kernel/irq/spurious.c,
//! `note_interrupt()`): when more than 99,900 of 100,000 in a row were
//! unhandled, it prints "nobody cared" and disables the line for good. An
//! unhandled interrupt that comes more than HZ/10 after the one before it
//! starts the count of unhandled ones anew. So a queue may be fired at
//! [`BUDGET`] times, then it is left alone for [`PAUSE`].
//!
//! Interrupts merge on their way, so the guest counts at most what is written
//! here; the budget is half the line so that one pause lost to a stalled guest
//! does no harm.

use crate::units::Nanos;

/// Spurious interrupts between two pauses: half of Linux's 99,900.
const BUDGET: u32 = 49_950;

/// A pause: HZ/10 is 100 ms whatever HZ is, and half of that for margin.
const PAUSE: Nanos = Nanos::from_millis(150);

/// What the guard says to interrupts with no completion behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// So many may be written now: at least one, at most what was asked.
    Go(u32),
    /// None until this instant.
    PauseUntil(Nanos),
}

/// The count of one queue's interrupt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guard {
    written: u32,
    last: Nanos,
}

impl Guard {
    /// Asks for `count` interrupts at `now`. What is permitted counts as written.
    pub fn ask(&mut self, count: u32, now: Nanos) -> Permit {
        if now.since(self.last) >= PAUSE {
            self.written = 0;
        }
        let left = BUDGET - self.written;
        if left == 0 {
            return Permit::PauseUntil(self.last + PAUSE);
        }
        let permitted = count.min(left);
        self.written += permitted;
        self.last = now;
        Permit::Go(permitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Nanos = Nanos::from_millis(1_000_000);

    #[test]
    fn a_storm_never_writes_more_than_the_budget_without_a_pause() {
        let mut guard = Guard::default();
        let mut now = LATER;
        let (mut since_pause, mut last, mut total) = (0u32, Nanos::ZERO, 0u32);
        while total < 1_000_000 {
            match guard.ask(7, now) {
                Permit::Go(count) => {
                    if now.since(last) > Nanos::from_millis(100) {
                        since_pause = 0;
                    }
                    since_pause += count;
                    total += count;
                    last = now;
                    assert!(since_pause <= 99_900 / 2);
                    now = now + Nanos::from_micros(10);
                }
                Permit::PauseUntil(until) => {
                    assert!(until > now);
                    now = until;
                }
            }
        }
    }

    #[test]
    fn a_request_beyond_the_budget_is_cut_to_it() {
        let mut guard = Guard::default();
        assert_eq!(guard.ask(1_000_000, LATER), Permit::Go(BUDGET));
        assert_eq!(guard.ask(1, LATER), Permit::PauseUntil(LATER + PAUSE));
        assert_eq!(guard.ask(1, LATER + PAUSE), Permit::Go(1));
    }

    #[test]
    fn rare_interrupts_are_never_paused() {
        let mut guard = Guard::default();
        for i in 0..200_000u64 {
            let now = LATER + Nanos::from_millis(i * 200);
            assert_eq!(guard.ask(1, now), Permit::Go(1));
        }
    }
}
