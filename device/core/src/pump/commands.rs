// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The control protocol's commands, carried out between two ticks.

use serde::Serialize;
use serde_json::Value;

use super::{Pump, queue_id};
use crate::control::{
    Code, Command, FireReply, HeldEntry, HoldReply, ListReply, MAX_FIRE, MAX_LIST, Part, Refusal,
    ReleaseReply, ScenarioReply, Selection, StatusReply, StormReply,
};
use crate::counters::Counters;
use crate::event::What;
use crate::queue::RequestQueue;
use crate::request::{QueueId, RequestId};
use crate::scenario::Scenario;
use crate::storm::Permit;
use crate::units::Nanos;

type Answer = Result<Value, Refusal>;

fn reply<T: Serialize>(reply: T) -> Answer {
    serde_json::to_value(reply).map_err(|e| Refusal::new(Code::BadRequest, e.to_string()))
}

impl<Q: RequestQueue> Pump<Q> {
    /// Carries a command out and records it, unless it only asks.
    pub(super) fn command(&mut self, command: Command, now: Nanos) -> Answer {
        let asks_only = matches!(command, Command::Status {} | Command::List { .. });
        let recorded = (!asks_only).then(|| serde_json::to_value(&command));
        let answer = self.carry_out(command, now);
        if let (Some(Ok(command)), Ok(_)) = (recorded, &answer) {
            self.record(now, What::Commanded { command });
        }
        answer
    }

    fn carry_out(&mut self, command: Command, now: Nanos) -> Answer {
        match command {
            Command::Status {} => reply(self.status()),
            Command::Hold { on } => {
                self.holding = on;
                reply(HoldReply { holding: on })
            }
            Command::List { limit } => reply(self.list(limit.unwrap_or(MAX_LIST), now)),
            Command::Release(selection) => self.release(&selection, now),
            Command::Fire { queue, count } => self.fire(queue, count, now),
            Command::Storm { on } => self.storm(on, now),
            Command::Scenario { toml, name } => self.replace_scenario(&toml, name, now),
        }
    }

    fn status(&self) -> StatusReply {
        let mut queues: Vec<Counters> = self.lanes.iter().map(|lane| lane.counters).collect();
        let used = queues
            .iter()
            .rposition(|queue| *queue != Counters::default());
        queues.truncate(used.map_or(0, |last| last + 1));
        let mut total = Counters::default();
        for queue in &queues {
            total.add(queue);
        }
        StatusReply {
            scenario: self.scenario_name.clone(),
            seed: self.seed,
            holding: self.holding,
            storming: !self.storms.is_empty(),
            connected: self.lanes.iter().any(super::Lane::is_attached),
            total,
            queues,
            events_dropped: self.events.dropped(),
            guard_pauses: self.guard_pauses,
            storm_skipped: self.storm_skipped,
        }
    }

    fn list(&self, limit: u32, now: Nanos) -> ListReply {
        let limit = usize::try_from(limit.min(MAX_LIST)).unwrap_or(usize::MAX);
        let entry = |(request, queue): (RequestId, QueueId)| {
            let lane = self.lanes.get(usize::from(queue.0))?;
            let in_flight = lane.get(request)?;
            Some(HeldEntry {
                request,
                queue,
                operation: in_flight.operation,
                sector: in_flight.sector,
                bytes: in_flight.bytes,
                age: now.since(in_flight.arrived),
            })
        };
        ListReply {
            total: self.held.len() as u64,
            held: self.held.iter().filter_map(entry).take(limit).collect(),
        }
    }

    fn known(&self, queue: Option<QueueId>) -> Result<(), Refusal> {
        match queue {
            Some(queue) if usize::from(queue.0) >= self.lanes.len() => Err(Refusal::new(
                Code::NotFound,
                format!(
                    "there is no queue {}: this device has queues 0 to {}",
                    queue.0,
                    self.lanes.len().saturating_sub(1)
                ),
            )),
            _ => Ok(()),
        }
    }

