// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Replies, for people.

use irqstorm_core::control::{
    Command, HeldEntry, ListReply, MetricsReply, PhaseReply, Quantiles, StatusReply,
};
use irqstorm_core::counters::Counters;
use irqstorm_core::units::Nanos;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::{Exit, Failure};
use crate::figures;
use crate::output::{self, BAD, FAINT, GOOD, NOTE, STRONG, paint};
use crate::results::table;

/// Columns of a status that are there even if nothing was counted.
const ALWAYS: [&str; 8] = [
    "requests",
    "in_flight",
    "held",
    "completed",
    "published",
    "wanted",
    "signalled",
    "suppressed",
];

/// A line and no more.
pub(super) fn line(text: &str) -> Result<Exit, Failure> {
    output::line(text).map(|()| Exit::Passed)
}

/// Prints the reply to a command.
pub(super) fn reply(command: &Command, reply: Value) -> Result<Exit, Failure> {
    let text = match command {
        Command::Status {} => status(&read(reply)?),
        Command::List(_) => held(&read(reply)?),
        Command::Metrics {} => read::<MetricsReply>(reply)?.text,
        Command::Get { .. } => knob(&reply["value"]),
        Command::Set { .. } => format!(
            "{} = {}, before {}",
            knob(&reply["knob"]),
            knob(&reply["value"]),
            reply.get("before").map_or("nothing".into(), knob)
        ),
        command => in_short(command, &reply),
    };
    line(text.trim_end())
}

/// A reply that is no table, on a line.
pub(crate) fn in_short(command: &Command, reply: &Value) -> String {
    match command {
        Command::Phase { .. } => match serde_json::from_value(reply.clone()) {
            Ok(reply) => format!("phase {}", phase(&reply)),
            Err(_) => reply.to_string(),
        },
        _ => fields(reply),
    }
}

fn read<T: DeserializeOwned>(reply: Value) -> Result<T, Failure> {
    serde_json::from_value(reply)
        .map_err(|error| Failure::Control(format!("its reply is not as documented: {error}")))
}

