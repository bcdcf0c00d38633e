// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The pattern that repeats recorded decisions, although arrivals shift.
//!
//! A decision follows the request: the k-th write of 4096 bytes at sector 8
//! gets what the k-th such write got, whatever queue it comes on and whenever.
//! What was not recorded is decided by the scenario, and counted; in a recording
//! that begins with the line [`UNRECORDED_PLAIN`] it is completed at once, with
//! an interrupt when one is wanted, so that the file alone decides.

use std::collections::{HashMap, VecDeque};
use std::io::BufRead;

use serde::{Deserialize, Serialize};

use crate::filter::Traits;
use crate::plan::Plan;
use crate::request::{Operation, QueueId, Sector};

/// The longest line of a recording, in bytes.
const MAX_LINE: u64 = 4096;

/// The most decisions of a recording.
const MAX_DECISIONS: usize = 20_000_000;

/// The first line of a recording that decides about every request: plainly where
/// it says nothing.
pub const UNRECORDED_PLAIN: &str = "{\"unrecorded\":\"plain\"}";

/// One line of a recording: a request and what was decided about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Its queue.
    pub queue: QueueId,
    /// Its number on that queue under the scenario in force, from 0.
    pub nth: u64,
    /// Its kind.
    pub operation: Operation,
    /// Where on the disk.
    pub sector: Sector,
    /// Data bytes.
    pub bytes: u64,
    /// What was decided.
    pub plan: Plan,
}

/// A recording that cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It could not be read.
    #[error("read the recording, line {line}: {source}")]
    Read {
        /// Counted from 1.
        line: usize,
        /// Why.
        source: std::io::Error,
    },
    /// A line of it is no decision.
    #[error("read the recording, line {line}: {reason}; it is made with --record")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Decisions are missing, so that later ones would go to other requests.
    #[error(
        "read the recording, line {line}: {lost} decisions are missing here, which the device \
         could not write; record anew, or take the line out to replay the others"
    )]
    Lost {
        /// Counted from 1.
        line: usize,
        /// How many.
        lost: u64,
    },
}

/// The line of a recording that stands where decisions are missing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lost {
    lost: u64,
}

/// The line that says who decides what was not recorded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unrecorded {
    #[serde(rename = "unrecorded")]
    _by: Plain,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Plain {
    Plain,
}

/// What makes two requests the same one.
type Identity = (Operation, Sector, u64);

/// Recorded decisions, and how many have been repeated.
#[derive(Debug, Default)]
pub struct Replay {
    decisions: HashMap<Identity, VecDeque<Plan>>,
    /// Whether what was not recorded is decided plainly, not by the scenario.
    plain: bool,
    repeated: u64,
    unrecorded: u64,
}

impl Replay {
    /// Reads a recording.
    pub fn read(mut from: impl BufRead) -> Result<Replay, ReplayError> {
        let mut replay = Replay::default();
        let mut text = String::new();
        for line in 1.. {
            text.clear();
            let mut limited = std::io::Read::take(&mut from, MAX_LINE);
            let read = limited.read_line(&mut text);
            let length = read.map_err(|source| ReplayError::Read { line, source })?;
            if length == 0 {
                break;
            }
            let refuse = |reason: String| Err(ReplayError::Line { line, reason });
            if !text.ends_with('\n') && length as u64 == MAX_LINE {
                return refuse(format!("it is longer than {MAX_LINE} bytes"));
            }
            if line > MAX_DECISIONS {
                return refuse(format!("there are more than {MAX_DECISIONS}"));
            }
            match serde_json::from_str::<Recorded>(&text) {
                Ok(recorded) => replay.add(&recorded),
                Err(_) if line == 1 && serde_json::from_str::<Unrecorded>(&text).is_ok() => {
                    replay.plain = true;
                }
                Err(error) => match serde_json::from_str(&text) {
                    Ok(Lost { lost }) => return Err(ReplayError::Lost { line, lost }),
                    Err(_) => return refuse(error.to_string()),
                },
            }
        }
        Ok(replay)
    }

