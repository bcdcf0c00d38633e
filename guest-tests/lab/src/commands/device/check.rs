// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm device check`: what a scenario means, laid out.

use irqstorm_core::filter::{LbaRange, SizeRange, Span};
use irqstorm_core::scenario::{Behaviour, Phase, Repeat, Row, Scenario, Script, Storm, explain};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::CheckArguments;
use crate::failure::{Exit, Failure};
use crate::output::{self, FAINT, STRONG, paint};
use crate::repository::Repository;
use crate::results::table;

/// A recorded latency has thousands of values.
const LONGEST_VALUE: usize = 100;

/// Reads a scenario and prints what it means.
pub(crate) fn run(arguments: &CheckArguments) -> Result<Exit, Failure> {
    let found = Repository::find()?.scenario(&arguments.scenario)?;
    let text = match arguments.json {
        true => format!("{:#}", as_json(&found.name, &found.scenario)),
        false => as_text(&found.name, &found.scenario),
    };
    output::line(text.trim_end())?;
    Ok(Exit::Passed)
}

fn as_json(name: &str, scenario: &Scenario) -> Value {
    let phases: Vec<Value> = scenario.phases.iter().map(phase_json).collect();
    json!({
        "name": name,
        "description": scenario.description,
        "seed": scenario.seed,
        "hostile": scenario.hostile,
        "repeat": scenario.repeat,
        "phases": phases,
    })
}

fn phase_json(phase: &Phase) -> Value {
    let script = &phase.script;
    let rules: Vec<Value> = script
        .rules
        .iter()
        .map(|rule| json!({"name": rule.name, "behaviour": behaviour_json(&rule.behaviour)}))
        .collect();
    json!({
        "name": phase.name,
        "until": phase.until,
        "mark": phase.mark,
        "order": script.order,
        "base": behaviour_json(&script.base),
        "rules": rules,
        "storms": script.storms,
        "rows": explain(script),
    })
}

fn behaviour_json(behaviour: &Behaviour) -> Value {
    json!({
        "latency": behaviour.latency,
        "interrupt": behaviour.interrupt,
        "hold": behaviour.hold,
        "fault": behaviour.fault,
    })
}

fn as_text(name: &str, scenario: &Scenario) -> String {
    let mut lines = vec![paint(STRONG, name)];
    if !scenario.description.is_empty() {
        lines.push(scenario.description.clone());
    }
    let seed = match scenario.seed {
        Some(seed) => seed.to_string(),
        None => "chosen at the start".to_owned(),
    };
    let hostile = match scenario.hostile {
        true => ", hostile: it may break the protocol",
        false => "",
    };
    lines.push(format!("seed: {seed}{hostile}"));
    if scenario.phases.len() > 1 {
        let count = scenario.phases.len();
        lines.push(match scenario.repeat {
            Repeat::Times(1) => format!("{count} phases, once; the last one stays"),
            Repeat::Times(times) => format!("{count} phases, {times} times; the last one stays"),
            Repeat::Forever => format!("{count} phases, without end"),
        });
    }
    let mut before: Option<&Phase> = None;
    for (place, phase) in scenario.phases.iter().enumerate() {
        lines.push(String::new());
        if scenario.phases.len() > 1 {
            lines.push(heading(place, phase));
        }
        match before.filter(|before| before.script == phase.script) {
            Some(_) => lines.push("  as the one before".to_owned()),
            None => lines.extend(script_lines(&phase.script)),
        }
        before = Some(phase);
    }
    lines.join("\n")
}

fn heading(place: usize, phase: &Phase) -> String {
    let mark = match &phase.mark {
        Some(mark) => format!(", sets mark {mark}"),
        None => String::new(),
    };
    let name = paint(STRONG, format!("phase {place} {}", phase.name));
    format!("{name}, until {}{mark}", phase.until)
}

fn script_lines(script: &Script) -> Vec<String> {
    let mut lines = vec![format!("  base: {}", behaviour(&script.base))];
    let order = value(&script.order);
    if order != "due" {
        lines.push(format!("  order: {order}"));
    }
    for rule in &script.rules {
        lines.push(format!(
            "  {}: {}",
            called("rule", &rule.name),
            behaviour(&rule.behaviour)
        ));
    }
    for one in &script.storms {
        lines.push(format!("  {}: {}", called("storm", &one.name), storm(one)));
    }
    if script.rules.is_empty() {
        return lines;
    }
    lines.push(String::new());
    match explain(script) {
        Some(rows) => lines.extend(rows_table(&rows).lines().map(|line| format!("  {line}"))),
        None => lines.push(paint(
            FAINT,
            "  (its rules tell more kinds of request apart than can be laid out)",
        )),
    }
    lines
}

