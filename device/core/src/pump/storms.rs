// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Interrupts with no completion behind them: storms on the pump's timeline,
//! volleys, and those that a command asks for.

use std::sync::Arc;

use super::Pump;
use super::turn::{Due, Moment};
use crate::event::What;
use crate::filter::Choice;
use crate::queue::RequestQueue;
use crate::request::QueueId;
use crate::scenario::{Storm, StormRate};
use crate::storm::{Course, Permit};
use crate::units::Nanos;

/// Interrupts at least of a storm without a pause before anything else has its
/// turn: some microseconds' worth. The turn would cost as much as one of them.
const FLOOD: u32 = 16;

/// What became of some interrupts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fired {
    pub(super) written: u64,
    pub(super) withheld: u64,
    /// Whether any of the queues has a driver.
    attached: bool,
    /// Until when the guard lets none through.
    paused_until: Option<Nanos>,
}

/// One interrupt on each of several queues.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Volley {
    pub(super) queues: u32,
    pub(super) withheld: u32,
    pub(super) skew: Nanos,
}

impl<Q: RequestQueue> Pump<Q> {
    /// A storm strikes.
    pub(super) fn burst(&mut self, id: u64, planned: Nanos, moment: Moment) {
        let Some(index) = self.running_storm(id) else {
            return;
        };
        let storm = Arc::clone(self.storms[index].storm());
        let spread = storm.gap > Nanos::ZERO && storm.burst > 1;
        let count = match storm.rate {
            _ if spread => 1,
            StormRate::Max => storm.burst.max(FLOOD),
            StormRate::Every(_) => storm.burst,
        };
        let fired = self.strike(&storm, count, planned, moment);
        let course = &mut self.storms[index];
        if !fired.attached && !storm.config {
            return course.park();
        }
        self.storm_skipped += course.advance(moment.now);
        if let Some(until) = fired.paused_until {
            course.pause(until);
        }
        let next = course.next();
        self.desk.timeline.insert(next, Due::Burst(id));
        if spread && fired.paused_until.is_none() {
            let rest = Due::Strike(id, storm.burst - 1);
            self.desk.timeline.insert(planned + storm.gap, rest);
        }
    }

    /// The next interrupt of a burst with gaps, `left` being left.
    pub(super) fn strike_on(&mut self, id: u64, left: u32, planned: Nanos, moment: Moment) {
        let Some(index) = self.running_storm(id) else {
            return;
        };
        let storm = Arc::clone(self.storms[index].storm());
        self.strike(&storm, 1, planned, moment);
        if left > 1 {
            let rest = Due::Strike(id, left - 1);
            self.desk.timeline.insert(planned + storm.gap, rest);
        }
    }

    fn running_storm(&self, id: u64) -> Option<usize> {
        let running = |course: &Course| course.id() == id && course.is_running();
        self.storms.iter().position(running)
    }

    /// Writes `count` interrupts of a storm wherever it strikes.
    fn strike(&mut self, storm: &Storm, count: u32, planned: Nanos, moment: Moment) -> Fired {
        if storm.config {
            return self.fire_config(count, planned, moment);
        }
        if storm.volley {
            return self.volley_of(storm, planned, moment);
        }
        let overriding = storm.cross_kill_line;
        self.fire_queues(&storm.queues, count, overriding, planned, moment)
    }

    /// Writes `count` interrupts on each of some queues, as far as the guard
    /// permits, or whatever it says.
    pub(super) fn fire_queues(
        &mut self,
        queues: &Choice<QueueId>,
        count: u32,
        overriding: bool,
        planned: Nanos,
        moment: Moment,
    ) -> Fired {
        let mut fired = Fired::default();
        for lane in &mut self.lanes {
            if !queues.takes(&lane.id) || !lane.is_attached() {
                continue;
            }
            fired.attached = true;
            let queue = lane.id;
            let mut turn = self.desk.turn(moment);
            let permitted = match lane.guard.ask(count, moment.now) {
                Permit::Go(_) if overriding => count,
                Permit::Go(permitted) => permitted,
                Permit::PauseUntil(_) if overriding => {
                    lane.guard.overridden(count, moment.now);
                    count
                }
                Permit::PauseUntil(until) => {
                    fired.paused_until = fired.paused_until.max(Some(until));
                    self.guard_pauses += 1;
                    turn.record(What::GuardPaused { queue, until });
                    0
                }
            };
            if permitted > 0 {
                lane.fire(permitted, planned, &mut turn);
            }
            fired.written += u64::from(permitted);
            fired.withheld += u64::from(count - permitted);
            lane.counters.withheld += u64::from(count - permitted);
        }
        fired
    }

