// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The scenario's storms on the pump's timeline.

use super::{Due, Pump, queue_id};
use crate::event::What;
use crate::queue::RequestQueue;
use crate::scenario::Storm;
use crate::storm::{Course, Permit};
use crate::units::Nanos;

impl<Q: RequestQueue> Pump<Q> {
    /// One burst of a storm on each of its queues, as far as the guard permits.
    pub(super) fn burst(&mut self, storm: usize, planned: Nanos, now: Nanos) {
        let Some(course) = self.storms.get(storm) else {
            return;
        };
        let config = course.storm().clone();
        let mut paused_until = None;
        let mut attached = false;
        for index in 0..self.lanes.len() {
            let queue = queue_id(index);
            let struck = config.queues.is_empty() || config.queues.contains(&queue);
            if !struck || !self.lanes[index].is_attached() {
                continue;
            }
            attached = true;
            let permit = match config.cross_kill_line {
                true => Permit::Go(config.burst),
                false => self.lanes[index].guard.ask(config.burst, now),
            };
            match permit {
                Permit::Go(count) => {
                    self.lanes[index].fire(count, planned, now, self.events.as_mut());
                }
                Permit::PauseUntil(until) => {
                    paused_until = paused_until.max(Some(until));
                    self.guard_pauses += 1;
                    self.record(now, What::GuardPaused { queue, until });
                }
            }
        }
        let course = &mut self.storms[storm];
        if !attached {
            return course.park();
        }
        let skipped = course.skipped();
        course.advance(now);
        self.storm_skipped += course.skipped() - skipped;
        if let Some(until) = paused_until {
            course.pause(until);
        }
        let change = self.change;
        self.timeline
            .insert(course.next(), Due::Burst { change, storm });
    }

    /// Sets off the storms that rested for want of a driver.
    pub(super) fn unpark_storms(&mut self, now: Nanos) {
        let change = self.change;
        for (storm, course) in self.storms.iter_mut().enumerate() {
            if course.unpark(now) {
                self.timeline.insert(now, Due::Burst { change, storm });
            }
        }
    }

    /// Stops all storms, and sets off anew those of the scenario that `chosen`
    /// names.
    pub(super) fn start_storms(&mut self, chosen: impl Fn(&Storm) -> bool, now: Nanos) {
        self.change += 1;
        let change = self.change;
        let storms = self.scenario.storms.iter().filter(|storm| chosen(storm));
        self.storms = storms
            .map(|storm| Course::start(storm.clone(), now))
            .collect();
        for storm in 0..self.storms.len() {
            self.timeline.insert(now, Due::Burst { change, storm });
        }
    }
}
