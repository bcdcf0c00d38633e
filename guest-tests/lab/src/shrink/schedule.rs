// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a device decided about the requests of a run, and recordings in which
//! some of that is left out.
//!
//! A recording knows a request by what it is and by how many like it came
//! before. So a decision that is left out stays in the file, as a plain one, as
//! long as one about a later request of the same kind is kept.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use irqstorm_core::pattern::{Recorded, UNRECORDED_PLAIN};
use irqstorm_core::plan::Plan;
use irqstorm_core::request::{Operation, Sector};

use crate::failure::{Failure, io_failure};

/// The decisions of a run in the order of their requests.
#[derive(Debug)]
pub(crate) struct Schedule {
    decisions: Vec<Recorded>,
}

/// What makes two requests the same one.
type Identity = (Operation, Sector, u64);

fn identity(recorded: &Recorded) -> Identity {
    (recorded.operation, recorded.sector, recorded.bytes)
}

/// Whether that is what is decided about a request that is left out. By which
/// rule does not matter.
fn is_plain(plan: &Plan) -> bool {
    Plan {
        rule: None,
        ..*plan
    } == Plan::default()
}

impl Schedule {
    /// Reads what a device has recorded.
    pub(crate) fn read(path: &Path) -> Result<Schedule, Failure> {
        let file = File::open(path).map_err(io_failure("read", path))?;
        let mut decisions = Vec::new();
        for (number, line) in (1..).zip(BufReader::new(file).lines()) {
            let line = line.map_err(io_failure("read", path))?;
            let decision = serde_json::from_str(&line).map_err(|error| Failure::BadArgument {
                what: path.display().to_string(),
                reason: format!("line {number} is no decision, or decisions are missing: {error}"),
            })?;
            decisions.push(decision);
        }
        Ok(Schedule { decisions })
    }

    /// How many decisions there are.
    pub(crate) fn len(&self) -> usize {
        self.decisions.len()
    }

    /// Those that can be left out: which are not plain.
    pub(crate) fn special(&self) -> Vec<usize> {
        let all = self.decisions.iter().enumerate();
        let special = all.filter(|(_, recorded)| !is_plain(&recorded.plan));
        special.map(|(at, _)| at).collect()
    }

    /// A recording with these decisions, in ascending order, and no others:
    /// every other request is decided plainly.
    pub(crate) fn recording(&self, kept: &[usize]) -> String {
        let mut last: HashMap<Identity, usize> = HashMap::new();
        for &at in kept {
            if let Some(recorded) = self.decisions.get(at) {
                last.insert(identity(recorded), at);
            }
        }
        let mut text = format!("{UNRECORDED_PLAIN}\n");
        for (at, recorded) in self.decisions.iter().enumerate() {
            if last.get(&identity(recorded)).is_none_or(|last| at > *last) {
                continue;
            }
            let plan = match kept.binary_search(&at) {
                Ok(_) => recorded.plan,
                Err(_) => Plan::default(),
            };
            let line = Recorded {
                plan,
                ..recorded.clone()
            };
            // Types that are read from JSON can be written to it.
            text += &serde_json::to_string(&line).unwrap_or_default();
            text.push('\n');
        }
        text
    }

    /// One decision for people: the request, which of its kind, and what was
    /// decided about it.
    pub(crate) fn describe(&self, at: usize) -> String {
        let Some(recorded) = self.decisions.get(at) else {
            return String::new();
        };
        let alike = self.decisions.iter().take(at);
        let nth = alike.filter(|other| identity(other) == identity(recorded));
        let plan = Plan {
            rule: None,
            ..recorded.plan
        };
        let plan = serde_json::to_string(&plan).unwrap_or_default();
        let operation = serde_json::to_string(&recorded.operation).unwrap_or_default();
        format!(
            "{} of {} bytes at sector {}, number {} of its kind, queue {}: {plan}",
            operation.trim_matches('"'),
            recorded.bytes,
            recorded.sector.0,
            nth.count() + 1,
            recorded.queue.0,
        )
    }
}

#[cfg(test)]
mod tests {
    use irqstorm_core::filter::Traits;
    use irqstorm_core::pattern::Replay;
    use irqstorm_core::request::QueueId;
    use irqstorm_core::units::Nanos;
    use proptest::prelude::*;

    use super::*;

    /// Requests at these sectors, each with a latency of its own; of 0 it is
    /// plain.
    fn schedule(requests: &[(u64, u64)]) -> Schedule {
        let decisions = (0..)
            .zip(requests)
            .map(|(nth, &(sector, latency))| Recorded {
                queue: QueueId(0),
                nth,
                operation: Operation::Read,
                sector: Sector(sector),
                bytes: 4096,
                plan: Plan {
                    rule: Some(3),
                    latency: Nanos(latency),
                    ..Plan::default()
                },
            });
        Schedule {
            decisions: decisions.collect(),
        }
    }

    fn traits(recorded: &Recorded) -> Traits {
        Traits {
            queue: recorded.queue,
            operation: recorded.operation,
            sector: recorded.sector,
            bytes: recorded.bytes,
        }
    }

    #[test]
    fn what_is_plain_need_not_be_left_out() {
        let schedule = schedule(&[(8, 5), (16, 0), (8, 7)]);
        assert_eq!((schedule.len(), schedule.special()), (3, vec![0, 2]));
    }

    #[test]
    fn a_recording_has_no_line_that_says_nothing() {
        let schedule = schedule(&[(8, 5), (16, 6), (8, 7), (8, 8)]);
        let lines = |kept: &[usize]| schedule.recording(kept).lines().count();
        assert_eq!(lines(&[]), 1);
        assert_eq!(lines(&[1]), 2);
        // The first at sector 8 keeps the second the second.
        assert_eq!(lines(&[2]), 3);
    }

    #[test]
    fn a_decision_is_told_with_its_place() {
        let text = schedule(&[(8, 5), (8, 7_000)]).describe(1);
        for words in ["read of 4096 bytes at sector 8", "number 2", "7us"] {
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn what_was_recorded_is_read_and_a_gap_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.ndjson");
        let one = schedule(&[(8, 5)]);
        let line = serde_json::to_string(&one.decisions[0]).unwrap() + "\n";
        std::fs::write(&path, &line).unwrap();
        assert_eq!(Schedule::read(&path).unwrap().decisions, one.decisions);
        std::fs::write(&path, line + "{\"lost\":3}\n").unwrap();
        let failure = Schedule::read(&path).unwrap_err().to_string();
        assert!(failure.contains("line 2"), "{failure}");
    }

    proptest! {
        /// The device's own replay gives what is kept to the requests that had
        /// it, and nothing special to any other.
        #[test]
        fn what_is_kept_comes_back_and_nothing_else(
            requests in proptest::collection::vec((0u64..6, 1u64..1000, any::<bool>()), 0..60),
        ) {
            let kept: Vec<usize> = (0..requests.len()).filter(|at| requests[*at].2).collect();
            let plain: Vec<(u64, u64)> = requests.iter().map(|(s, l, _)| (*s, *l)).collect();
            let schedule = schedule(&plain);
            let text = schedule.recording(&kept);
            let mut replay = Replay::read(text.as_bytes()).unwrap();
            for (at, recorded) in schedule.decisions.iter().enumerate() {
                let expected = match kept.contains(&at) {
                    true => recorded.plan,
                    false => Plan::default(),
                };
                prop_assert_eq!(replay.next(&traits(recorded)), Some(expected));
            }
        }
    }
}
