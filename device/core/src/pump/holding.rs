// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is held and what lets it go: the completion, its interrupt, or both.

use super::interrupts::Decision;
use super::turn::{Due, Moment};
use super::{Answer, Pump, reply};
use crate::control::{Code, Part, Refusal, ReleaseReply, Selection};
use crate::event::What;
use crate::filter::Traits;
use crate::held::{HeldRequest, Pick};
use crate::queue::RequestQueue;
use crate::request::{QueueId, RequestId};
use crate::scenario::Interrupt;
use crate::units::Nanos;

impl<Q: RequestQueue> Pump<Q> {
    /// Whether any completions are held as they come.
    pub(super) fn is_holding(&self) -> bool {
        let script = &self.phase().script;
        let mut behaviours = script.rules.iter().map(|rule| &rule.behaviour);
        let by_script = script.base.hold || behaviours.any(|behaviour| behaviour.hold);
        !self.holds.is_empty() || (by_script && !self.unheld)
    }

    /// Whether a command has this request's completion held.
    pub(super) fn is_held_by_command(&self, traits: &Traits) -> bool {
        self.holds.iter().any(|filter| filter.takes(traits))
    }

    /// A completion that has come due is held if a command wants it so.
    pub(super) fn hold_if_asked(
        &mut self,
        queue: QueueId,
        request: RequestId,
        moment: Moment,
    ) -> bool {
        if self.holds.is_empty() {
            return false;
        }
        let Some(in_flight) = self.lane(queue).and_then(|lane| lane.get(request)) else {
            return false;
        };
        let held = HeldRequest {
            traits: in_flight.traits,
            arrived: in_flight.arrived,
        };
        if !self.is_held_by_command(&held.traits) {
            return false;
        }
        if let Some(lane) = self.lane(queue) {
            lane.hold(request, true);
        }
        self.held.insert(request, held);
        let what = What::Held { request, queue };
        self.desk.turn(moment).record(what);
        true
    }

    /// Carries the command `release` out.
    pub(super) fn release(&mut self, selection: &Selection, moment: Moment) -> Answer {
        self.known(&selection.queue)?;
        if selection.part == Part::Interrupt {
            return self.release_interrupts(selection, moment);
        }
        let chosen = self.chosen(selection, moment.now)?;
        for &(request, queue) in &chosen {
            self.held.remove(request);
            self.let_go(queue, request, selection.part, moment);
        }
        self.flush_dirty(moment);
        reply(ReleaseReply {
            released: chosen.len() as u64,
        })
    }

    /// Lets go all that is held.
    pub(super) fn release_all(&mut self, moment: Moment) {
        let everything = Pick {
            most: usize::MAX,
            ..Pick::default()
        };
        for (request, held) in self.held.pick(&everything) {
            self.held.remove(request);
            self.let_go(held.traits.queue, request, Part::Both, moment);
        }
        self.flush_dirty(moment);
    }

    /// The held requests that a selection names.
    fn chosen(
        &self,
        selection: &Selection,
        now: Nanos,
    ) -> Result<Vec<(RequestId, QueueId)>, Refusal> {
        let by_age = selection.min_age.map(|age| now - age);
        let pick = Pick {
            filter: selection.filter(),
            arrived_by: by_age.filter(|_| selection.min_age <= Some(now)),
            newest: selection.newest,
            most: selection.count.map_or(usize::MAX, |count| {
                usize::try_from(count).unwrap_or(usize::MAX)
            }),
        };
        let Some(request) = selection.request else {
            if selection.min_age.is_some_and(|age| age > now) {
                // Nothing is older than the device.
                return Ok(Vec::new());
            }
            let picked = self.held.pick(&pick).into_iter();
            return Ok(picked
                .map(|(request, held)| (request, held.traits.queue))
                .collect());
        };
        match self.held.get(request) {
            Some(held) if pick.filter.takes(&held.traits) => Ok(vec![(request, held.traits.queue)]),
            _ => Err(Refusal::new(
                Code::NotFound,
                format!("request {} is not held: 'list' shows what is", request.0),
            )),
        }
    }

    /// Lets one held request go: now, or after the time by which its interrupt
    /// is early.
    fn let_go(&mut self, queue: QueueId, request: RequestId, part: Part, moment: Moment) {
        let Some(lane) = self.lanes.get_mut(usize::from(queue.0)) else {
            return;
        };
        let interrupt = lane.hold(request, false).map(|held| held.plan.interrupt);
        if let (Some(Interrupt::Early { by, .. }), Part::Both) = (interrupt, part) {
            let mut turn = self.desk.turn(moment);
            lane.signal_early(moment.now, &mut turn);
            return turn.schedule(moment.now + by, Due::Completion(queue, request));
        }
        self.complete(queue, request, moment.now, part == Part::Completion, moment);
    }

    /// Decides the interrupts that `completion` releases have left owed.
    fn release_interrupts(&mut self, selection: &Selection, moment: Moment) -> Answer {
        let (times, each) = match selection.count {
            Some(count) => (count, 1),
            None => (1, u32::MAX),
        };
        // None is decided for what is in the ring and not visible yet.
        self.flush_dirty(moment);
        let mut released = 0;
        for index in 0..self.lanes.len() {
            let queue = self.lanes[index].id;
            if !selection.queue.takes(&queue) {
                continue;
            }
            for _ in 0..times {
                let mut turn = self.desk.turn(moment);
                let lane = &mut self.lanes[index];
                match lane.decide(Decision::WithoutDelay, each, moment.now, &mut turn) {
                    Ok(0) => break,
                    Ok(decided) => released += u64::from(decided),
                    Err(error) => self.break_queue(queue, &error, moment),
                }
            }
        }
        reply(ReleaseReply { released })
    }

    /// A lost completion comes back, unless it was released before.
    pub(super) fn come_back(
        &mut self,
        queue: QueueId,
        request: RequestId,
        planned: Nanos,
        moment: Moment,
    ) {
        if self.held.remove(request).is_some() {
            self.complete(queue, request, planned, false, moment);
        }
    }
}
