// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! results.json against the schema that is given to its readers.

use std::collections::BTreeSet;
use std::fs;

use irqstorm_agent::points::{Bucket, Point, Times};
use irqstorm_agent::protocol::{BlockedTask, Disk, Figure, Hello, Probe};
use irqstorm_core::control::HeldEntry;
use irqstorm_core::request::{Operation, QueueId, RequestId, Sector};
use irqstorm_core::units::Nanos;
use serde_json::{Value, json};

use super::outcome::{Expected, Source};
use super::record::{Hang, Record, samples};
use super::trace::{ClockRecord, TraceRecord};

const SCHEMA_TEXT: &str = include_str!("../../schema/results.schema.json");

/// Names results folders, with ':' between them.
const RESULTS: &str = "IRQSTORM_RESULTS";

fn schema() -> Value {
    serde_json::from_str(SCHEMA_TEXT).unwrap()
}

fn assert_valid(results: &Value) {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(results)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

/// A record in which nothing is absent.
fn full() -> Record {
    let mut record = samples::record();
    record.guest = Some(Hello {
        disk: Some(Disk::default()),
        probe: Some(Probe::default()),
        ..Hello::default()
    });
    let case = &mut record.cases[1];
    case.machine = Some("1 queue".into());
    case.device = record_device();
    case.figures = vec![Figure {
        name: "rate".into(),
        value: 0.5,
        unit: "us".into(),
    }];
    case.points = vec![Point {
        setting: case.figures.clone(),
        figures: case.figures.clone(),
        times: vec![Times {
            name: "x".into(),
            buckets: vec![Bucket(15, 3)],
        }],
    }];
    case.hang = Some(Hang {
        held_total: 1,
        held: vec![HeldEntry {
            request: RequestId(1),
            queue: QueueId(0),
            operation: Operation::WriteZeroes,
            sector: Sector(8),
            bytes: 4096,
            age: Nanos(1_234_567),
        }],
        interrupts: None,
        blocked: vec![BlockedTask {
            pid: 7,
            name: "x".into(),
            stack: String::new(),
        }],
    });
    case.trace = Some(TraceRecord {
        folder: "trace/exactly-once".into(),
        records: 9,
        missing: vec!["irq/irq_handler_entry".into()],
        clock: Some(ClockRecord {
            ahead_ns: -1.0,
            drift_ppm: -0.5,
            ..ClockRecord::default()
        }),
        reason: Some("x".into()),
        ..TraceRecord::default()
    });
    case.expected = Some(Expected {
        by: Source::List,
        why: "it is so".into(),
        place: Some("known.txt:1".into()),
        must: false,
    });
    record
}

fn record_device() -> Option<super::DeviceCounts> {
    samples::record().cases[0].device
}

/// The names of all fields of a value, at any depth.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                fields(value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

/// The names of all properties of a schema, at any depth.
fn properties(schema: &Value, found: &mut BTreeSet<String>) {
    if let Some(object) = schema.as_object() {
        if let (Some(names), true) = (
            schema["properties"].as_object(),
            object.contains_key("additionalProperties"),
        ) {
            found.extend(names.keys().cloned());
        }
        object.values().for_each(|value| properties(value, found));
    }
}

#[test]
fn what_is_written_is_what_the_schema_says() {
    for record in [samples::record(), full()] {
        assert_valid(&serde_json::to_value(record).unwrap());
    }
}

#[test]
fn the_schema_describes_no_field_that_is_never_written() {
    let mut written = BTreeSet::new();
    fields(&serde_json::to_value(full()).unwrap(), &mut written);
    let mut described = BTreeSet::new();
    properties(&schema(), &mut described);
    assert_eq!(described, written);
}

#[test]
fn the_schema_refuses_what_is_not_written() {
    let good = serde_json::to_value(full()).unwrap();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for (pointer, value) in [
        ("/schema", json!(2)),
        ("/seconds", json!(-1)),
        ("/accel", json!("hvf")),
        ("/disk", json!("floppy")),
        ("/kernel", json!({"name": "x"})),
        ("/cases/0/verdict", json!("maybe")),
        ("/cases/0/device", json!({"new": 1})),
        ("/cases/1/reasons", Value::Null),
        ("/cases/1/hang/held/0/age", json!(12)),
        ("/cases/1/points/0/times/0/buckets/0", json!([1])),
        ("/cases/1/trace/clock/error_ns", json!(-1)),
        ("/precision/floor/write_p50", json!(12)),
        ("/cases/1/expected/by", json!("chance")),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert!(!validator.is_valid(&bad), "{pointer}");
    }
}

#[test]
#[ignore = "needs what runs of the suite have left: scripts/test runs it after them"]
fn what_runs_have_left_is_what_the_schema_says() {
    let folders = std::env::var_os(RESULTS).unwrap_or_else(|| panic!("{RESULTS} names none"));
    for folder in std::env::split_paths(&folders) {
        let json = fs::read(folder.join("results.json")).unwrap();
        assert_valid(&serde_json::from_slice(&json).unwrap());
    }
}