/// `rule slow`, and `rule 0` for one that was given no name.
fn called(kind: &str, name: &str) -> String {
    match name.starts_with(kind) {
        true => name.to_owned(),
        false => format!("{kind} {name}"),
    }
}

fn behaviour(behaviour: &Behaviour) -> String {
    let mut words = vec![
        format!("latency {}", value(&behaviour.latency)),
        format!("interrupt {}", value(&behaviour.interrupt)),
    ];
    if behaviour.hold {
        words.push("hold".to_owned());
    }
    if let Some(fault) = &behaviour.fault {
        words.push(format!("fault {}", value(fault)));
    }
    words.join(", ")
}

fn storm(storm: &Storm) -> String {
    let place = if storm.config {
        "the configuration".to_owned()
    } else if storm.queues.is_any() {
        "every queue".to_owned()
    } else {
        let queues = storm.queues.values().iter();
        let queues: Vec<String> = queues.map(|queue| queue.0.to_string()).collect();
        format!("queues {}", queues.join(", "))
    };
    let mut words = vec![format!("{} on {place}", storm.rate)];
    if storm.burst > 1 {
        words.push(format!("bursts of {}", storm.burst));
    }
    if storm.volley {
        words.push("volleys".to_owned());
    }
    words.push(format!("{} of each {}", storm.duty, storm.period));
    if !storm.active {
        words.push("off until started".to_owned());
    }
    if storm.cross_kill_line {
        words.push("without the guard".to_owned());
    }
    words.join(", ")
}

/// A value as a scenario would say it.
fn value(of: &impl Serialize) -> String {
    let text = match toml::Value::try_from(of) {
        Ok(toml::Value::String(text)) => text,
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    };
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn rows_table(rows: &[Row]) -> String {
    let mut table = table::new(&["operation", "queue", "lba", "size", "taken by"]);
    for row in rows {
        let operations: Vec<&str> = row.operations.iter().map(|one| one.name()).collect();
        let all = operations.len() == irqstorm_core::request::Operation::ALL.len();
        let everywhere = Span { from: 0, to: None };
        let or_any = |any: bool, text: String| if any { "any".to_owned() } else { text };
        table.add_row([
            or_any(all, operations.join(" ")),
            or_any(row.queues == ["others"], row.queues.join(" ")),
            or_any(row.lba == everywhere, LbaRange(row.lba).to_string()),
            or_any(row.size == everywhere, SizeRange(row.size).to_string()),
            row.taken_by.join("; "),
        ]);
    }
    table::text(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
        seed = 7
        latency = { fixed = '80us' }
        repeat = 2
        [[rule]]
        name = 'slow'
        operation = 'flush'
        latency = { fixed = '5ms' }
        [[phase]]
        name = 'calm'
        until = { mark = 'go' }
        [[phase]]
        name = 'rough'
        mark = 'rough'
        [[phase.storm]]
        rate = '20kHz'
        queues = [0, 2]
        [[phase.rule]]
        name = 'hiccup'
        probability = '1%'
        size = '64KiB..'
        hold = true
    ";

    fn scenario() -> Scenario {
        Scenario::parse("x", TEXT).unwrap()
    }

    #[test]
    fn phases_and_who_takes_what_are_laid_out() {
        let text = anstream::adapter::strip_str(&as_text("x", &scenario())).to_string();
        for words in [
            "2 phases, 2 times",
            "phase 0 calm, until mark go",
            "phase 1 rough, until a command, sets mark rough",
            "storm 0: 20000Hz on queues 0, 2",
            "64KiB..",
            "1%: hiccup; slow",
            "1%: hiccup; (base)",
        ] {
            assert!(text.contains(words), "no '{words}' in\n{text}");
        }
    }

    #[test]
    fn json_has_the_rows_of_each_phase() {
        let json = as_json("x", &scenario());
        assert_eq!(json["seed"], 7);
        let phases = json["phases"].as_array().unwrap();
        assert_eq!(phases.len(), 2);
        assert_eq!(phases[1]["name"], "rough");
        let rows = phases[0]["rows"].as_array().unwrap();
        let slow = |row: &Value| row["taken_by"] == json!(["slow"]);
        assert!(
            rows.iter()
                .any(|row| slow(row) && row["operations"] == json!(["flush"]))
        );
    }

    #[test]
    fn long_values_are_cut() {
        let long = "x".repeat(LONGEST_VALUE + 50);
        assert_eq!(value(&long).len(), LONGEST_VALUE + "...".len());
    }
}