    fn release(&mut self, selection: &Selection, now: Nanos) -> Answer {
        self.known(selection.queue)?;
        if selection.part == Part::Interrupt {
            return self.release_interrupts(selection, now);
        }
        let chosen = self.select(selection);
        if let (Some(request), true) = (selection.request, chosen.is_empty()) {
            return Err(Refusal::new(
                Code::NotFound,
                format!("request {} is not held: 'list' shows what is", request.0),
            ));
        }
        let owe_interrupt = selection.part == Part::Completion;
        for &(request, queue) in &chosen {
            self.held.remove(request);
            self.complete(queue, request, now, owe_interrupt, now);
        }
        self.flush_dirty(now);
        reply(ReleaseReply {
            released: chosen.len() as u64,
        })
    }

    /// The held requests that a selection names, oldest first.
    fn select(&self, selection: &Selection) -> Vec<(RequestId, QueueId)> {
        let most = selection.count.map_or(usize::MAX, |count| {
            usize::try_from(count).unwrap_or(usize::MAX)
        });
        let matches = |&(request, queue): &(RequestId, QueueId)| {
            let lane = self.lanes.get(usize::from(queue.0));
            let operation = lane.and_then(|lane| lane.get(request)).map(|r| r.operation);
            selection.request.is_none_or(|wanted| wanted == request)
                && selection.queue.is_none_or(|wanted| wanted == queue)
                && selection
                    .operation
                    .is_none_or(|wanted| Some(wanted) == operation)
        };
        self.held.iter().filter(matches).take(most).collect()
    }

    /// Decides the interrupts that `completion` releases have left owed.
    fn release_interrupts(&mut self, selection: &Selection, now: Nanos) -> Answer {
        let mut released = 0;
        for index in 0..self.lanes.len() {
            let queue = queue_id(index);
            if selection.queue.is_some_and(|wanted| wanted != queue) {
                continue;
            }
            match self.lanes[index].decide(now, false, now, self.events.as_mut()) {
                Ok(decided) => released += decided,
                Err(error) => self.break_queue(queue, &error, now),
            }
        }
        reply(ReleaseReply { released })
    }

    fn fire(&mut self, queue: Option<QueueId>, count: u32, now: Nanos) -> Answer {
        self.known(queue)?;
        if count == 0 || count > MAX_FIRE {
            return Err(Refusal::new(
                Code::BadRequest,
                format!("count is {count}: 1 to {MAX_FIRE} interrupts are fired at once"),
            ));
        }
        let (mut fired, mut withheld) = (0, 0);
        for index in 0..self.lanes.len() {
            let struck = queue.is_none_or(|wanted| usize::from(wanted.0) == index);
            let lane = &mut self.lanes[index];
            if !struck || !lane.is_attached() {
                continue;
            }
            let permitted = match lane.guard.ask(count, now) {
                Permit::Go(permitted) => permitted,
                Permit::PauseUntil(_) => 0,
            };
            if permitted > 0 {
                lane.fire(permitted, now, now, self.events.as_mut());
            }
            fired += u64::from(permitted);
            withheld += u64::from(count - permitted);
        }
        reply(FireReply { fired, withheld })
    }

    fn storm(&mut self, on: bool, now: Nanos) -> Answer {
        if on && self.scenario.storms.is_empty() {
            return Err(Refusal::new(
                Code::NotFound,
                format!("scenario {} has no [[storm]] to start", self.scenario_name),
            ));
        }
        self.start_storms(|_| on, now);
        reply(StormReply {
            storms: self.scenario.storms.len(),
            storming: on,
        })
    }

    fn replace_scenario(&mut self, toml: &str, name: String, now: Nanos) -> Answer {
        let scenario = Scenario::parse(&name, toml)
            .map_err(|e| Refusal::new(Code::BadScenario, e.to_string()))?;
        self.set_scenario(scenario, name.clone(), now);
        reply(ScenarioReply {
            scenario: name,
            seed: self.seed,
        })
    }
}
