// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The pattern that follows a scenario's phase.

use rand::{Rng, RngExt};

use super::{Arrival, Pattern};
use crate::plan::Plan;
use crate::request::QueueId;
use crate::scenario::{Behaviour, Rule, Script, Selector};
use crate::units::Fraction;

/// Plans as a [`Script`] says: by the first rule that takes a request, or by
/// the script's base.
#[derive(Clone, Debug)]
pub struct Scripted {
    base: Behaviour,
    rules: Vec<Rule>,
    /// For each rule with an `every`: how many its filter took, on each queue.
    matched: Vec<Vec<u64>>,
}

impl Scripted {
    /// The pattern of a script. Rules of `before` that have not changed go on
    /// counting.
    pub fn new(script: &Script, before: Option<&Scripted>) -> Scripted {
        let mut matched = vec![Vec::new(); script.rules.len()];
        if let Some(before) = before {
            let pairs = script.rules.iter().zip(&before.rules);
            for (index, (rule, old)) in pairs.enumerate() {
                if rule.selector == old.selector {
                    matched[index].clone_from(&before.matched[index]);
                }
            }
        }
        Scripted {
            base: script.base.clone(),
            rules: script.rules.clone(),
            matched,
        }
    }
}

/// How many of a queue a rule has been shown before this one.
fn count(matched: &mut Vec<u64>, queue: QueueId) -> u64 {
    let queue = usize::from(queue.0);
    if matched.len() <= queue {
        matched.resize(queue + 1, 0);
    }
    let before = matched[queue];
    matched[queue] += 1;
    before
}

/// Whether a rule takes a request that its filter takes.
fn takes(selector: &Selector, matched: &mut Vec<u64>, queue: QueueId, rng: &mut dyn Rng) -> bool {
    if let Some(every) = selector.every
        && !(count(matched, queue) + 1).is_multiple_of(every)
    {
        return false;
    }
    match selector.probability {
        None | Some(Fraction::WHOLE) => true,
        Some(share) => rng.random_range(0..1_000_000) < share.millionths(),
    }
}

impl Pattern for Scripted {
    fn plan(&mut self, arrival: &Arrival, rng: &mut dyn Rng) -> Plan {
        let traits = &arrival.traits;
        let rules = self.rules.iter().zip(&mut self.matched);
        let rule = rules.enumerate().find_map(|(index, (rule, matched))| {
            let selector = &rule.selector;
            let taken =
                selector.filter.takes(traits) && takes(selector, matched, traits.queue, rng);
            taken.then_some((index, &rule.behaviour))
        });
        let behaviour = rule.map_or(&self.base, |(_, behaviour)| behaviour);
        Plan {
            rule: rule.and_then(|(index, _)| u16::try_from(index).ok()),
            latency: behaviour.latency.draw(arrival.nth, rng),
            hold: behaviour.hold,
            interrupt: behaviour.interrupt,
            fault: behaviour.fault,
        }
    }
}
