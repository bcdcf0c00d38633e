// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm device diff`: whether the same was decided twice.
//!
//! Decisions stand next to each other by their queue and their number on it.
//! A file that has some of them twice (a scenario was replaced while it was
//! recorded, and counting began anew) pairs the first with the first.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use irqstorm_core::pattern::Recorded;
use irqstorm_core::request::QueueId;
use serde::{Deserialize, Serialize};

use crate::cli::DiffArguments;
use crate::failure::{Exit, Failure, io_failure};
use crate::output;

/// What makes two decisions the same one: queue, number on it, which of these.
type Identity = (QueueId, u64, u32);

/// The decisions of a file.
#[derive(Debug, Default)]
struct Decisions {
    each: BTreeMap<Identity, Recorded>,
    /// How many the device could not write.
    lost: u64,
}

/// A line of a recording.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Lost {
        lost: u64,
    },
    Decision(Recorded),
    /// Who decides what was not recorded.
    Unrecorded {
        #[serde(rename = "unrecorded")]
        _by: String,
    },
}

/// Compares two recordings.
pub(crate) fn run(arguments: &DiffArguments) -> Result<Exit, Failure> {
    let one = read(&arguments.one)?;
    let other = read(&arguments.other)?;
    let found = compare(&one, &other);
    match arguments.json {
        true => {
            let json = serde_json::to_string_pretty(&found);
            output::line(&json.unwrap_or_default())?;
        }
        false => output::line(&text(&found, arguments))?,
    }
    Ok(match found.is_same() {
        true => Exit::Passed,
        false => Exit::TestsFailed,
    })
}

fn read(path: &Path) -> Result<Decisions, Failure> {
    let file = File::open(path).map_err(|error| unusable(path, error.to_string()))?;
    let mut decisions = Decisions::default();
    let mut seen: BTreeMap<(QueueId, u64), u32> = BTreeMap::new();
    for (number, line) in (1usize..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(io_failure("read", path))?;
        let line =
            serde_json::from_str(&line).map_err(|_| unusable(path, no_decision(number, &line)))?;
        let recorded = match line {
            Line::Decision(recorded) => recorded,
            Line::Lost { lost } => {
                decisions.lost = decisions.lost.saturating_add(lost);
                continue;
            }
            Line::Unrecorded { .. } => continue,
        };
        let times = seen.entry((recorded.queue, recorded.nth)).or_default();
        let place = (recorded.queue, recorded.nth, *times);
        decisions.each.insert(place, recorded);
        *times += 1;
    }
    Ok(decisions)
}

/// What is wrong with a line: an untagged type would not say.
fn no_decision(number: usize, line: &str) -> String {
    let error = match serde_json::from_str::<Recorded>(line) {
        Err(error) => error.to_string(),
        Ok(_) => String::new(),
    };
    format!("line {number} is no decision: {error}; decisions are written by 'irqstorm run'")
}

fn unusable(path: &Path, reason: String) -> Failure {
    Failure::BadArgument {
        what: path.display().to_string(),
        reason,
    }
}

/// What two recordings have in common, and the first that they have not.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Comparison {
    equal: u64,
    different: u64,
    only_in_first: u64,
    only_in_second: u64,
    lost_in_first: u64,
    lost_in_second: u64,
    first_difference: Option<Difference>,
}

/// Two decisions in the same place; a side is absent if there is none.
#[derive(Debug, PartialEq, Serialize)]
struct Difference {
    queue: QueueId,
    nth: u64,
    first: Option<Recorded>,
    second: Option<Recorded>,
}

impl Comparison {
    fn is_same(&self) -> bool {
        self.different == 0 && self.only_in_first == 0 && self.only_in_second == 0
    }
}

fn compare(one: &Decisions, other: &Decisions) -> Comparison {
    let mut found = Comparison {
        lost_in_first: one.lost,
        lost_in_second: other.lost,
        ..Comparison::default()
    };
    let (one, other) = (&one.each, &other.each);
    let mut places: Vec<&Identity> = one.keys().chain(other.keys()).collect();
    // By number first: what happened earlier on any queue comes first.
    places.sort_by_key(|(queue, nth, time)| (*time, *nth, *queue));
    places.dedup();
    for place in places {
        let (first, second) = (one.get(place), other.get(place));
        match (first, second) {
            (Some(first), Some(second)) if first == second => {
                found.equal += 1;
                continue;
            }
            (Some(_), Some(_)) => found.different += 1,
            (Some(_), None) => found.only_in_first += 1,
            _ => found.only_in_second += 1,
        }
        found.first_difference.get_or_insert_with(|| Difference {
            queue: place.0,
            nth: place.1,
            first: first.cloned(),
            second: second.cloned(),
        });
    }
    found
}

