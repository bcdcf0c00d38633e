// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Keeps a queue's interrupt under the line at which the guest's kernel gives
//! it up.
//!
//! Linux counts interrupts (kernel/irq/spurious.c, `note_interrupt()`): when
//! more than 99,900 of 100,000 were claimed by no handler, it prints "nobody
//! cared" and disables the line for good. An unclaimed interrupt that comes
//! more than HZ/10 after the one before it starts the count of unclaimed ones
//! anew. So an interrupt lives as long as either comes often enough: a claimed
//! interrupt, or a pause.
//!
//! The guard is a bucket of unclaimed interrupts. It holds [`BUDGET`], half the
//! line, since interrupts merge on their way and a stalled guest may not see a
//! pause. A pause fills it; each interrupt that is known to have been claimed
//! puts [`REFILL`] back. Between two empty buckets, then, 99,900 unclaimed
//! interrupts have at least 100 claimed ones among them, and that is what the
//! kernel asks for.
//!
//! Which interrupts were claimed the device cannot see. What it sees is that
//! requests go on arriving: a driver has at most a ring's worth of requests
//! outstanding, so among that many arrivals and one more, its handler has
//! claimed an interrupt and taken completions back at least once. By the same
//! measure interrupts that the driver did not ask for may be unclaimed although
//! completions are behind them: one handler can take them all. Those are
//! counted like the others.

use crate::units::Nanos;

/// Unclaimed interrupts without a pause or a claimed one: half of Linux's
/// 99,900.
const BUDGET: u32 = 49_950;

/// What one claimed interrupt is good for: with 100 of them the kernel allows
/// 99,900, of which half are taken.
const REFILL: u32 = BUDGET / 100;

/// What is written regardless is a debt up to here: all that the kernel counts
/// at a time.
const MAX_SPENT: u32 = 2 * BUDGET;

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
    /// Unclaimed interrupts written and not made good since.
    spent: u32,
    last: Nanos,
    /// Arrivals since an interrupt was last known to have been claimed.
    arrivals: u32,
}

impl Guard {
    /// Asks for `count` interrupts at `now`. What is permitted counts as written.
    pub fn ask(&mut self, count: u32, now: Nanos) -> Permit {
        if now.since(self.last) >= PAUSE {
            self.spent = 0;
        }
        let left = BUDGET.saturating_sub(self.spent);
        if left == 0 {
            return Permit::PauseUntil(self.last + PAUSE);
        }
        let permitted = count.min(left);
        self.spent += permitted;
        self.last = now;
        Permit::Go(permitted)
    }

    /// A request has arrived from a driver that has at most `depth` of them
    /// outstanding.
    #[inline]
    pub fn arrived(&mut self, depth: u32) {
        self.arrivals = self.arrivals.saturating_add(1);
        if self.arrivals > depth {
            self.arrivals = 0;
            self.spent = self.spent.saturating_sub(REFILL);
        }
    }

    /// Interrupts that may be unclaimed, written whether the guard permits them
    /// or not.
    pub fn overridden(&mut self, count: u32, now: Nanos) {
        self.spent = self.spent.saturating_add(count).min(MAX_SPENT);
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Nanos = Nanos::from_millis(1_000_000);

    /// What kernel/irq/spurious.c does, with HZ so high that no pause is missed.
    #[derive(Default)]
    struct Kernel {
        count: u32,
        unhandled: u32,
        last_unhandled: Nanos,
        disabled: bool,
    }

    impl Kernel {
        fn note(&mut self, claimed: bool, now: Nanos) {
            if !claimed {
                let gap = now.since(self.last_unhandled) > Nanos::from_millis(100);
                self.unhandled = if gap { 1 } else { self.unhandled + 1 };
                self.last_unhandled = now;
            }
            if self.unhandled == 0 {
                return;
            }
            self.count += 1;
            if self.count < 100_000 {
                return;
            }
            self.count = 0;
            self.disabled |= self.unhandled > 99_900;
            self.unhandled = 0;
        }
    }

    /// A storm of ten million against the kernel's count, with a request now
    /// and then from a driver of depth `depth`, whose handler claims one
    /// interrupt for each ring's worth; `forced` has each completion interrupt
    /// by itself. Returns whether the line lived, and the time it took.
    fn storm(depth: u32, spurious_to_a_request: Option<u32>, forced: bool) -> (bool, Nanos) {
        let (mut guard, mut kernel) = (Guard::default(), Kernel::default());
        let (mut now, mut total, mut arrivals) = (LATER, 0u32, 0u32);
        while total < 10_000_000 {
            match guard.ask(1, now) {
                Permit::Go(_) => {
                    total += 1;
                    kernel.note(false, now);
                    now = now + Nanos::from_micros(10);
                }
                Permit::PauseUntil(until) => {
                    assert!(until > now);
                    now = until;
                }
            }
            if spurious_to_a_request.is_some_and(|ratio| total.is_multiple_of(ratio)) {
                guard.arrived(depth);
                arrivals += 1;
                let claimed = arrivals.is_multiple_of(depth + 1);
                if claimed {
                    kernel.note(true, now);
                }
                if forced {
                    guard.overridden(1, now);
                    if !claimed {
                        kernel.note(false, now);
                    }
                }
            }
        }
        (!kernel.disabled, now - LATER)
    }

    #[test]
    fn a_guarded_storm_never_has_the_kernel_disable_the_line() {
        for depth in [1, 7, 128] {
            for ratio in [None, Some(1), Some(3), Some(100), Some(1_000)] {
                for forced in [false, true] {
                    let alive = storm(depth, ratio, forced).0;
                    assert!(alive, "depth {depth}, {ratio:?}, {forced}");
                }
            }
        }
    }

    #[test]
    fn a_deep_ring_whose_completions_interrupt_one_by_one_gets_few_others() {
        let mut guard = Guard::default();
        let mut spurious = 0;
        for request in 0..1_000_000u64 {
            let now = LATER + Nanos::from_micros(request);
            guard.arrived(1024);
            guard.overridden(1, now);
            spurious += u32::from(guard.ask(1, now) == Permit::Go(1));
        }
        // To the kernel 975 of these million are claimed at worst, and 999 are
        // unclaimed to each.
        assert!(spurious < BUDGET, "{spurious}");
    }

    #[test]
    fn requests_that_go_on_spare_the_storm_its_pauses() {
        let (_, alone) = storm(128, None, false);
        let (_, busy) = storm(128, Some(3), false);
        let written = Nanos::from_micros(10 * 10_000_000);
        assert_eq!(busy, written);
        assert!(alone > written + Nanos::from_millis(25_000), "{alone}");
    }

    #[test]
    fn a_request_beyond_the_budget_is_cut_to_it() {
        let mut guard = Guard::default();
        assert_eq!(guard.ask(1_000_000, LATER), Permit::Go(BUDGET));
        assert_eq!(guard.ask(1, LATER), Permit::PauseUntil(LATER + PAUSE));
        assert_eq!(guard.ask(1, LATER + PAUSE), Permit::Go(1));
    }

    #[test]
    fn interrupts_written_against_the_guard_are_counted_by_it() {
        let mut guard = Guard::default();
        guard.overridden(1_000_000, LATER);
        assert_eq!(guard.ask(1, LATER), Permit::PauseUntil(LATER + PAUSE));
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
