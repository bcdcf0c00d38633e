// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Interrupts with no completion behind them.

mod guard;

use std::sync::Arc;

use crate::scenario::{Storm, StormRate};
use crate::units::Nanos;

pub use guard::{Guard, Permit};

/// One storm of what is in force: whether it runs, and when it strikes next.
#[derive(Clone, Debug)]
pub struct Course {
    storm: Arc<Storm>,
    id: u64,
    start: Nanos,
    next: Nanos,
    running: bool,
    parked: bool,
}

impl Course {
    /// A storm that rests until it is set off.
    pub fn new(storm: Storm) -> Course {
        Course {
            storm: Arc::new(storm),
            id: 0,
            start: Nanos::ZERO,
            next: Nanos::ZERO,
            running: false,
            parked: false,
        }
    }

    /// Sets the storm off at `now`: it strikes at once. `id` is new, so that
    /// strikes planned before are known as stale.
    pub fn start(&mut self, id: u64, now: Nanos) {
        self.id = id;
        self.start = now;
        self.next = now;
        self.running = true;
        self.parked = false;
    }

    /// Has it rest.
    pub fn stop(&mut self) {
        self.running = false;
        self.parked = false;
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// The id that it was last set off with.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Lets the storm rest while none of its queues has a driver.
    pub fn park(&mut self) {
        self.parked = true;
    }

    /// Whether it would run, had one of its queues a driver.
    pub fn is_parked(&self) -> bool {
        self.parked
    }

    /// What the scenario says of it.
    pub fn storm(&self) -> &Arc<Storm> {
        &self.storm
    }

    /// When it strikes next.
    pub fn next(&self) -> Nanos {
        self.next
    }

    /// Moves on to the burst after the one just carried out at `now`. A device
    /// that is late by more than one interval lets the missed ones go, and says
    /// how many: fired together they would merge into one interrupt anyway. A
    /// flood strikes again as soon as anything else had its turn.
    pub fn advance(&mut self, now: Nanos) -> u64 {
        if self.storm.rate == StormRate::Max {
            self.next = self.within_duty(now + Nanos(1));
            return 0;
        }
        let interval = self.storm.interval();
        let mut next = self.next + interval;
        let late = now.since(next).0 / interval.0;
        let skipped = late.saturating_sub(1);
        next = next + Nanos(interval.0.saturating_mul(skipped));
        self.next = self.within_duty(next);
        skipped
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
        let mut course = Course::new(scenario.phases[0].script.storms[0].clone());
        course.start(1, Nanos(1_000));
        course
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
        assert_eq!(course.advance(Nanos(1_000 + 5_500_000)), 3);
        assert_eq!(course.next(), Nanos(1_000 + 4_000_000));
    }

    #[test]
    fn a_flood_strikes_again_at_once_and_skips_nothing() {
        let text = "hostile = true\n[[storm]]\nrate = 'max'\ncross_kill_line = true";
        let mut course = course(text);
        assert_eq!(course.advance(Nanos(9_000_000)), 0);
        assert_eq!(course.next(), Nanos(9_000_001));
    }

    #[test]
    fn a_pause_moves_the_next_burst() {
        let mut course = course("[[storm]]\nrate = '1kHz'");
        course.pause(Nanos(7_000_000));
        assert_eq!(course.next(), Nanos(7_000_000));
    }
}
