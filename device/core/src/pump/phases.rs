// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Phases and marks: what is in force when, and who is told.

use std::collections::BTreeMap;

use super::turn::Moment;
use super::{Pump, reply};
use crate::control::{Code, MAX_WAIT, MarkReply, PhaseReply, Refusal, Wait};
use crate::event::What;
use crate::inbox::Respond;
use crate::pattern::Scripted;
use crate::queue::RequestQueue;
use crate::scenario::{MAX_NAME, Phase, Scenario, Until};
use crate::units::Nanos;

/// Marks that a device remembers; names come from guests.
const MAX_MARKS: usize = 1_024;

/// Clients' waits under way.
const MAX_WAITS: usize = 256;

/// How long a client waits that does not say.
const USUAL_WAIT: Nanos = Nanos::from_millis(60_000);

/// Where a scenario is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    index: usize,
    round: u64,
    began: Nanos,
    requests: u64,
    /// When it ends, if it ends by time.
    end: Option<Nanos>,
}

/// How often which mark was set, and who waits for one.
#[derive(Default)]
pub(super) struct Marks {
    counts: BTreeMap<String, u64>,
    waits: Vec<Waiting>,
    /// When the first of them has waited long enough.
    next_end: Option<Nanos>,
}

struct Waiting {
    mark: String,
    count: u64,
    until: Nanos,
    respond: Respond,
}

impl Progress {
    pub(super) fn end(&self) -> Option<Nanos> {
        self.end
    }
}

impl Marks {
    pub(super) fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    pub(super) fn next_end(&self) -> Option<Nanos> {
        self.next_end
    }

    /// Takes out the waits that `over` names.
    fn take(&mut self, over: impl FnMut(&mut Waiting) -> bool) -> Vec<Waiting> {
        let taken = self.waits.extract_if(.., over).collect();
        self.next_end = self.waits.iter().map(|wait| wait.until).min();
        taken
    }
}

impl<Q: RequestQueue> Pump<Q> {
    /// Another scenario is in force, from its first phase on.
    pub(super) fn set_scenario(&mut self, scenario: Scenario, name: String, moment: Moment) {
        if let Some(seed) = scenario.seed {
            self.seed = seed;
        }
        self.scenario = scenario;
        self.scenario_name = name;
        self.holds.clear();
        self.unheld = false;
        for lane in &mut self.lanes {
            lane.start_over();
        }
        let (scenario, seed) = (self.scenario_name.clone(), self.seed);
        let what = What::ScenarioSet { scenario, seed };
        self.desk.turn(moment).record(what);
        self.progress.round = 0;
        self.storms.clear();
        self.enter(0, moment);
    }

    /// The same scenario with other values: its phase, storms that are the same
    /// and counts go on.
    pub(super) fn adjust_scenario(&mut self, scenario: Scenario, moment: Moment) {
        if let Some(seed) = scenario.seed {
            self.seed = seed;
        }
        let same = scenario.phases.len() == self.scenario.phases.len();
        let until = self.phase().until.clone();
        self.scenario = scenario;
        if !same {
            return self.enter(0, moment);
        }
        if self.phase().until != until {
            self.await_phase_end();
        }
        let script = self.phase().script.clone();
        self.pattern = Scripted::new(&script, Some(&self.pattern));
        self.set_storms(&script.storms, true, moment.now);
    }

    /// The phase in force.
    pub(super) fn phase(&self) -> &Phase {
        // There is at least one, and the index is of one of them.
        &self.scenario.phases[self.progress.index]
    }

    /// Begins a phase.
    fn enter(&mut self, index: usize, moment: Moment) {
        let progress = &mut self.progress;
        progress.index = index.min(self.scenario.phases.len() - 1);
        progress.began = moment.now;
        progress.requests = 0;
        let Phase {
            name,
            mark,
            release,
            script,
            ..
        } = self.phase().clone();
        self.pattern = Scripted::new(&script, None);
        self.set_storms(&script.storms, true, moment.now);
        if self.scenario.phases.len() > 1 || !name.is_empty() {
            let what = What::PhaseEntered {
                phase: self.progress.index,
                name,
                round: self.progress.round,
            };
            self.desk.turn(moment).record(what);
        }
        self.await_phase_end();
        if release {
            self.release_all(moment);
        }
        if let Some(mark) = mark {
            // Never to end the phase that sets it.
            self.count_mark(&mark, moment);
        }
    }

    /// Has the phase in force end in time, if it ends by time.
    fn await_phase_end(&mut self) {
        self.progress.end = match self.phase().until {
            Until::Time(time) => Some(self.progress.began + time),
            _ => None,
        };
    }

    /// Goes on to the phase after the present one; the last one stays, unless
    /// another round follows. Returns whether there was one.
    fn next_phase(&mut self, moment: Moment) -> bool {
        let mut next = self.progress.index + 1;
        if next >= self.scenario.phases.len() {
            if !self.scenario.repeat.goes_on_after(self.progress.round) {
                return false;
            }
            self.progress.round += 1;
            next = 0;
        }
        self.enter(next, moment);
        true
    }

