// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Recorded latencies in the order of their requests: a time a line, fio's
//! latency log, or the events of this device.

use std::collections::HashMap;

use super::{Source, too_long};
use crate::event::{Event, What};
use crate::latency::{FileError, MAX_LATENCY, MAX_VALUES, RecordedOperation};
use crate::request::{Operation, RequestId};
use crate::units::Nanos;

const TIMES_WANTED: &str = "a time with its unit a line, as in 80us, or # and a comment";

const FIO_WANTED: &str = "fio's latency log, in lines of \
     time (ms), latency (ns), direction (0, 1 or 2), block size, offset";

/// Columns of a fio log: four of old, up to seven with all that can be asked.
const FIO_COLUMNS: std::ops::RangeInclusive<usize> = 4..=7;

/// The latencies of the file.
pub(super) fn values(
    source: &Source,
    operation: Option<RecordedOperation>,
) -> Result<Vec<Nanos>, FileError> {
    let first = source.lines().find(|(_, text)| !text.starts_with('#'));
    let values = match first {
        Some((_, text)) if text.starts_with('{') => of_events(source, operation)?,
        Some((_, text)) if text.contains(',') => of_fio(source, operation)?,
        _ => of_times(source, operation)?,
    };
    if values.is_empty() {
        let of = operation.map_or(String::new(), |operation| {
            format!(" of a {}", operation.name())
        });
        return Err(source.error(format!("no latency{of} in it"), "at least one"));
    }
    Ok(values)
}

/// A list of latencies that stays within bounds.
struct Values<'a> {
    source: &'a Source,
    values: Vec<Nanos>,
}

impl Values<'_> {
    fn push(&mut self, line: usize, time: Nanos) -> Result<(), FileError> {
        if time > MAX_LATENCY {
            return Err(self.source.line_error(line, time.to_string(), too_long()));
        }
        if self.values.len() == MAX_VALUES {
            let allowed = format!("at most {MAX_VALUES} latencies");
            return Err(self.source.line_error(line, "another latency", allowed));
        }
        self.values.push(time);
        Ok(())
    }
}

fn of_times(
    source: &Source,
    operation: Option<RecordedOperation>,
) -> Result<Vec<Nanos>, FileError> {
    if let Some(operation) = operation {
        let found = format!("operation = \"{}\"", operation.name());
        let allowed = "a list of times does not tell them apart: leave `operation` out";
        return Err(source.error(found, allowed));
    }
    let mut list = Values {
        source,
        values: Vec::new(),
    };
    for (line, text) in source.lines() {
        let time = text.split('#').next().unwrap_or_default().trim();
        if time.is_empty() {
            continue;
        }
        let time = time
            .parse()
            .map_err(|_| source.strange_line(line, text, TIMES_WANTED))?;
        list.push(line, time)?;
    }
    Ok(list.values)
}

fn of_fio(source: &Source, operation: Option<RecordedOperation>) -> Result<Vec<Nanos>, FileError> {
    let mut list = Values {
        source,
        values: Vec::new(),
    };
    for (line, text) in source.lines() {
        let (time, kind) =
            fio_entry(text).ok_or_else(|| source.strange_line(line, text, FIO_WANTED))?;
        if asked_for(operation, Some(kind)) {
            list.push(line, time)?;
        }
    }
    Ok(list.values)
}

fn fio_entry(text: &str) -> Option<(Nanos, RecordedOperation)> {
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    if !FIO_COLUMNS.contains(&fields.len()) {
        return None;
    }
    let _milliseconds: u64 = fields.first()?.parse().ok()?;
    let nanos: u64 = fields.get(1)?.parse().ok()?;
    let kind = match *fields.get(2)? {
        "0" => RecordedOperation::Read,
        "1" => RecordedOperation::Write,
        "2" => RecordedOperation::Trim,
        _ => return None,
    };
    Some((Nanos(nanos), kind))
}

/// The times from arrival to completion, in the order of arrival. A request
/// that was not completed, or whose arrival was not recorded, has none.
fn of_events(
    source: &Source,
    operation: Option<RecordedOperation>,
) -> Result<Vec<Nanos>, FileError> {
    let mut arrivals: Vec<(RequestId, Nanos)> = Vec::new();
    let mut completions: HashMap<RequestId, (usize, Nanos)> = HashMap::new();
    for (line, text) in source.lines() {
        let event: Event = serde_json::from_str(text).map_err(|error| {
            source.line_error(line, error.to_string(), "an event of this device")
        })?;
        match event.what {
            What::Arrived {
                request,
                operation: kind,
                ..
            } if asked_for(operation, recorded(kind)) => arrivals.push((request, event.at)),
            What::Completed { request, .. } => {
                completions.insert(request, (line, event.at));
            }
            _ => {}
        }
    }
    let mut list = Values {
        source,
        values: Vec::new(),
    };
    for (request, arrived) in arrivals {
        if let Some((line, completed)) = completions.get(&request) {
            list.push(*line, completed.since(arrived))?;
        }
    }
    Ok(list.values)
}

/// Whether a trace of `wanted` has the requests of a kind.
fn asked_for(wanted: Option<RecordedOperation>, kind: Option<RecordedOperation>) -> bool {
    match wanted {
        None | Some(RecordedOperation::Mixed) => true,
        wanted => wanted == kind,
    }
}

/// The name that fio has for an operation of this device.
fn recorded(operation: Operation) -> Option<RecordedOperation> {
    match operation {
        Operation::Read => Some(RecordedOperation::Read),
        Operation::Write => Some(RecordedOperation::Write),
        Operation::Discard => Some(RecordedOperation::Trim),
        Operation::Flush => Some(RecordedOperation::Sync),
        _ => None,
    }
}
