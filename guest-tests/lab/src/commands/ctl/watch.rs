// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm ctl watch`: events as they happen.

use irqstorm_core::control::{Command, Pushed, Subscribe};
use irqstorm_core::event::{Event, What};
use irqstorm_core::units::Nanos;
use serde_json::{Map, Value};

use crate::control::Control;
use crate::failure::{Exit, Failure};
use crate::figures;
use crate::output::{self, BAD, FAINT, STRONG, paint};

/// What to subscribe to; a name that no event has is answered with those that
/// there are.
pub(super) fn check(events: &[String]) -> Result<Subscribe, Failure> {
    let unknown = |name: &&String| !What::NAMES.contains(&name.as_str());
    if let Some(name) = events.iter().find(unknown) {
        return Err(Failure::UnknownName {
            kind: "event",
            name: name.clone(),
            known: What::NAMES.join(", "),
        });
    }
    Ok(Subscribe {
        events: (!events.is_empty()).then(|| events.to_vec()),
    })
}

/// Prints a line for each event, until the device ends or the reader does.
pub(super) fn run(mut control: Control, events: Subscribe, json: bool) -> Result<Exit, Failure> {
    control.ask_raw(&Command::Subscribe(events))?;
    loop {
        let (line, pushed) = control.pushed()?;
        match (json, pushed) {
            (true, _) => output::line(line.trim_end())?,
            (false, Pushed::Event(event)) => output::line(&text(&event))?,
            (false, Pushed::Missed(count)) => output::line(&paint(
                BAD,
                format!("({count} events were left out: they came faster than they were read)"),
            ))?,
        }
    }
}

/// An event on a line: when, what, and its fields; how late it was in the
/// place of when it was planned.
fn text(event: &Event) -> String {
    let mut fields = match serde_json::to_value(&event.what) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    fields.remove("event");
    let planned = fields.remove("planned").and_then(|at| at.as_u64());
    for key in ["due", "until"] {
        if let Some(at) = fields.get(key).and_then(Value::as_u64) {
            fields.insert(key.to_owned(), format!("{:.6}", seconds(Nanos(at))).into());
        }
    }
    let mut words: Vec<String> = Vec::new();
    for (key, value) in &fields {
        match value {
            Value::Object(inner) => words.extend(inner.iter().map(word)),
            _ => words.push(word((key, value))),
        }
    }
    if let Some(planned) = planned {
        let late = Nanos(event.at.0.saturating_sub(planned));
        words.push(format!("late={}", figures::time(late)));
    }
    let at = paint(FAINT, format!("{:>14.6}", seconds(event.at)));
    let name = paint(STRONG, format!("{:<17}", event.what.name()));
    format!("{at}  {name}  {}", words.join(" "))
        .trim_end()
        .to_owned()
}

/// Seconds on the device's clock; what is lost is below a microsecond for
/// years.
#[expect(clippy::cast_precision_loss, reason = "six decimals are shown")]
fn seconds(time: Nanos) -> f64 {
    time.0 as f64 / 1e9
}

fn word((key, value): (&String, &Value)) -> String {
    match value {
        Value::String(text) if !text.contains(' ') => format!("{key}={text}"),
        value => format!("{key}={value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_core::plan::Plan;
    use irqstorm_core::request::{Operation, QueueId, RequestId, Sector};

    fn plain(what: What) -> String {
        let event = Event {
            at: Nanos(1_500_000_000),
            what,
        };
        anstream::adapter::strip_str(&text(&event)).to_string()
    }

    #[test]
    fn a_line_says_when_what_and_how_late() {
        let published = What::Published {
            queue: QueueId(2),
            count: 3,
            planned: Nanos(1_499_988_000),
        };
        assert_eq!(
            plain(published),
            "      1.500000  published          count=3 queue=2 late=12us"
        );
        let marked = What::Marked {
            mark: "go on".into(),
            count: 1,
        };
        assert!(plain(marked).ends_with(r#"count=1 mark="go on""#));
    }

    #[test]
    fn an_arrival_says_what_was_decided() {
        let arrived = What::Arrived {
            request: RequestId(1),
            queue: QueueId(0),
            nth: 0,
            operation: Operation::Write,
            sector: Sector(8),
            bytes: 4096,
            plan: Plan {
                latency: Nanos(80_000),
                ..Plan::default()
            },
            due: Some(Nanos(1_500_080_000)),
        };
        let line = plain(arrived);
        for word in [
            "operation=write",
            "sector=8",
            "latency=80us",
            "due=1.500080",
        ] {
            assert!(line.contains(word), "{line}");
        }
    }

    #[test]
    fn events_that_there_are_not_are_answered_with_those_that_there_are() {
        let failure = check(&["complete".to_owned()]).unwrap_err().to_string();
        assert!(failure.contains("'complete'") && failure.contains("completed"));
        assert_eq!(check(&[]).unwrap(), Subscribe::default());
    }
}
