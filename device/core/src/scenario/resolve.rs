// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From keys and values to phases with everything that is in force in them.

use super::phase::check_name;
use super::raw::{Raw, RawPhase, RawRule};
use super::sweep::{self, Sweep};
use super::{
    BadValue, Behaviour, Document, Interrupt, MAX_PHASES, MAX_RULES, Order, Phase, Recovery, Rule,
    Scenario, ScenarioError, Script, Storm,
};

/// Storms that run at a time.
const MAX_STORMS: usize = 64;

/// Rules over all phases: each phase has all that are tried in it.
const MAX_RULES_IN_ALL: usize = 100_000;

/// Bytes of text over all steps of a sweep, each of which reads it anew.
const MAX_SWEPT_TEXT: usize = 64 << 20;

/// The scenario that a document says.
pub(super) fn scenario(document: Document) -> Result<Scenario, ScenarioError> {
    let raw = document.raw()?;
    let wrong = |bad| ScenarioError::value(document.name(), bad);
    let phases = match &raw.sweep {
        Some(sweep) if !raw.phases.is_empty() => {
            let allowed = "not together with [[phase]]: its steps are the phases";
            return Err(wrong(BadValue::at("sweep", "knob", &sweep.knob, allowed)));
        }
        Some(sweep) => swept(&document, sweep)?,
        None => phases(&raw).map_err(wrong)?,
    };
    let rules: usize = phases.iter().map(|phase| phase.script.rules.len()).sum();
    if rules > MAX_RULES_IN_ALL {
        let allowed = format!("at most {MAX_RULES_IN_ALL} over all phases");
        return Err(wrong(BadValue::at("", "rule", rules, allowed)));
    }
    Ok(Scenario {
        description: raw.description,
        seed: raw.seed,
        hostile: raw.hostile,
        phases,
        repeat: raw.repeat,
        document,
    })
}

/// One phase for each step of a sweep.
fn swept(document: &Document, sweep: &Sweep) -> Result<Vec<Phase>, ScenarioError> {
    let wrong = |bad| ScenarioError::value(document.name(), bad);
    sweep.each.check("sweep.each").map_err(wrong)?;
    let steps = sweep.steps().map_err(wrong)?;
    if document.to_text().len().saturating_mul(steps.len()) > MAX_SWEPT_TEXT {
        let allowed = format!("steps times the scenario's bytes are at most {MAX_SWEPT_TEXT}");
        return Err(wrong(BadValue::at("sweep", "steps", steps.len(), allowed)));
    }
    let mut phases = Vec::new();
    for value in steps {
        let text = value.as_str().map_or(value.to_string(), str::to_owned);
        let raw = document.with(&sweep.knob, value)?.raw()?;
        phases.push(Phase {
            name: format!("{}={text}", sweep.knob),
            until: sweep.each.clone(),
            mark: Some(sweep::MARK.to_owned()),
            release: false,
            script: script(&raw).map_err(wrong)?,
        });
    }
    Ok(phases)
}

/// The phases of a scenario without a sweep; one if it names none.
fn phases(raw: &Raw) -> Result<Vec<Phase>, BadValue> {
    let whole = script(raw)?;
    if raw.phases.is_empty() {
        let script = whole;
        return Ok(vec![Phase {
            script,
            ..Phase::default()
        }]);
    }
    if raw.phases.len() > MAX_PHASES {
        let allowed = format!("at most {MAX_PHASES}");
        return Err(BadValue::at("", "phase", raw.phases.len(), allowed));
    }
    let each = raw.phases.iter().enumerate();
    each.map(|(index, phase)| one_phase(raw, &whole, phase, index))
        .collect()
}

fn one_phase(raw: &Raw, whole: &Script, phase: &RawPhase, index: usize) -> Result<Phase, BadValue> {
    let at = format!("phase[{index}]");
    let name = match &phase.name {
        Some(name) => name.clone(),
        None => format!("phase {index}"),
    };
    check_name(&name, &at, "name")?;
    phase.until.check(&format!("{at}.until"))?;
    if let Some(mark) = &phase.mark {
        check_name(mark, &at, "mark")?;
    }
    phase.keys().check(&at, raw.hostile)?;
    let base = phase.keys().over(&whole.base, &raw.profiles, &at)?;
    // Rules lie over the base of the phase that they apply in.
    let mut rules = rules(raw, &phase.rules, &base, &at)?;
    rules.extend(self::rules(raw, &raw.rules, &base, "")?);
    let mut storms = storms(raw, &phase.storms, &format!("{at}."), &format!("{name} "))?;
    storms.extend(whole.storms.iter().cloned());
    let order = phase.order.unwrap_or(whole.order);
    let script = checked(base, order, rules, storms, &at)?;
    Ok(Phase {
        name,
        until: phase.until.clone(),
        mark: phase.mark.clone(),
        release: phase.release,
        script,
    })
}

