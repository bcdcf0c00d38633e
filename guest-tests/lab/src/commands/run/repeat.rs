// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm run --repeat`, `--until-failure`, `--for`: one run after the other.
//!
//! Each repetition boots guests of its own: what one leaves behind is no part of
//! the next, so that the seed of one that failed repeats it alone. The whole is
//! a KTAP document with a run in it for each repetition, and a folder with one
//! for each; of those that passed only the records stay.

use std::time::{Duration, Instant};

use super::ktap::{Ktap, print};
use crate::cli::RunArguments;
use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::progress::Stages;
use crate::results::{Folder, Record, Tally, repetition_lines};
use crate::session::{Begun, Lab, Session, Subject, Trial};
use crate::suite;

/// When there is no other repetition.
struct Limits {
    count: Option<u64>,
    span: Option<Duration>,
    until_failure: bool,
}

impl Limits {
    fn of(arguments: &RunArguments) -> Limits {
        Limits {
            count: arguments.repeat.repeat,
            span: arguments.repeat.span.map(|span| span.0),
            until_failure: arguments.repeat.until_failure,
        }
    }

    /// Whether another is begun after so many, of which so many failed.
    fn goes_on(&self, made: u64, failed: u64, elapsed: Duration) -> bool {
        self.count.is_none_or(|count| made < count)
            && self.span.is_none_or(|span| elapsed < span)
            && !(self.until_failure && failed > 0)
    }
}

/// The seed of a repetition, counted from 1: the first has the seed of them all,
/// and each other one that is as short as one that nobody chose.
fn seed_of(first: u64, number: u64) -> u64 {
    if number == 1 {
        return first;
    }
    // SplitMix64's steps: neighbours share nothing.
    let mut mixed = first.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ mixed >> 31) >> 32
}

/// Makes the repetitions, and says at the end, also at one that came too early,
/// what they found.
pub(super) fn run(
    arguments: &RunArguments,
    lab: &mut Lab,
    subject: &Subject,
    trial: &Trial,
) -> Result<Exit, Failure> {
    let series = Folder::create(&arguments.results, &format!("{}-repeat", subject.name))?;
    let mut tally = Tally::default();
    let made = repeat(arguments, lab, subject, trial, &series, &mut tally);
    eprint!("\n{}", tally.summary(trial.seed));
    eprintln!("results in {}", series.path().display());
    made?;
    Ok(match tally.failed() {
        0 => Exit::Passed,
        _ => Exit::TestsFailed,
    })
}

fn repeat(
    arguments: &RunArguments,
    lab: &mut Lab,
    subject: &Subject,
    trial: &Trial,
    series: &Folder,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let limits = Limits::of(arguments);
    let begun = Instant::now();
    // How many there will be is known with a count alone.
    let plan = limits
        .count
        .filter(|_| limits.span.is_none() && !limits.until_failure);
    print(&repetition_lines::header(plan, trial.seed))?;
    while limits.goes_on(tally.made(), tally.failed(), begun.elapsed()) {
        interrupt::check()?;
        let number = tally.made() + 1;
        let trial = trial.with_seed(seed_of(trial.seed, number));
        eprintln!("repetition {number}, seed {}", trial.seed);
        let folder = series.inside(&format!("{number:04}"))?;
        let record = one(arguments, lab, subject, &trial, folder, number)?;
        print(&repetition_lines::result(number, &record))?;
        tally.add(number, &record);
        series.add_line("repetitions.ndjson", &tally.line(number, &record))?;
    }
    Ok(())
}

fn one(
    arguments: &RunArguments,
    lab: &mut Lab,
    subject: &Subject,
    trial: &Trial,
    folder: Folder,
    number: u64,
) -> Result<Record, Failure> {
    let (begun, stages) = (Begun::now(), Stages::new());
    let mut session = Session::open_in(lab, subject, trial, folder, &begun, stages)?;
    session.run(&mut Ktap {
        quiet: false,
        within: Some(repetition_lines::name(number)),
    })?;
    if let Some(command) = session.repeat(lab, subject) {
        eprintln!("to repeat what failed: {command}");
    }
    let outcome = session.close();
    let passed = suite::exit_of(&outcome.record) == Exit::Passed;
    if passed && !arguments.repeat.keep_all {
        outcome.folder.keep_records()?;
    }
    Ok(outcome.record)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn seeds_follow_from_the_first_and_differ() {
        for first in [0, 7, u64::MAX] {
            assert_eq!(seed_of(first, 1), first);
            let seeds: BTreeSet<u64> = (1..1000).map(|number| seed_of(first, number)).collect();
            assert_eq!(seeds.len(), 999);
        }
        // What was printed once is the same in any version.
        assert_eq!(seed_of(7, 2), 72_105_175);
        assert_ne!(seed_of(7, 2), seed_of(8, 2));
    }

    #[test]
    fn the_first_limit_that_is_reached_ends_it() {
        let limits = |count, seconds: Option<u64>, until_failure| Limits {
            count,
            span: seconds.map(Duration::from_secs),
            until_failure,
        };
        let after = Duration::from_secs;
        assert!(limits(Some(3), None, false).goes_on(2, 2, after(99)));
        assert!(!limits(Some(3), None, false).goes_on(3, 0, after(0)));
        assert!(limits(None, None, true).goes_on(1000, 0, after(99)));
        assert!(!limits(None, None, true).goes_on(1000, 1, after(99)));
        assert!(limits(None, Some(10), false).goes_on(5, 5, after(9)));
        assert!(!limits(None, Some(10), false).goes_on(5, 0, after(10)));
        assert!(!limits(Some(9), Some(10), true).goes_on(1, 1, after(1)));
    }
}
