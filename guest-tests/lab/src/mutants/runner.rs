// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Runs what is not in the ledger yet: a session for each kernel and seed.
//!
//! What cannot be run is written down as such, and the rest goes on: a kernel
//! that does not build is no mutant that was caught.

use std::fs;
use std::time::Instant;

use irqstorm_agent::catalogue::{TestInfo, find};
use irqstorm_agent::protocol::Verdict;

use super::cell::{Cell, Ended};
use super::matrix::{Matrix, Row};
use super::verdicts::Verdicts;
use crate::artifacts::Purpose;
use crate::cli::MachineArguments;
use crate::failure::Failure;
use crate::interrupt;
use crate::ledger::{Builds, Eta};
use crate::progress::{Lead, Stages};
use crate::repository::{DEFAULT_SCENARIO, Repository};
use crate::results::{Case, Record};
use crate::session::{Begun, Lab, Outcome, Session, Subject, Trial, Wanted, Watcher};
use crate::suite::{Expectations, QUIET, ways_of};

/// In the results folder: the sessions' own.
const RUNS: &str = "runs";

/// Large, and of use only where a verdict surprises.
const TRACES: [&str; 2] = ["events.ndjson", "decisions.ndjson"];

/// Which verdicts of the ledger are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Those made with the same builds of kernel and guest.
    Same,
    /// All.
    Any,
    /// None.
    Nothing,
}

/// What sessions are made with.
pub(crate) struct Runner {
    repository: Repository,
    lab: Lab,
    trial: Trial,
    reuse: Reuse,
    ledger: Verdicts,
    eta: Eta,
    lead: Lead,
}

impl Runner {
    /// Verdicts go to the ledger.
    pub(crate) fn new(
        repository: Repository,
        lab: Lab,
        machine: &MachineArguments,
        reuse: Reuse,
        ledger: Verdicts,
    ) -> Result<Runner, Failure> {
        let trial = Trial {
            tests: Vec::new(),
            expectations: Expectations::default(),
            scenario: repository.scenario(DEFAULT_SCENARIO)?,
            seed: 0,
            replay: None,
            trace_mib: None,
            lasting: false,
            cpus: machine.cpus,
            memory: machine.memory,
        };
        Ok(Runner {
            repository,
            lab,
            trial,
            reuse,
            ledger,
            eta: Eta::new(0),
            lead: Lead::default(),
        })
    }

    /// Runs all of it, and gives the ledger back. Only an interruption or a
    /// ledger that cannot be written ends it early.
    pub(crate) fn run(mut self, matrix: &Matrix, seeds: &[u64]) -> Result<Verdicts, Failure> {
        let tests: usize = matrix.rows.iter().map(|row| row.tests.len()).sum();
        self.eta = Eta::new(tests.saturating_mul(seeds.len()));
        for row in &matrix.rows {
            self.lead.replace(self.eta.text());
            self.run_row(row, seeds)?;
        }
        Ok(self.ledger)
    }

    fn run_row(&mut self, row: &Row, seeds: &[u64]) -> Result<(), Failure> {
        let known =
            |test: &TestInfo, seed: u64| self.ledger.find(&row.kernel, test.name, seed).is_some();
        let all_known = seeds
            .iter()
            .all(|&seed| row.tests.iter().all(|test| known(test, seed)));
        if row.tests.is_empty() || (self.reuse == Reuse::Any && all_known) {
            self.eta.skip(row.tests.len() * seeds.len());
            return Ok(());
        }
        let begun = Instant::now();
        let subject = match self.build(row) {
            Ok(subject) => subject,
            Err(failure) => {
                // Without a kernel no verdict is good but one that is trusted.
                let builds = Builds::default();
                for &seed in seeds {
                    let left = self.left(row, seed, &builds);
                    self.not_run(row, seed, &left, &builds, &failure)?;
                }
                return Ok(());
            }
        };
        self.eta.work(0, begun.elapsed());
        let builds = Builds::of(&subject.artifacts, self.lab.disk)?;
        for &seed in seeds {
            let left = self.left(row, seed, &builds);
            self.eta.skip(row.tests.len() - left.len());
            self.lead.replace(self.eta.text());
            if !left.is_empty() {
                self.run_session(row, &subject, seed, &left, &builds)?;
            }
        }
        Ok(())
    }

