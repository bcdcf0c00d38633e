// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The control protocol's commands, carried out between two ticks.

use serde_json::Value;

use super::turn::Moment;
use super::{Answer, Pump, reply};
use crate::control::{
    Code, Command, Fire, FireReply, Hold, HoldReply, KnobReply, List, ListReply, MAX_FIRE,
    MAX_LIST, MetricsReply, Refusal, ScenarioReply, StormReply, VolleyReply,
};
use crate::event::What;
use crate::filter::Choice;
use crate::held::Pick;
use crate::inbox::Respond;
use crate::metrics;
use crate::queue::RequestQueue;
use crate::request::QueueId;
use crate::scenario::{Scenario, ScenarioError};
use crate::units::Nanos;

/// Filters by which a client may hold at a time.
const MAX_HOLDS: usize = 64;

/// Whether a command only asks, so that it is no event.
fn asks_only(command: &Command) -> bool {
    matches!(
        command,
        Command::Status {}
            | Command::List(_)
            | Command::Get { .. }
            | Command::Wait(_)
            | Command::Metrics {}
    )
}

impl<Q: RequestQueue> Pump<Q> {
    /// Carries a command out, answers it, and records it unless it only asks.
    pub(super) fn command(&mut self, command: Command, respond: Respond, moment: Moment) {
        let command = match command {
            // Answered when the mark comes.
            Command::Wait(wait) => return self.wait_for(wait, respond, moment.now),
            command => command,
        };
        let recorded = (!asks_only(&command)).then(|| serde_json::to_value(&command));
        let answer = self.carry_out(command, moment);
        if let (Some(Ok(command)), Ok(_)) = (recorded, &answer) {
            self.desk.turn(moment).record(What::Commanded { command });
        }
        respond.send(answer);
    }

    fn carry_out(&mut self, command: Command, moment: Moment) -> Answer {
        match command {
            Command::Status {} => reply(self.status(moment.now)),
            Command::Hold(hold) => self.hold(&hold),
            Command::List(list) => reply(self.list(&list, moment.now)),
            Command::Release(selection) => self.release(&selection, moment),
            Command::Fire(fire) => self.fire(&fire, moment),
            Command::Volley {} => {
                let volley = self.volley(&Choice::default(), false, moment.now, moment);
                reply(VolleyReply {
                    queues: volley.queues,
                    withheld: volley.withheld,
                    skew: volley.skew,
                })
            }
            Command::Fail {} => self.fail(moment),
            Command::Storm { on, name } => self.storm(on, name.as_deref(), moment.now),
            Command::Scenario { toml, name } => self.replace_scenario(&toml, name, moment),
            Command::Set { knob, value } => self.turn_knob(knob, value, moment),
            Command::Get { knob } => self.look_at_knob(knob),
            Command::Phase { to } => reply(self.go_to_phase(to.as_deref(), moment)?),
            Command::Mark { name } => reply(self.set_mark(&name, moment)?),
            Command::Metrics {} => {
                let text = metrics::render(&self.status(moment.now));
                reply(MetricsReply { text })
            }
            // The first is carried out before, the other by whoever owns the
            // connection.
            Command::Wait(_) | Command::Subscribe(_) => {
                let text = "this is no command of the pump's";
                Err(Refusal::new(Code::BadRequest, text))
            }
        }
    }

    fn hold(&mut self, hold: &Hold) -> Answer {
        self.known(&hold.queue)?;
        let filter = hold.filter();
        if !hold.on {
            if !filter.is_any() {
                let text = "what is held by ends as a whole: hold off takes no filter";
                return Err(Refusal::new(Code::BadRequest, text));
            }
            self.holds.clear();
            self.unheld = true;
        } else if filter.is_any() {
            self.holds = vec![filter];
        } else if !self.holds.contains(&filter) {
            if self.holds.len() >= MAX_HOLDS {
                let text = format!("completions are held by {MAX_HOLDS} filters already");
                return Err(Refusal::new(Code::Busy, text));
            }
            self.holds.push(filter);
        }
        reply(HoldReply {
            holding: self.is_holding(),
        })
    }

    fn list(&self, list: &List, now: Nanos) -> ListReply {
        let limit = list.limit.unwrap_or(MAX_LIST).min(MAX_LIST);
        let picked = self.held.pick(&Pick {
            filter: list.filter(),
            arrived_by: None,
            newest: list.newest,
            most: usize::try_from(limit).unwrap_or(usize::MAX),
        });
        let entry = |&(request, held): &_| super::status::entry(request, &held, now);
        ListReply {
            total: self.held.len() as u64,
            held: picked.iter().map(entry).collect(),
        }
    }

