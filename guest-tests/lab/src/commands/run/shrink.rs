// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm run --shrink`: which of the device's decisions a failure needs.
//!
//! The failing test is run again and again, each time with some of the recorded
//! decisions and all others plain. First it is settled whether they matter at
//! all, and whether the scenario's storms do; then [`ddmin`] takes decisions
//! away. What the test itself tells the device, its storms and its commands,
//! stays as it is. A failure for another reason is none.

use std::path::PathBuf;

use super::search::{Search, Stopped};
use crate::cli::{RunArguments, ShrinkArguments};
use crate::failure::Failure;
use crate::repository::{NamedScenario, Repository};
use crate::results::{Folder, Outcome, Record};
use crate::session::{Lab, Subject, Trial, again};
use crate::shrink::{Answer, Minimum, Schedule, ddmin};
use crate::suite;

/// The scenario that decides nothing special.
const PLAIN: &str = "plain";

/// In the results folder: the recording of what was found.
const MINIMAL: &str = "minimal.ndjson";

/// Decisions named one by one.
const MOST_NAMED: usize = 12;

/// Shrinks the first failure of a run, if it has one, and says what was found.
pub(super) fn run(
    arguments: &RunArguments,
    lab: &mut Lab,
    subject: &Subject,
    trial: &Trial,
    record: &Record,
    folder: &Folder,
) -> Result<(), Failure> {
    let Some((name, reason)) = failure_of(record) else {
        eprintln!("nothing to shrink: no test failed");
        return Ok(());
    };
    let Some(test) = suite::find(name) else {
        eprintln!("nothing to shrink: {name} is no test of the guest's");
        return Ok(());
    };
    let alone = Trial {
        tests: vec![test],
        // Of its many runs none is looked at.
        trace_mib: None,
        ..trial.clone()
    };
    let (repository, limits) = (Repository::find()?, &arguments.shrink);
    let plain = repository.scenario(PLAIN)?.seeded(trial.seed);
    let shrink = folder.inside("shrink")?;
    let recorded = (trial.tests == alone.tests).then(|| folder.join("decisions.ndjson"));
    let search = Search::new(lab, subject, alone, reason, shrink, limits);
    let mut shrinking = Shrinking {
        search,
        plain,
        minimal: folder.join(MINIMAL),
        folder,
        limits,
    };
    eprintln!("\nshrinking {name}: {reason}");
    match shrinking.look(recorded) {
        // What was found until then is said, and written already.
        Ok(()) | Err(Stopped::Limit) => Ok(()),
        Err(Stopped::Failed(failure)) => Err(failure),
    }
}

/// The first case that failed and was not to, or else was to by the command
/// line, and why.
fn failure_of(record: &Record) -> Option<(&str, &str)> {
    use crate::results::Source;
    let named = |case: &&crate::results::Case| {
        let by = case.expected.as_ref().map(|expected| expected.by);
        case.outcome() == Outcome::Known && by == Some(Source::Argument)
    };
    let cases = &record.cases;
    let failed = cases.iter().find(|case| case.outcome() == Outcome::Failed);
    let case = failed.or_else(|| cases.iter().find(named))?;
    Some((&case.name, case.reasons.first()?))
}

struct Shrinking<'a> {
    search: Search<'a>,
    plain: NamedScenario,
    minimal: PathBuf,
    folder: &'a Folder,
    limits: &'a ShrinkArguments,
}

impl Shrinking<'_> {
    fn look(&mut self, recorded: Option<PathBuf>) -> Result<(), Stopped> {
        let recorded = match recorded {
            Some(path) => path,
            None => match self.search.record_alone()? {
                Some(path) => path,
                None => {
                    eprintln!("it does not fail so when it is run alone: nothing was shrunk");
                    return Ok(());
                }
            },
        };
        let schedule = Schedule::read(&recorded).map_err(Stopped::Failed)?;
        let all = schedule.special();
        let with_storms = self.search.trial.scenario.clone();
        self.search.trial.scenario = self.plain.clone();
        if self.fails(&schedule, &[], "no decision, no storm of the scenario")? {
            self.independent(&schedule, all.len());
            return Ok(());
        }
        if self.fails(&schedule, &all, "all decisions, no storm of the scenario")? {
            return self.minimise(&schedule, all);
        }
        self.search.trial.scenario = with_storms;
        if !self.fails(&schedule, &all, "all decisions, the scenario's storms")? {
            eprintln!(
                "the recorded decisions do not repeat the failure in {} tries: nothing was shrunk",
                self.limits.shrink_tries
            );
            return Ok(());
        }
        if self.fails(&schedule, &[], "no decision, the scenario's storms")? {
            eprintln!(
                "no decision is needed: the storms of scenario {} suffice",
                self.search.trial.scenario.name
            );
            self.say_command();
            return Ok(());
        }
        self.minimise(&schedule, all)
    }

    /// Whether it fails with these decisions; if so, they are the best so far.
    fn fails(&mut self, schedule: &Schedule, kept: &[usize], what: &str) -> Result<bool, Stopped> {
        let recording = schedule.recording(kept);
        let fails = self.search.fails(&recording, what)?;
        if fails {
            let written = self.folder.write(MINIMAL, recording.as_bytes());
            written.map_err(Stopped::Failed)?;
        }
        Ok(fails)
    }

    fn minimise(&mut self, schedule: &Schedule, all: Vec<usize>) -> Result<(), Stopped> {
        let count = all.len();
        let mut stopped = None;
        let found = ddmin(all, &mut |kept| {
            let what = format!("{} of {count} decisions", kept.len());
            match self.fails(schedule, kept, &what) {
                Ok(true) => Answer::Fails,
                Ok(false) => Answer::Passes,
                Err(reason) => {
                    stopped = Some(reason);
                    Answer::Stop
                }
            }
        });
        self.say_found(schedule, &found, count);
        stopped.map_or(Ok(()), Err)
    }

    fn say_found(&self, schedule: &Schedule, found: &Minimum, count: usize) {
        let kept = &found.kept;
        let end = match found.minimal {
            true => "without any one of them it passes",
            false => "stopped before it was known whether fewer do",
        };
        eprintln!(
            "{} of {count} decisions suffice; {end} ({} runs, {} s; of {} decisions recorded the others were plain anyway)",
            kept.len(),
            self.search.runs(),
            self.search.begun.elapsed().as_secs(),
            schedule.len(),
        );
        for &at in kept.iter().take(MOST_NAMED) {
            eprintln!("  {}", schedule.describe(at));
        }
        if kept.len() > MOST_NAMED {
            eprintln!("  and {} more", kept.len() - MOST_NAMED);
        }
        self.say_command();
    }

    fn independent(&self, schedule: &Schedule, special: usize) {
        eprintln!(
            "the failure does not depend on the device's decisions: it fails with all of them left out ({special} special ones of {})",
            schedule.len()
        );
        self.say_command();
    }

    /// The command that fails with what was found last.
    fn say_command(&self) {
        let trial = Trial {
            replay: Some(self.minimal.clone()),
            ..self.search.trial.clone()
        };
        let path = self.folder.path();
        let words = again::arguments(self.search.lab, self.search.subject, &trial, path);
        eprintln!("to repeat it: {}", again::line(&words));
    }
}