    /// Writes the configuration's interrupt.
    pub(super) fn fire_config(&mut self, count: u32, planned: Nanos, moment: Moment) -> Fired {
        let line = self.config_line.as_ref();
        let write = |_: &u32| line.is_some_and(|line| line.signal());
        let written = u32::try_from((0..count).filter(write).count()).unwrap_or(count);
        let refused = count - written;
        self.config.signalled += u64::from(written);
        self.config.refused += u64::from(refused);
        let what = What::ConfigSignalled {
            count,
            refused,
            planned,
        };
        self.desk.turn(moment).record(what);
        Fired {
            written: written.into(),
            withheld: refused.into(),
            ..Fired::default()
        }
    }

    fn volley_of(&mut self, storm: &Storm, planned: Nanos, moment: Moment) -> Fired {
        let overriding = storm.cross_kill_line;
        let volley = self.volley(&storm.queues, overriding, planned, moment);
        let attached = volley.queues + volley.withheld > 0;
        Fired {
            written: volley.queues.into(),
            withheld: volley.withheld.into(),
            attached,
            paused_until: None,
        }
    }

    /// Writes one interrupt on each of some queues. Which of them may be
    /// written is asked first: between the writes there is nothing else.
    pub(super) fn volley(
        &mut self,
        queues: &Choice<QueueId>,
        overriding: bool,
        planned: Nanos,
        moment: Moment,
    ) -> Volley {
        let mut volley = Volley::default();
        let mut struck = std::mem::take(&mut self.struck);
        struck.clear();
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if !queues.takes(&lane.id) || !lane.is_attached() {
                continue;
            }
            let permitted = match overriding {
                true => {
                    lane.guard.overridden(1, moment.now);
                    true
                }
                false => lane.may_fire(1, moment.now) == 1,
            };
            match permitted {
                true => struck.push(index),
                false => volley.withheld += 1,
            }
        }
        let first = moment.clock.now();
        for &index in &struck {
            self.lanes[index].fire_silently(1);
        }
        volley.skew = moment.clock.now() - first;
        volley.queues = u32::try_from(struck.len()).unwrap_or(u32::MAX);
        self.struck = struck;
        let what = What::Volley {
            queues: volley.queues,
            skew: volley.skew,
            planned,
        };
        self.desk.turn(moment).record(what);
        volley
    }

    /// Sets off the storms that rested for want of a driver.
    pub(super) fn unpark_storms(&mut self, now: Nanos) {
        for index in 0..self.storms.len() {
            if self.storms[index].is_parked() {
                self.start_storm(index, now);
            }
        }
    }

    /// Sets off one storm, anew if it runs already.
    pub(super) fn start_storm(&mut self, index: usize, now: Nanos) {
        self.last_storm += 1;
        let id = self.last_storm;
        self.storms[index].start(id, now);
        self.desk.timeline.insert(now, Due::Burst(id));
    }

    /// The storms of another phase or scenario are in force. With `keep`, those
    /// that were in force already go on as they are, or rest if they did.
    pub(super) fn set_storms(&mut self, storms: &[Storm], keep: bool, now: Nanos) {
        let mut before = std::mem::take(&mut self.storms);
        for storm in storms {
            let same = |course: &Course| keep && **course.storm() == *storm;
            if let Some(index) = before.iter().position(same) {
                self.storms.push(before.swap_remove(index));
                continue;
            }
            self.storms.push(Course::new(storm.clone()));
            if storm.active {
                self.start_storm(self.storms.len() - 1, now);
            }
        }
    }
}