fn text(found: &Comparison, arguments: &DiffArguments) -> String {
    let mut lines = vec![format!(
        "{} equal, {} different, {} only in {}, {} only in {}",
        found.equal,
        found.different,
        found.only_in_first,
        arguments.one.display(),
        found.only_in_second,
        arguments.other.display()
    )];
    for (path, lost) in [
        (&arguments.one, found.lost_in_first),
        (&arguments.other, found.lost_in_second),
    ] {
        if lost > 0 {
            let path = path.display();
            lines.push(format!(
                "{path} lacks {lost} that the device could not write"
            ));
        }
    }
    if let Some(first) = &found.first_difference {
        lines.push(format!(
            "the first difference is request {} of queue {}:",
            first.nth, first.queue.0
        ));
        for (path, side) in [
            (&arguments.one, &first.first),
            (&arguments.other, &first.second),
        ] {
            let decision = match side {
                Some(decision) => serde_json::to_string(decision).unwrap_or_default(),
                None => "nothing".to_owned(),
            };
            lines.push(format!("  {}: {decision}", path.display()));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_core::plan::Plan;
    use irqstorm_core::request::{Operation, Sector};
    use irqstorm_core::units::Nanos;

    fn decision(queue: u16, nth: u64, latency: u64) -> Recorded {
        Recorded {
            queue: QueueId(queue),
            nth,
            operation: Operation::Read,
            sector: Sector(8),
            bytes: 4096,
            plan: Plan {
                latency: Nanos(latency),
                ..Plan::default()
            },
        }
    }

    fn recording(decisions: &[Recorded]) -> tempfile::NamedTempFile {
        use std::io::Write;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for decision in decisions {
            writeln!(file, "{}", serde_json::to_string(decision).unwrap()).unwrap();
        }
        file
    }

    fn compared(one: &[Recorded], other: &[Recorded]) -> Comparison {
        let [one, other] = [one, other].map(|list| read(recording(list).path()).unwrap());
        compare(&one, &other)
    }

    #[test]
    fn the_same_decisions_in_another_order_are_the_same() {
        let [a, b, c] = [decision(0, 0, 5), decision(1, 0, 6), decision(0, 1, 7)];
        let found = compared(&[a.clone(), b.clone(), c.clone()], &[b, a, c]);
        assert!(found.is_same() && found.equal == 3, "{found:?}");
    }

    #[test]
    fn the_first_difference_is_the_earliest_on_any_queue() {
        let one = [decision(0, 0, 5), decision(0, 9, 5), decision(1, 2, 5)];
        let other = [decision(0, 0, 5), decision(0, 9, 6), decision(1, 2, 7)];
        let found = compared(&one, &other);
        assert_eq!((found.equal, found.different), (1, 2));
        let first = found.first_difference.unwrap();
        assert_eq!((first.queue, first.nth), (QueueId(1), 2));
    }

    #[test]
    fn what_is_in_one_only_is_a_difference() {
        let both = decision(0, 0, 5);
        let more = compared(&[both.clone(), decision(0, 1, 5)], &[both]);
        assert_eq!((more.equal, more.only_in_first), (1, 1));
        assert!(!more.is_same());
    }

    #[test]
    fn numbers_that_begin_anew_are_paired_in_their_order() {
        let twice = [decision(0, 0, 5), decision(0, 0, 6)];
        assert!(compared(&twice, &twice).is_same());
        assert_eq!(compared(&twice, &twice[..1]).only_in_first, 1);
    }

    #[test]
    fn decisions_that_were_lost_are_counted() {
        use std::io::Write;
        let mut file = recording(&[decision(0, 0, 5)]);
        writeln!(file, "{{\"lost\":3}}").unwrap();
        let found = compare(&read(file.path()).unwrap(), &Decisions::default());
        assert_eq!((found.lost_in_first, found.lost_in_second), (3, 0));
    }

    #[test]
    fn a_line_that_is_no_decision_is_named() {
        use std::io::Write;
        let mut file = recording(&[decision(0, 0, 5)]);
        writeln!(file, "{{}}").unwrap();
        let failure = read(file.path()).unwrap_err();
        for hint in ["line 2", "missing field"] {
            assert!(failure.to_string().contains(hint), "{failure}");
        }
        assert_eq!(failure.exit(), Exit::Usage);
        let missing = read(Path::new("/nonexistent/decisions.ndjson")).unwrap_err();
        assert_eq!(missing.exit(), Exit::Usage);
    }
}
