// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The runs of a search: one test with one recording, until it fails as it did
//! or has been tried often enough.

use std::path::PathBuf;
use std::time::Instant;

use irqstorm_agent::protocol::Verdict;

use crate::cli::ShrinkArguments;
use crate::failure::Failure;
use crate::interrupt;
use crate::progress::Stages;
use crate::results::{Case, Folder, Record};
use crate::session::{Begun, Lab, Outcome, Session, Subject, Trial, Watcher};

/// Why a search ends before its end.
#[derive(Debug)]
pub(super) enum Stopped {
    /// It has made as many runs, or taken as long, as it may.
    Limit,
    /// A run could not be made, or ^C came.
    Failed(Failure),
}

/// What is run, how often, and what counts.
pub(super) struct Search<'a> {
    pub(super) lab: &'a mut Lab,
    pub(super) subject: &'a Subject,
    /// The failing test alone.
    pub(super) trial: Trial,
    /// When it began.
    pub(super) begun: Instant,
    /// The failure, without what differs from run to run.
    signature: String,
    folder: Folder,
    limits: &'a ShrinkArguments,
    runs: u32,
}

/// Shows nothing: a search says itself how it goes.
struct Silent;

impl Watcher for Silent {
    fn begins(&mut self, _: &Record, _: usize) -> Result<(), Failure> {
        Ok(())
    }

    fn ended(&mut self, _: &Record, _: &Case) -> Result<(), Failure> {
        Ok(())
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(
        lab: &'a mut Lab,
        subject: &'a Subject,
        trial: Trial,
        reason: &str,
        folder: Folder,
        limits: &'a ShrinkArguments,
    ) -> Search<'a> {
        Search {
            lab,
            subject,
            trial,
            begun: Instant::now(),
            signature: signature(reason),
            folder,
            limits,
            runs: 0,
        }
    }

    /// Runs made.
    pub(super) fn runs(&self) -> u32 {
        self.runs
    }

    /// The recording of a run of the test alone that fails the same way, if one
    /// does.
    pub(super) fn record_alone(&mut self) -> Result<Option<PathBuf>, Stopped> {
        for _ in 0..self.limits.shrink_tries {
            let outcome = self.one("the test alone")?;
            if self.is_same(&outcome.record) {
                return Ok(Some(outcome.folder.join("decisions.ndjson")));
            }
        }
        Ok(None)
    }

    /// Whether the test fails the same way with a recording, in one of as many
    /// tries as there are.
    pub(super) fn fails(&mut self, recording: &str, what: &str) -> Result<bool, Stopped> {
        let written = self.folder.write("candidate.ndjson", recording.as_bytes());
        written.map_err(Stopped::Failed)?;
        self.trial.replay = Some(self.folder.join("candidate.ndjson"));
        for _ in 0..self.limits.shrink_tries {
            let outcome = self.one(what)?;
            let same = self.is_same(&outcome.record);
            outcome.folder.keep_records().map_err(Stopped::Failed)?;
            if same {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn one(&mut self, what: &str) -> Result<Outcome, Stopped> {
        interrupt::check().map_err(Stopped::Failed)?;
        let late = self.begun.elapsed() >= self.limits.shrink_for.0;
        if late || self.runs >= self.limits.shrink_runs {
            let reached = match late {
                true => "the time of --shrink-for is over",
                false => "no run of --shrink-runs is left",
            };
            eprintln!("the search ends: {reached}");
            return Err(Stopped::Limit);
        }
        self.runs += 1;
        let outcome = self.session().map_err(Stopped::Failed)?;
        let end = match self.is_same(&outcome.record) {
            true => "fails so",
            false if failed(&outcome.record).is_some() => "fails otherwise",
            false => "passes",
        };
        eprintln!("shrink {}: {what}: {end}", self.runs);
        Ok(outcome)
    }

    fn session(&mut self) -> Result<Outcome, Failure> {
        let folder = self.folder.inside(&format!("{:04}", self.runs))?;
        let (begun, stages) = (Begun::now(), Stages::new());
        let (lab, subject) = (&mut *self.lab, self.subject);
        let mut session = Session::open_in(lab, subject, &self.trial, folder, &begun, stages)?;
        session.run(&mut Silent)?;
        Ok(session.close())
    }

    fn is_same(&self, record: &Record) -> bool {
        failed(record).is_some_and(|reason| signature(reason) == self.signature)
    }
}

/// Why the test of a run failed, if it did.
fn failed(record: &Record) -> Option<&str> {
    let case = record.cases.first()?;
    let reason = case.reasons.first().map(String::as_str);
    reason.filter(|_| case.verdict == Verdict::Fail)
}

/// A reason without its figures: what differs between two failures of one kind.
fn signature(reason: &str) -> String {
    let mut text = String::new();
    for word in reason.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_figure = bare.starts_with(|c: char| c.is_ascii_digit());
        text.push_str(if is_figure { "0" } else { word });
        text.push(' ');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_kind_differ_in_figures_alone() {
        let one = signature("3 of 1,000 bios ended at +0x1f (2 ms late)");
        assert_eq!(one, signature("17 of 20 bios ended at +0x2 (30 ms late)"));
        assert_ne!(one, signature("3 of 1,000 bios ended at +0x1f (2 s late)"));
        let splat = |pid| format!("the kernel complained: WARNING: CPU: 1 PID: {pid} at bio.c:12");
        assert_eq!(signature(&splat(7)), signature(&splat(81)));
    }
}