fn knob(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// `released 3`, and the like.
fn fields(reply: &Value) -> String {
    let fields = reply.as_object().into_iter().flatten();
    let words: Vec<String> = fields
        .map(|(key, value)| format!("{key}: {}", knob(value)))
        .collect();
    words.join(", ")
}

/// A phase, as in `calm (2 of 3), 1.2s and 40 requests so far, until mark go`.
pub(crate) fn phase(phase: &PhaseReply) -> String {
    let so_far = format!(
        "{} and {} requests so far",
        figures::time(phase.elapsed),
        phase.requests
    );
    if phase.name.is_empty() {
        return format!("none in this scenario, {so_far}");
    }
    let place = format!("{} of {}", phase.index.saturating_add(1), phase.of);
    let round = match phase.round {
        0 => String::new(),
        round => format!(", round {}", round.saturating_add(1)),
    };
    format!(
        "{} ({place}{round}), {so_far}, until {}",
        phase.name, phase.until
    )
}

fn status(status: &StatusReply) -> String {
    let yes = |flag, style| match flag {
        true => paint(style, "yes"),
        false => "no".to_owned(),
    };
    let lost = |count: u64| match count {
        0 => "0".to_owned(),
        count => paint(BAD, count),
    };
    let mut lines = vec![
        format!(
            "scenario   {}, seed {}",
            paint(STRONG, &status.scenario),
            status.seed
        ),
        format!("phase      {}", phase(&status.phase)),
        format!(
            "device     up {}, driver connected: {}, holding: {}, storming: {}",
            figures::time(status.at),
            yes(status.connected, GOOD),
            yes(status.holding, NOTE),
            yes(status.storming, NOTE)
        ),
        format!("marks      {}", marks(status)),
        format!(
            "storms     {} guard pauses, {} instants skipped; configuration: {} written, {} refused",
            status.guard_pauses,
            status.storm_skipped,
            status.config.signalled,
            status.config.refused
        ),
        format!("events     {} dropped", lost(status.events_dropped)),
    ];
    if let Some(replay) = &status.replay {
        lines.push(format!(
            "replay     {} repeated, {} not recorded",
            replay.repeated,
            lost(replay.unrecorded)
        ));
    }
    lines.push(String::new());
    lines.push(precision(status));
    lines.push(String::new());
    lines.push(counters(status));
    lines.join("\n")
}

fn marks(status: &StatusReply) -> String {
    if status.marks.is_empty() {
        return "none yet".to_owned();
    }
    let each = status.marks.iter();
    let words: Vec<String> = each
        .map(|(mark, count)| format!("{mark} {count}"))
        .collect();
    words.join(", ")
}

/// How late things were, and how much of that is not the machine's own.
fn precision(status: &StatusReply) -> String {
    let precision = &status.precision;
    let floor = &precision.floor;
    let mut table = table::new(&[
        "late by",
        "count",
        "p50",
        "p99",
        "p99.9",
        "max",
        "p50 over floor",
        "p99 over floor",
    ]);
    let late = |name: &str, times: &Quantiles| {
        let over = |time: Nanos, floor: Nanos| figures::time(Nanos(time.0.saturating_sub(floor.0)));
        match times.count {
            0 => vec![name.to_owned(), "0".to_owned()],
            count => vec![
                name.to_owned(),
                count.to_string(),
                figures::time(times.p50),
                figures::time(times.p99),
                figures::time(times.p999),
                figures::time(times.max),
                over(times.p50, floor.wakeup_p50),
                over(times.p99, floor.wakeup_p99),
            ],
        }
    };
    table.add_row(late("published", &precision.published));
    table.add_row(late("signalled", &precision.signalled));
    let floor = [
        "floor".to_owned(),
        String::new(),
        figures::time(floor.wakeup_p50),
        figures::time(floor.wakeup_p99),
    ];
    table.add_row(floor);
    table::align_right(&mut table, 1);
    heading_strong(&table::text(&table))
}

/// A row a queue, a column for each counter that has counted anything.
fn counters(status: &StatusReply) -> String {
    let shown: Vec<&str> = status
        .total
        .each()
        .filter(|(name, _, count)| *count > 0 || ALWAYS.contains(name))
        .map(|(name, _, _)| name)
        .collect();
    let mut header = vec!["queue".to_owned()];
    header.extend(shown.iter().map(|name| name.replace('_', " ")));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = table::new(&header);
    let row = |name: String, counters: &Counters| {
        let counts = counters.each().filter(|(name, ..)| shown.contains(name));
        let counts = counts.map(|(.., count)| count.to_string());
        std::iter::once(name).chain(counts).collect::<Vec<_>>()
    };
    for (queue, counters) in status.queues.iter().enumerate() {
        table.add_row(row(queue.to_string(), counters));
    }
    table.add_row(row("all".into(), &status.total));
    table::align_right(&mut table, 1);
    heading_strong(&table::text(&table))
}

fn held(list: &ListReply) -> String {
    let count = format!("{} held, {} shown", list.total, list.held.len());
    if list.held.is_empty() {
        return count;
    }
    let mut table = table::new(&["request", "queue", "operation", "sector", "bytes", "age"]);
    for entry in &list.held {
        table.add_row(held_cells(entry));
    }
    for column in [0, 1, 3, 4, 5] {
        table::align_column_right(&mut table, column);
    }
    let table = heading_strong(&table::text(&table));
    format!("{table}\n{}", paint(FAINT, count))
}

fn held_cells(entry: &HeldEntry) -> Vec<String> {
    vec![
        entry.request.0.to_string(),
        entry.queue.0.to_string(),
        entry.operation.name().to_owned(),
        entry.sector.0.to_string(),
        entry.bytes.to_string(),
        figures::time(entry.age),
    ]
}

/// The first line as a heading.
fn heading_strong(table: &str) -> String {
    match table.split_once('\n') {
        Some((heading, rest)) => format!("{}\n{rest}", paint(STRONG, heading)),
        None => paint(STRONG, table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_core::control::{Precision, ReplayStatus};
    use irqstorm_core::event::Floor;
    use serde_json::json;

    fn sample() -> StatusReply {
        let counters = Counters {
            requests: 10,
            in_flight: 3,
            spurious: 7,
            ..Counters::default()
        };
        StatusReply {
            scenario: "calm-then-storm".into(),
            seed: 7,
            phase: PhaseReply {
                index: 1,
                of: 3,
                name: "calm".into(),
                until: "mark go".into(),
                round: 2,
                elapsed: Nanos::from_millis(1200),
                requests: 40,
            },
            total: counters,
            queues: vec![counters],
            precision: Precision {
                floor: Floor {
                    wakeup_p50: Nanos(50_000),
                    wakeup_p99: Nanos(80_000),
                    write_p50: Nanos(900),
                },
                published: Quantiles {
                    count: 9,
                    p50: Nanos(52_000),
                    p99: Nanos(70_000),
                    ..Quantiles::default()
                },
                ..Precision::default()
            },
            marks: [("go".to_owned(), 2)].into(),
            replay: Some(ReplayStatus {
                repeated: 5,
                unrecorded: 1,
            }),
            ..StatusReply::default()
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn row<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().collect()
    }

    #[test]
    fn a_status_shows_phase_marks_and_replay() {
        let text = plain(&status(&sample()));
        for words in [
            "calm-then-storm, seed 7",
            "calm (2 of 3, round 3), 1.20s and 40 requests so far, until mark go",
            "marks      go 2",
            "replay     5 repeated, 1 not recorded",
        ] {
            assert!(text.contains(words), "no '{words}' in\n{text}");
        }
    }

    #[test]
    fn lateness_is_shown_over_the_floor() {
        let text = plain(&precision(&sample()));
        assert_eq!(
            row(&text, "published"),
            ["published", "9", "52us", "70us", "0ns", "0ns", "2us", "0ns"]
        );
        assert_eq!(row(&text, "signalled"), ["signalled", "0"]);
        assert_eq!(row(&text, "floor"), ["floor", "50us", "80us"]);
    }

    #[test]
    fn counters_that_counted_nothing_take_no_column() {
        let text = plain(&counters(&sample()));
        let heading = text.lines().next().unwrap();
        assert!(heading.contains("in flight") && heading.contains("spurious"));
        assert!(!heading.contains("early"), "{heading}");
        assert_eq!(row(&text, "0").last(), Some(&"7"));
        assert_eq!(row(&text, "all").len(), row(&text, "0").len());
    }

    #[test]
    fn nothing_held_is_one_line() {
        let list = ListReply {
            total: 0,
            held: Vec::new(),
        };
        assert_eq!(held(&list), "0 held, 0 shown");
    }

    #[test]
    fn other_replies_are_their_fields() {
        let volley = json!({"queues": 4, "withheld": 0, "skew": "900ns"});
        assert_eq!(fields(&volley), "queues: 4, skew: 900ns, withheld: 0");
    }
}