/// What is in force outside of phases.
fn script(raw: &Raw) -> Result<Script, BadValue> {
    for (name, profile) in &raw.profiles {
        let at = format!("profiles.{name}");
        if let Some(other) = &profile.profile {
            let allowed = "a profile does not build on another";
            return Err(BadValue::at(&at, "profile", other, allowed));
        }
        profile.check(&at, raw.hostile)?;
    }
    raw.keys().check("", raw.hostile)?;
    let base = raw.keys().over(&Behaviour::default(), &raw.profiles, "")?;
    let rules = rules(raw, &raw.rules, &base, "")?;
    let storms = storms(raw, &raw.storms, "", "")?;
    checked(base, raw.order, rules, storms, "")
}

/// Refuses what is good in each part and not in the whole.
fn checked(
    base: Behaviour,
    order: Order,
    rules: Vec<Rule>,
    storms: Vec<Storm>,
    at: &str,
) -> Result<Script, BadValue> {
    order.check(&prefixed(at, "order"))?;
    if rules.len() > MAX_RULES {
        let allowed = format!("at most {MAX_RULES}");
        return Err(BadValue::at(at, "rule", rules.len(), allowed));
    }
    if storms.len() > MAX_STORMS {
        let allowed = format!("at most {MAX_STORMS}");
        return Err(BadValue::at(at, "storm", storms.len(), allowed));
    }
    let behaviours = rules.iter().map(|rule| &rule.behaviour).chain([&base]);
    let by_storm = Interrupt::Never {
        recovered_by: Recovery::Storm,
    };
    let waits_for_storm = behaviours
        .into_iter()
        .any(|behaviour| behaviour.interrupt == by_storm);
    let can_help = |storm: &Storm| !storm.config && storm.active;
    if waits_for_storm && !storms.iter().any(can_help) {
        let key = prefixed(at, "interrupt.never");
        let allowed = "a scenario with an active [[storm]] on the queues";
        return Err(BadValue::at(&key, "recovered_by", "storm", allowed));
    }
    Ok(Script {
        base,
        order,
        rules,
        storms,
    })
}

fn prefixed(at: &str, key: &str) -> String {
    match at {
        "" => key.to_owned(),
        at => format!("{at}.{key}"),
    }
}

fn rules(raw: &Raw, list: &[RawRule], base: &Behaviour, at: &str) -> Result<Vec<Rule>, BadValue> {
    let each = list.iter().enumerate();
    each.map(|(index, rule)| {
        let at = prefixed(at, &format!("rule[{index}]"));
        rule.keys().check(&at, raw.hostile)?;
        if rule.every == Some(0) {
            return Err(BadValue::at(&at, "every", 0, "at least 1"));
        }
        let behaviour = rule.keys().over(base, &raw.profiles, &at)?;
        let name = match &rule.name {
            Some(name) => name.clone(),
            None => format!("rule {index}"),
        };
        check_name(&name, &at, "name")?;
        Ok(Rule {
            name,
            selector: rule.selector(),
            behaviour,
        })
    })
    .collect()
}

/// The storms of a list; those without a name are called by `of` and their
/// place.
fn storms(raw: &Raw, list: &[Storm], at: &str, of: &str) -> Result<Vec<Storm>, BadValue> {
    let each = list.iter().enumerate();
    each.map(|(index, storm)| {
        let at = format!("{at}storm[{index}]");
        storm.check(&at, raw.hostile)?;
        let mut storm = storm.clone();
        if !storm.name.is_empty() {
            check_name(&storm.name, &at, "name")?;
        }
        if storm.name.is_empty() {
            storm.name = format!("{of}storm {index}");
        }
        Ok(storm)
    })
    .collect()
}
