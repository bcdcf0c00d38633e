// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A scenario as the keys and values that it was written with: what files
//! include, what knobs turn, and what is sent to a device.
//!
//! Once read, a document stands for itself: what it includes is in it, and
//! files that its latencies name have become values.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::raw::Raw;
use super::{BadValue, ScenarioError};
use crate::latency::Latency;

/// Files that include files that include files.
const MAX_INCLUDE_DEPTH: usize = 8;

/// The largest scenario file, in bytes; what a latency names is not counted.
const MAX_TEXT: u64 = 4 << 20;

/// Tables of which precisely one key is there: to set another replaces it.
const ALTERNATIVES: [&str; 7] = [
    "latency",
    "interrupt",
    "fault",
    "order",
    "until",
    "each",
    "never",
];

/// A scenario's keys and values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    name: String,
    table: Table,
}

impl Document {
    /// Reads a file with all that it includes.
    pub(super) fn load(path: &Path) -> Result<Document, ScenarioError> {
        let table = load_table(path, &mut Vec::new())?;
        let name = path.display().to_string();
        Ok(Document { name, table })
    }

    /// Reads a text that may name no files.
    pub(super) fn parse(name: &str, text: &str) -> Result<Document, ScenarioError> {
        let table = read_table(name, text)?;
        if table.contains_key("include") {
            let allowed = "a file can be included only by a scenario read from a file";
            let bad = BadValue::at("", "include", table["include"].to_string(), allowed);
            return Err(ScenarioError::value(name, bad));
        }
        let name = name.to_owned();
        Ok(Document { name, table })
    }

