// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Interrupts with no completion behind them.

mod guard;

use crate::scenario::Storm;
use crate::units::Nanos;

pub use guard::{Guard, Permit};

/// One storm of the scenario in force: when its next burst is.
#[derive(Clone, Debug)]
pub struct Course {
    storm: Storm,
    start: Nanos,
    next: Nanos,
    skipped: u64,
    parked: bool,
}

impl Course {
    /// Sets a storm off at `now`: its first burst is due at once.
    pub fn start(storm: Storm, now: Nanos) -> Course {
        Course {
            storm,
            start: now,
            next: now,
            skipped: 0,
            parked: false,
        }
    }

    /// Lets the storm rest while none of its queues has a driver.
    pub fn park(&mut self) {
        self.parked = true;
    }

    /// Sets a parked storm off anew at `now`; `false` if it is not parked.
    pub fn unpark(&mut self, now: Nanos) -> bool {
        if !std::mem::take(&mut self.parked) {
            return false;
        }
        self.start = now;
        self.next = now;
        true
    }

    /// What the scenario says of it.
    pub fn storm(&self) -> &Storm {
        &self.storm
    }

    /// When its next burst is due.
    pub fn next(&self) -> Nanos {
        self.next
    }

    /// Instants let go because the device came too late for them.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Moves on to the burst after the one just carried out at `now`. A device
    /// that is late by more than one interval lets the missed ones go: fired
    /// together they would merge into one interrupt anyway.
    pub fn advance(&mut self, now: Nanos) {
        let interval = self.storm.rate.period(self.storm.burst);
        let mut next = self.next + interval;
        let late = now.since(next).0 / interval.0;
        if late > 1 {
            self.skipped += late - 1;
            next = next + Nanos(interval.0.saturating_mul(late - 1));
        }
        self.next = self.within_duty(next);
    }

    /// Goes on at `until`: the guard has paused it.
    pub fn pause(&mut self, until: Nanos) {
        self.next = self.within_duty(self.next.max(until));
    }

    /// `at`, or the start of the next period if the storm is off then.
    fn within_duty(&self, at: Nanos) -> Nanos {
        let period = self.storm.period;
        let elapsed = at.since(self.start);
        let into = Nanos(elapsed.0 % period.0);
        if into < self.storm.duty.of(period) {
            return at;
        }
        at + (period - into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn course(text: &str) -> Course {
        let scenario = Scenario::parse("test", text).unwrap();
        Course::start(scenario.storms[0].clone(), Nanos(1_000))
    }

    /// The instants of the first `count` bursts, carried out in time.
    fn instants(course: &mut Course, count: usize) -> Vec<u64> {
        (0..count)
            .map(|_| {
                let at = course.next();
                course.advance(at);
                at.0 - 1_000
            })
            .collect()
    }

    #[test]
    fn bursts_keep_the_rate() {
        let mut course = course("[[storm]]\nrate = '20kHz'\nburst = 4");
        assert_eq!(instants(&mut course, 3), [0, 200_000, 400_000]);
    }

    #[test]
    fn duty_silences_the_rest_of_each_period() {
        let mut course = course("[[storm]]\nrate = '1kHz'\nduty = '30%'\nperiod = '10ms'");
        let ms: Vec<u64> = instants(&mut course, 7)
            .iter()
            .map(|ns| ns / 1_000_000)
            .collect();
        assert_eq!(ms, [0, 1, 2, 10, 11, 12, 20]);
    }

    #[test]
    fn a_late_device_lets_instants_go_and_counts_them() {
        let mut course = course("[[storm]]\nrate = '1kHz'");
        course.advance(Nanos(1_000 + 5_500_000));
        assert_eq!(course.next(), Nanos(1_000 + 4_000_000));
        assert_eq!(course.skipped(), 3);
    }

    #[test]
    fn a_pause_moves_the_next_burst() {
        let mut course = course("[[storm]]\nrate = '1kHz'");
        course.pause(Nanos(7_000_000));
        assert_eq!(course.next(), Nanos(7_000_000));
    }
}
