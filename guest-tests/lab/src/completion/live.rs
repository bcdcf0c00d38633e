// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Words that only the device that runs knows.

use std::path::PathBuf;
use std::time::Duration;

use irqstorm_core::control::{Command, KnobReply, List, ListReply, StatusReply};
use irqstorm_core::scenario::Scenario;
use serde::de::DeserializeOwned;

use crate::control::Control;
use crate::run_dir;

/// Nobody waits longer for a word.
const PATIENCE: Duration = Duration::from_millis(500);

/// More are not shown: a shell would ask first.
const MOST_HELD: u32 = 50;

/// The socket that the command line or the environment names, or the one there
/// is.
fn socket() -> Option<PathBuf> {
    let words: Vec<_> = std::env::args_os().collect();
    let named = words.windows(2).find(|pair| pair[0] == "--socket");
    named
        .map(|pair| PathBuf::from(&pair[1]))
        .or_else(|| std::env::var_os("IRQSTORM_CONTROL").map(PathBuf::from))
        .or_else(|| match run_dir::control_sockets().as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        })
}

fn ask<T: DeserializeOwned>(command: &Command) -> Option<T> {
    let mut control = Control::connect_within(&socket()?, PATIENCE).ok()?;
    control.ask(command).ok()
}

fn scenario() -> Option<Scenario> {
    let reply: KnobReply = ask(&Command::Get { knob: None })?;
    Scenario::parse("device", reply.value.as_str()?).ok()
}

/// The device's queues that have been used.
pub(super) fn queues() -> Vec<String> {
    let status: Option<StatusReply> = ask(&Command::Status {});
    let count = status.map_or(0, |status| status.queues.len());
    (0..count).map(|queue| queue.to_string()).collect()
}

/// The oldest requests that it holds.
pub(super) fn held() -> Vec<String> {
    let list: Option<ListReply> = ask(&Command::List(List {
        limit: Some(MOST_HELD),
        ..List::default()
    }));
    let held = list.map(|list| list.held).unwrap_or_default();
    held.iter()
        .map(|entry| entry.request.0.to_string())
        .collect()
}

/// The names of its scenario's storms, those of all phases.
pub(super) fn storms() -> Vec<String> {
    let scenario = scenario().unwrap_or_default();
    let storms = scenario
        .phases
        .iter()
        .flat_map(|phase| &phase.script.storms);
    distinct(storms.map(|storm| storm.name.clone()))
}

/// The names of its scenario's phases.
pub(super) fn phases() -> Vec<String> {
    let scenario = scenario().unwrap_or_default();
    distinct(scenario.phases.iter().map(|phase| phase.name.clone()))
}

/// The marks that have been set, and those that its scenario sets or waits for.
pub(super) fn marks() -> Vec<String> {
    use irqstorm_core::scenario::Until;
    let status: Option<StatusReply> = ask(&Command::Status {});
    let set = status.map(|status| status.marks).unwrap_or_default();
    let scenario = scenario().unwrap_or_default();
    let phases = scenario.phases.iter();
    let waited = phases.clone().filter_map(|phase| match &phase.until {
        Until::Mark(mark) => Some(mark.clone()),
        _ => None,
    });
    let named = phases.filter_map(|phase| phase.mark.clone());
    distinct(set.into_keys().chain(waited).chain(named))
}

/// The paths in its scenario, with what is there.
pub(super) fn knobs() -> Vec<(String, String)> {
    let reply: Option<KnobReply> = ask(&Command::Get { knob: None });
    let text = reply.as_ref().and_then(|reply| reply.value.as_str());
    let table = text.and_then(|text| text.parse::<toml::Table>().ok());
    let mut knobs = Vec::new();
    if let Some(table) = table {
        collect(&toml::Value::Table(table), "", &mut knobs);
    }
    knobs
}

/// All values that are no tables, with their paths; a table of a list goes by
/// its name, if it has one.
fn collect(value: &toml::Value, path: &str, knobs: &mut Vec<(String, String)>) {
    let below = |step: &str| match path {
        "" => step.to_owned(),
        path => format!("{path}.{step}"),
    };
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                collect(value, &below(key), knobs);
            }
        }
        toml::Value::Array(list) if list.iter().all(toml::Value::is_table) => {
            for (place, value) in list.iter().enumerate() {
                let name = value.get("name").and_then(toml::Value::as_str);
                let plain = |name: &&str| !name.contains(['.', '=', ' ']);
                let step = name.filter(plain).map(str::to_owned);
                collect(
                    value,
                    &below(&step.unwrap_or_else(|| place.to_string())),
                    knobs,
                );
            }
        }
        toml::Value::String(text) => knobs.push((path.to_owned(), text.clone())),
        value => knobs.push((path.to_owned(), value.to_string())),
    }
}

fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_are_the_paths_that_set_takes() {
        let text = "hold = true\nlatency = { uniform = { min = '1us', max = '2us' } }\n\
                    [[storm]]\nname = 'noise'\nrate = '5kHz'\nqueues = [0, 2]\n[[storm]]\nrate = '1kHz'";
        let scenario = Scenario::parse("x", text).unwrap();
        let mut knobs = Vec::new();
        let table: toml::Table = text.parse().unwrap();
        collect(&toml::Value::Table(table), "", &mut knobs);
        let has = |knob: &str, value: &str| knobs.contains(&(knob.into(), value.into()));
        assert!(has("hold", "true") && has("latency.uniform.max", "2us"));
        assert!(has("storm.noise.rate", "5kHz") && has("storm.1.rate", "1kHz"));
        assert!(has("storm.noise.queues", "[0, 2]"));
        for (knob, _) in knobs {
            assert!(scenario.document().get(&knob).is_some(), "{knob}");
        }
    }
}