    /// Goes on to the next phase if the time of this one is over.
    pub(super) fn end_phase(&mut self, moment: Moment) {
        if self.progress.end.is_some_and(|end| end <= moment.now) {
            self.progress.end = None;
            self.next_phase(moment);
        }
    }

    /// A request was planned: it may have been its phase's last.
    pub(super) fn count_request(&mut self, moment: Moment) {
        self.progress.requests += 1;
        if self.phase().until == Until::Requests(self.progress.requests) {
            self.next_phase(moment);
        }
    }

    pub(super) fn phase_reply(&self, now: Nanos) -> PhaseReply {
        PhaseReply {
            index: self.progress.index,
            of: self.scenario.phases.len(),
            name: self.phase().name.clone(),
            until: self.phase().until.to_string(),
            round: self.progress.round,
            elapsed: now - self.progress.began,
            requests: self.progress.requests,
        }
    }

    /// Carries the command `phase` out.
    pub(super) fn go_to_phase(
        &mut self,
        to: Option<&str>,
        moment: Moment,
    ) -> Result<PhaseReply, Refusal> {
        let phases = &self.scenario.phases;
        match to {
            Some(name) => {
                let named = |phase: &Phase| phase.name == name;
                let index = phases.iter().position(named).ok_or_else(|| {
                    let names: Vec<&str> = phases.iter().map(|p| p.name.as_str()).collect();
                    let text = format!("there is no phase {name}: {}", names.join(", "));
                    Refusal::new(Code::NotFound, text)
                })?;
                self.enter(index, moment);
            }
            None => {
                if !self.next_phase(moment) {
                    let text = "this is the last phase, and no round follows";
                    return Err(Refusal::new(Code::NotFound, text));
                }
            }
        }
        Ok(self.phase_reply(moment.now))
    }

    /// Carries the command `mark` out.
    pub(super) fn set_mark(&mut self, mark: &str, moment: Moment) -> Result<MarkReply, Refusal> {
        let bad = |text: String| Err(Refusal::new(Code::BadRequest, text));
        if mark.is_empty() || mark.len() > MAX_NAME || mark.chars().any(char::is_control) {
            return bad(format!(
                "a mark has 1 to {MAX_NAME} bytes, none of them a control character"
            ));
        }
        if !self.marks.counts.contains_key(mark) && self.marks.counts.len() >= MAX_MARKS {
            let text = format!("there are {MAX_MARKS} marks already; use one of them again");
            return Err(Refusal::new(Code::Busy, text));
        }
        let count = self.count_mark(mark, moment);
        if matches!(&self.phase().until, Until::Mark(awaited) if awaited == mark) {
            self.next_phase(moment);
        }
        Ok(MarkReply {
            mark: mark.to_owned(),
            count,
        })
    }

    /// Counts a mark and answers those who have waited for it.
    fn count_mark(&mut self, mark: &str, moment: Moment) -> u64 {
        let count = self.marks.counts.entry(mark.to_owned()).or_default();
        *count += 1;
        let count = *count;
        let what = What::Marked {
            mark: mark.to_owned(),
            count,
        };
        self.desk.turn(moment).record(what);
        let come = |wait: &mut Waiting| wait.mark == mark && wait.count <= count;
        for wait in self.marks.take(come) {
            let mark = mark.to_owned();
            wait.respond.send(reply(MarkReply { mark, count }));
        }
        count
    }

    /// Carries the command `wait` out: answers when the mark has come.
    pub(super) fn wait_for(&mut self, wait: Wait, respond: Respond, now: Nanos) {
        let Wait {
            mark,
            count,
            timeout,
        } = wait;
        let set = self.marks.counts.get(&mark).copied().unwrap_or(0);
        let count = count.unwrap_or(set + 1);
        if set >= count {
            return respond.send(reply(MarkReply { mark, count: set }));
        }
        if mark.len() > MAX_NAME {
            let text = format!("a mark has at most {MAX_NAME} bytes");
            return respond.send(Err(Refusal::new(Code::BadRequest, text)));
        }
        drop(self.marks.take(|wait| !wait.respond.is_wanted()));
        if self.marks.waits.len() >= MAX_WAITS {
            let text = format!("{MAX_WAITS} wait for marks already");
            return respond.send(Err(Refusal::new(Code::Busy, text)));
        }
        let until = now + timeout.unwrap_or(USUAL_WAIT).min(MAX_WAIT);
        self.marks.waits.push(Waiting {
            mark,
            count,
            until,
            respond,
        });
        self.marks.next_end = self
            .marks
            .next_end
            .map_or(Some(until), |end| Some(end.min(until)));
    }

    /// Tells those who have waited long enough.
    pub(super) fn end_waits(&mut self, now: Nanos) {
        if self.marks.next_end.is_none_or(|end| end > now) {
            return;
        }
        for wait in self.marks.take(|wait| wait.until <= now) {
            let set = self.marks.counts.get(&wait.mark).copied().unwrap_or(0);
            let text = format!(
                "mark {} was not set in time: {set} of {} times",
                wait.mark, wait.count
            );
            wait.respond.send(Err(Refusal::new(Code::TimedOut, text)));
        }
    }
}