    /// Refuses queues that there are not.
    pub(super) fn known(&self, queues: &Choice<QueueId>) -> Result<(), Refusal> {
        let count = self.lanes.len();
        let beyond = |queue: &&QueueId| usize::from(queue.0) >= count;
        match queues.values().iter().find(beyond) {
            Some(queue) => Err(Refusal::new(
                Code::NotFound,
                format!(
                    "there is no queue {}: this device has queues 0 to {}",
                    queue.0,
                    count.saturating_sub(1)
                ),
            )),
            None => Ok(()),
        }
    }

    fn fire(&mut self, fire: &Fire, moment: Moment) -> Answer {
        self.known(&fire.queue)?;
        let count = fire.count;
        if count == 0 || count > MAX_FIRE {
            let text = format!("count is {count}: 1 to {MAX_FIRE} interrupts are fired at once");
            return Err(Refusal::new(Code::BadRequest, text));
        }
        let fired = match fire.config {
            true if !fire.queue.is_any() => {
                let text = "either a queue's interrupts or the configuration's are fired";
                return Err(Refusal::new(Code::BadRequest, text));
            }
            true => self.fire_config(count, moment.now, moment),
            false => self.fire_queues(&fire.queue, count, false, moment.now, moment),
        };
        reply(FireReply {
            fired: fired.written,
            withheld: fired.withheld,
        })
    }

    fn storm(&mut self, on: bool, name: Option<&str>, now: Nanos) -> Answer {
        let named = |name: &&str| {
            self.storms
                .iter()
                .any(|course| course.storm().name == *name)
        };
        let missing = match name {
            Some(name) if !named(&name) => Some(format!("of the name {name}")),
            None if on && self.storms.is_empty() => Some("to start".to_owned()),
            _ => None,
        };
        if let Some(missing) = missing {
            let scenario = &self.scenario_name;
            let text = format!("scenario {scenario} has no [[storm]] {missing}");
            return Err(Refusal::new(Code::NotFound, text));
        }
        let mut storms = 0;
        for index in 0..self.storms.len() {
            if name.is_some_and(|name| self.storms[index].storm().name != name) {
                continue;
            }
            storms += 1;
            match on {
                true => self.start_storm(index, now),
                false => self.storms[index].stop(),
            }
        }
        reply(StormReply {
            storms,
            storming: self.is_storming(),
        })
    }

    fn replace_scenario(&mut self, toml: &str, name: String, moment: Moment) -> Answer {
        let scenario = Scenario::parse(&name, toml).map_err(refused)?;
        self.check_failures(&scenario)?;
        self.set_scenario(scenario, name.clone(), moment);
        reply(ScenarioReply {
            scenario: name,
            seed: self.seed,
        })
    }

    fn turn_knob(&mut self, knob: String, value: Value, moment: Moment) -> Answer {
        let before = self.knob(&knob);
        let toml = toml::Value::try_from(&value).map_err(|error| {
            let text = format!("{knob} = {value}: a scenario has no such value: {error}");
            Refusal::new(Code::BadRequest, text)
        })?;
        let scenario = self.scenario.with_knob(&knob, toml).map_err(refused)?;
        self.check_failures(&scenario)?;
        self.adjust_scenario(scenario, moment);
        reply(KnobReply {
            value: self.knob(&knob).unwrap_or_default(),
            before,
            knob,
        })
    }

    fn look_at_knob(&self, knob: Option<String>) -> Answer {
        let Some(knob) = knob else {
            return reply(KnobReply {
                knob: String::new(),
                value: self.scenario.document().to_text().into(),
                before: None,
            });
        };
        let value = self.knob(&knob).ok_or_else(|| {
            let text = format!("the scenario says nothing of {knob}; get without it shows all");
            Refusal::new(Code::NotFound, text)
        })?;
        reply(KnobReply {
            knob,
            value,
            before: None,
        })
    }

    /// What the scenario says at a path.
    fn knob(&self, knob: &str) -> Option<Value> {
        let value = self.scenario.document().get(knob)?;
        serde_json::to_value(value).ok()
    }
}

fn refused(error: ScenarioError) -> Refusal {
    Refusal::new(Code::BadScenario, error.to_string())
}