    /// The file that it was read from, or what else it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn raw(&self) -> Result<Raw, ScenarioError> {
        let raw = self.table.clone().try_into();
        raw.map_err(|source| ScenarioError::parse(&self.name, source))
    }

    /// As text: a scenario in TOML that needs no other file.
    pub fn to_text(&self) -> String {
        // A table of values always has a text.
        toml::to_string(&self.table).unwrap_or_default()
    }

    /// The value at a path such as `latency.fixed` or `storm.0.rate`.
    pub fn get(&self, knob: &str) -> Option<&Value> {
        let mut steps = knob.split('.');
        let mut value = self.table.get(steps.next()?)?;
        for step in steps {
            value = match value {
                Value::Table(table) => table.get(step)?,
                Value::Array(array) => array.get(place(array, step)?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The same with another value at that path.
    pub fn with(&self, knob: &str, value: Value) -> Result<Document, ScenarioError> {
        let mut changed = self.clone();
        let refuse = || {
            let allowed =
                "the path of a value, as in latency.fixed, storm.0.rate or rule.NAME.hold";
            ScenarioError::value(&self.name, BadValue::at("", "knob", knob, allowed))
        };
        let mut steps: Vec<&str> = knob.split('.').collect();
        let last = steps
            .pop()
            .filter(|step| !step.is_empty())
            .ok_or_else(refuse)?;
        let mut table = &mut changed.table;
        let mut within = "";
        while !steps.is_empty() {
            let step = steps.remove(0);
            choose(table, within, step);
            within = step;
            let entry = table
                .entry(step)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Array(array) = entry {
                let index = steps.first().and_then(|step| place(array, step));
                steps.drain(..steps.len().min(1));
                let found = index.and_then(|index| array.get_mut(index));
                table = found.and_then(Value::as_table_mut).ok_or_else(refuse)?;
                continue;
            }
            if !entry.is_table() {
                // "when-wanted", say, in whose place a table comes.
                *entry = Value::Table(Table::new());
            }
            table = entry.as_table_mut().ok_or_else(refuse)?;
        }
        choose(table, within, last);
        table.insert(last.to_owned(), value);
        Ok(changed)
    }
}

/// Makes room for `key` in a table of alternatives called `name`.
fn choose(table: &mut Table, name: &str, key: &str) {
    if ALTERNATIVES.contains(&name) && !table.contains_key(key) {
        table.clear();
    }
}

/// Where in a list of tables: by number or by name.
fn place(array: &[Value], step: &str) -> Option<usize> {
    let named = |value: &Value| value.get("name").and_then(Value::as_str) == Some(step);
    step.parse().ok().or_else(|| array.iter().position(named))
}

/// Reads a text as a table, after it was found to be a scenario: only then do
/// errors tell their line.
fn read_table(name: &str, text: &str) -> Result<Table, ScenarioError> {
    toml::from_str::<Raw>(text)
        .and_then(|_| toml::from_str(text))
        .map_err(|source| ScenarioError::parse(name, source))
}

/// Reads a file; `open` are those on whose behalf, outermost first.
fn load_table(path: &Path, open: &mut Vec<PathBuf>) -> Result<Table, ScenarioError> {
    let failed = |source| ScenarioError::Read {
        path: path.to_owned(),
        source,
    };
    let real = path.canonicalize().map_err(failed)?;
    let size = real.metadata().map_err(failed)?.len();
    if size > MAX_TEXT {
        let larger = format!("it has {size} bytes; a scenario has at most {MAX_TEXT}");
        return Err(failed(std::io::Error::other(larger)));
    }
    let text = std::fs::read_to_string(&real).map_err(failed)?;
    let name = path.display().to_string();
    let mut table = read_table(&name, &text)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    resolve_files(&mut table, folder, &name, "")?;
    let included = table.remove("include");
    open.push(real);
    for file in included.iter().flat_map(|list| list.as_array()).flatten() {
        let file = folder.join(file.as_str().unwrap_or_default());
        refuse_circles(&name, &file, open)?;
        merge(&mut table, load_table(&file, open)?);
    }
    open.pop();
    Ok(table)
}

fn refuse_circles(name: &str, file: &Path, open: &[PathBuf]) -> Result<(), ScenarioError> {
    let allowed = if open.len() >= MAX_INCLUDE_DEPTH {
        "files include each other at most 8 deep"
    } else if file.canonicalize().is_ok_and(|real| open.contains(&real)) {
        "a file includes neither itself nor one that includes it"
    } else {
        return Ok(());
    };
    let bad = BadValue::at("", "include", file.display(), allowed);
    Err(ScenarioError::value(name, bad))
}

/// Lays what an included file says below what is there.
fn merge(table: &mut Table, included: Table) {
    for (key, value) in included {
        match (key.as_str(), table.get_mut(&key), value) {
            ("rule" | "storm", Some(Value::Array(own)), Value::Array(more)) => own.extend(more),
            ("profiles", Some(Value::Table(own)), Value::Table(more)) => {
                for (name, profile) in more {
                    own.entry(name).or_insert(profile);
                }
            }
            (_, Some(_), _) => {}
            (_, None, value) => drop(table.insert(key, value)),
        }
    }
}

/// Puts values in the place of every file that a latency names.
fn resolve_files(
    table: &mut Table,
    folder: &Path,
    name: &str,
    at: &str,
) -> Result<(), ScenarioError> {
    let names_file = |kind: &str| {
        let inner = table.get(kind).and_then(Value::as_table);
        inner.is_some_and(|inner| inner.contains_key("file"))
    };
    if names_file("histogram") || names_file("trace") {
        let failed = |source| ScenarioError::File {
            name: name.to_owned(),
            key: at.to_owned(),
            source,
        };
        let mut latency: Latency = table
            .clone()
            .try_into()
            .map_err(|source| ScenarioError::parse(name, source))?;
        latency.resolve(folder).map_err(|e| failed(Box::new(e)))?;
        *table = Table::try_from(latency).map_err(|e| failed(Box::new(e)))?;
        return Ok(());
    }
    for (key, value) in table.iter_mut() {
        let at = match at {
            "" => key.to_owned(),
            at => format!("{at}.{key}"),
        };
        match value {
            Value::Table(table) => resolve_files(table, folder, name, &at)?,
            Value::Array(array) => {
                for table in array.iter_mut().filter_map(Value::as_table_mut) {
                    resolve_files(table, folder, name, &at)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