    /// The tests for which there is no good verdict.
    fn left(&self, row: &Row, seed: u64, builds: &Builds) -> Vec<&'static TestInfo> {
        let good = |test: &TestInfo| match self.reuse {
            Reuse::Same => self.ledger.has(&row.kernel, test.name, seed, builds),
            Reuse::Any => self.ledger.find(&row.kernel, test.name, seed).is_some(),
            Reuse::Nothing => false,
        };
        let tests = row.tests.iter().copied();
        tests.filter(|test| !good(test)).collect()
    }

    fn build(&self, row: &Row) -> Result<Subject, Failure> {
        let wanted = Wanted::find(&self.repository, &row.kernel, &[])?;
        let mut stages = Stages::led_by(self.lead.clone());
        self.lab.build(&wanted, Purpose::Tests, &mut stages)
    }

    fn run_session(
        &mut self,
        row: &Row,
        subject: &Subject,
        seed: u64,
        tests: &[&'static TestInfo],
        builds: &Builds,
    ) -> Result<(), Failure> {
        let trial = self.trial.with_tests(tests).with_seed(seed);
        // What an earlier session had to say does not stand for this one.
        self.ledger.forget(&row.kernel, QUIET, seed);
        let runs = self.ledger.folder().join(RUNS);
        let stages = Stages::led_by(self.lead.clone());
        let opened = Session::open(&mut self.lab, subject, &trial, &runs, &Begun::now(), stages);
        let mut session = match opened {
            Ok(session) => session,
            Err(failure) => return self.not_run(row, seed, tests, builds, &failure),
        };
        let mut recorder = Recorder {
            kernel: &row.kernel,
            builds,
            run: format!("{RUNS}/{}", session.folder().name()),
            ledger: &mut self.ledger,
            eta: &mut self.eta,
            lead: &self.lead,
            begun: Instant::now(),
        };
        let ran = session.run(&mut recorder);
        let outcome = session.close();
        eprintln!("{}", said(row, &outcome.record));
        remove_traces(row, &outcome);
        match ran {
            Ok(()) => Ok(()),
            Err(failure) => {
                let ran = &outcome.record.cases;
                let was_run = |test: &TestInfo| ran.iter().any(|case| case.name == test.name);
                let rest: Vec<&'static TestInfo> = tests
                    .iter()
                    .copied()
                    .filter(|test| !was_run(test))
                    .collect();
                self.not_run(row, seed, &rest, builds, &failure)
            }
        }
    }

    /// Writes down what could not be run, and why.
    fn not_run(
        &mut self,
        row: &Row,
        seed: u64,
        tests: &[&'static TestInfo],
        builds: &Builds,
        failure: &Failure,
    ) -> Result<(), Failure> {
        // What was asked to stop has failed for that reason alone.
        interrupt::check()?;
        let reason = failure.to_string();
        eprintln!("{}, seed {seed}: failed to {reason}", row.kernel);
        self.eta.skip(tests.len());
        for test in tests {
            self.ledger.add(Cell {
                kernel: row.kernel.clone(),
                test: test.name.to_owned(),
                seed,
                ended: Ended::NotRun,
                ways: Vec::new(),
                reasons: vec![format!("failed to {reason}")],
                seconds: 0.0,
                builds: builds.clone(),
                run: String::new(),
            })?;
        }
        Ok(())
    }
}

/// Writes a session's verdicts into the ledger.
struct Recorder<'r> {
    kernel: &'r str,
    builds: &'r Builds,
    run: String,
    ledger: &'r mut Verdicts,
    eta: &'r mut Eta,
    lead: &'r Lead,
    begun: Instant,
}

impl Watcher for Recorder<'_> {
    fn begins(&mut self, _record: &Record, _cases: usize) -> Result<(), Failure> {
        Ok(())
    }

    fn ended(&mut self, record: &Record, case: &Case) -> Result<(), Failure> {
        // The console outside of tests is worth a word only if it has one.
        if case.name == QUIET && case.verdict == Verdict::Pass {
            return Ok(());
        }
        if case.name != QUIET {
            self.eta.work(1, self.begun.elapsed());
            self.begun = Instant::now();
            self.lead.replace(self.eta.text());
        }
        self.ledger.add(Cell {
            kernel: self.kernel.to_owned(),
            test: case.name.clone(),
            seed: record.seed,
            ended: match case.verdict {
                Verdict::Pass => Ended::Passed,
                Verdict::Fail => Ended::Failed,
                Verdict::Skip => Ended::Skipped,
            },
            ways: ways_of(case),
            reasons: case.reasons.clone(),
            seconds: case.seconds,
            builds: self.builds.clone(),
            run: self.run.clone(),
        })
    }
}

/// A session in a line.
fn said(row: &Row, record: &Record) -> String {
    let count = |verdict| {
        let tests = record.cases.iter().filter(|case| case.name != QUIET);
        tests.filter(|case| case.verdict == verdict).count()
    };
    let (passed, skipped) = (count(Verdict::Pass), count(Verdict::Skip));
    let failed: Vec<String> = record
        .cases
        .iter()
        .filter(|case| case.verdict == Verdict::Fail)
        .map(|case| {
            let ways: Vec<&str> = ways_of(case).iter().map(|way| way.words()).collect();
            format!("{} ({})", case.name, ways.join(", "))
        })
        .collect();
    let mut parts = Vec::new();
    if !failed.is_empty() {
        parts.push(format!("failed {}", failed.join(", ")));
    }
    if passed > 0 {
        parts.push(format!("{passed} passed"));
    }
    if skipped > 0 {
        parts.push(format!("{skipped} skipped"));
    }
    format!("{}, seed {}: {}", row.kernel, record.seed, parts.join("; "))
}

/// Removes what takes room where all was as it was to be.
fn remove_traces(row: &Row, outcome: &Outcome) {
    let as_it_was_to_be = |case: &Case| {
        let fails = row.mutant.is_some()
            || find(&case.name).is_some_and(|test| test.fails_by_design(&row.kernel).is_some());
        match case.verdict {
            Verdict::Fail => fails,
            Verdict::Pass => row.mutant.is_none() || case.name == QUIET,
            Verdict::Skip => true,
        }
    };
    if outcome.record.cases.iter().all(as_it_was_to_be) {
        for name in TRACES {
            // One that stays takes room and does no harm.
            let _ = fs::remove_file(outcome.folder.join(name));
        }
    }
}