    fn add(&mut self, recorded: &Recorded) {
        let identity = (recorded.operation, recorded.sector, recorded.bytes);
        let same = self.decisions.entry(identity).or_default();
        same.push_back(recorded.plan);
    }

    /// What was decided about such a request, if that was recorded or the
    /// recording decides about every request.
    pub fn next(&mut self, traits: &Traits) -> Option<Plan> {
        let identity = (traits.operation, traits.sector, traits.bytes);
        let plan = self
            .decisions
            .get_mut(&identity)
            .and_then(VecDeque::pop_front);
        match plan {
            Some(_) => self.repeated += 1,
            None => self.unrecorded += 1,
        }
        plan.or_else(|| self.plain.then(Plan::default))
    }

    /// How many decisions were repeated.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// How many requests were not in the recording.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Nanos;

    fn line(queue: u16, nth: u64, sector: u64, latency: u64) -> String {
        let recorded = Recorded {
            queue: QueueId(queue),
            nth,
            operation: Operation::Write,
            sector: Sector(sector),
            bytes: 4096,
            plan: Plan {
                latency: Nanos(latency),
                ..Plan::default()
            },
        };
        serde_json::to_string(&recorded).unwrap() + "\n"
    }

    fn traits(queue: u16, sector: u64) -> Traits {
        Traits {
            queue: QueueId(queue),
            operation: Operation::Write,
            sector: Sector(sector),
            bytes: 4096,
        }
    }

    #[test]
    fn decisions_follow_their_requests_over_queues_and_order() {
        let text = [line(0, 0, 8, 1), line(1, 0, 16, 2), line(0, 1, 8, 3)].concat();
        let mut replay = Replay::read(text.as_bytes()).unwrap();
        let mut latency = |queue, sector| replay.next(&traits(queue, sector)).map(|p| p.latency.0);
        assert_eq!(latency(0, 16), Some(2));
        assert_eq!(latency(1, 8), Some(1));
        assert_eq!(latency(0, 24), None);
        assert_eq!(latency(0, 8), Some(3));
        assert_eq!(latency(0, 8), None);
        assert_eq!((replay.repeated(), replay.unrecorded()), (3, 2));
    }

    #[test]
    fn a_recording_may_decide_about_every_request() {
        let text = format!("{UNRECORDED_PLAIN}\n{}", line(0, 0, 8, 1));
        let mut replay = Replay::read(text.as_bytes()).unwrap();
        let recorded = replay.next(&traits(0, 8)).unwrap();
        assert_eq!(recorded.latency, Nanos(1));
        assert_eq!(replay.next(&traits(0, 8)), Some(Plan::default()));
        assert_eq!(replay.next(&traits(0, 16)), Some(Plan::default()));
        assert_eq!((replay.repeated(), replay.unrecorded()), (1, 2));
    }

    #[test]
    fn who_decides_what_was_not_recorded_is_said_first() {
        let late = format!("{}{UNRECORDED_PLAIN}\n", line(0, 0, 8, 1));
        let other = UNRECORDED_PLAIN.replace("plain", "chance");
        for (text, at) in [(late, "line 2"), (other, "line 1")] {
            let error = Replay::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(at), "{error}");
        }
    }

    #[test]
    fn a_line_that_is_no_decision_is_named() {
        let good = line(0, 0, 8, 1);
        for bad in ["{}\n", "x", "{\"queue\":0}\n", &"9".repeat(5000)] {
            let text = format!("{good}{bad}");
            let error = Replay::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("line 2"), "{error}");
        }
        assert!(Replay::read(good.trim_end().as_bytes()).is_ok());
    }

    #[test]
    fn a_recording_with_decisions_missing_is_refused_with_their_number() {
        let text = line(0, 0, 8, 1) + "{\"lost\":12}\n" + &line(0, 13, 8, 1);
        let error = Replay::read(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ReplayError::Lost { line: 2, lost: 12 }));
    }
}
