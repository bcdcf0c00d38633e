// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Runs the cells that have no result yet.
//!
//! What cannot be run is written down as such, and the rest goes on.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use irqstorm_agent::catalogue::TestInfo;

use super::cell::{Cell, Ended};
use super::folder::{Campaign, RUNS};
use super::plan::Place;
use crate::artifacts::Purpose;
use crate::cli::Memory;
use crate::failure::Failure;
use crate::interrupt;
use crate::ledger::{Builds, Eta, Share};
use crate::progress::{Lead, Stages};
use crate::repository::Repository;
use crate::results::{Case, Record};
use crate::session::{Begun, Lab, Session, Subject, Trial, Wanted, Watcher};
use crate::suite::{Expectations, QUIET};

/// Large, and of use only where something failed.
const TRACES: [&str; 2] = ["events.ndjson", "decisions.ndjson"];

/// A kernel that was built, or why it was not.
type Built = Result<(Subject, Builds), String>;

/// What cells are run with.
pub(crate) struct Runner {
    repository: Repository,
    lab: Lab,
    tests: Vec<&'static TestInfo>,
    campaign: Campaign,
    built: BTreeMap<String, Built>,
    eta: Eta,
    lead: Lead,
}

impl Runner {
    /// Results go to the campaign.
    pub(crate) fn new(
        repository: Repository,
        lab: Lab,
        tests: Vec<&'static TestInfo>,
        campaign: Campaign,
    ) -> Runner {
        Runner {
            repository,
            lab,
            tests,
            campaign,
            built: BTreeMap::new(),
            eta: Eta::new(0),
            lead: Lead::default(),
        }
    }

    /// Runs all of it, or a share, and gives the campaign back. Only an
    /// interruption or a ledger that cannot be written ends it early.
    pub(crate) fn run(mut self, share: Option<Share>) -> Result<Campaign, Failure> {
        let cells = self.campaign.plan.cells().into_iter().enumerate();
        let wanted = |place: usize| share.is_none_or(|share| share.has(place));
        let cells: Vec<Place> = cells
            .filter(|(place, _)| wanted(*place))
            .map(|(_, cell)| cell)
            .collect();
        self.eta = Eta::new(cells.len());
        for place in cells {
            self.lead.replace(self.eta.text());
            self.run_cell(place)?;
        }
        Ok(self.campaign)
    }

    fn run_cell(&mut self, place: Place) -> Result<(), Failure> {
        let (subject, builds) = match self.build(&place.kernel)? {
            Ok(built) => built,
            Err(reason) => {
                self.eta.skip(1);
                return self.not_run(place, Builds::default(), reason);
            }
        };
        if self.campaign.has(&place, &builds) {
            self.eta.skip(1);
            return Ok(());
        }
        let begun = Instant::now();
        let ran = self.run_session(&place, &subject, &builds);
        interrupt::check()?;
        match ran {
            Ok(cell) => {
                eprintln!("{}", said(&cell));
                self.eta.work(1, begun.elapsed());
                self.campaign.add(cell)
            }
            Err(failure) => {
                self.eta.skip(1);
                self.not_run(place, builds, format!("failed to {failure}"))
            }
        }
    }

    /// A kernel, built when it is first wanted.
    fn build(&mut self, kernel: &str) -> Result<Built, Failure> {
        if let Some(built) = self.built.get(kernel) {
            return Ok(built.clone());
        }
        let built = self.try_to_build(kernel);
        interrupt::check()?;
        let built = built.map_err(|failure| format!("failed to {failure}"));
        self.built.insert(kernel.to_owned(), built.clone());
        Ok(built)
    }

    fn try_to_build(&self, kernel: &str) -> Result<(Subject, Builds), Failure> {
        let wanted = Wanted::find(&self.repository, kernel, &[])?;
        let mut stages = Stages::led_by(self.lead.clone());
        let subject = self.lab.build(&wanted, Purpose::Tests, &mut stages)?;
        let builds = Builds::of(&subject.artifacts, self.lab.disk)?;
        Ok((subject, builds))
    }

    fn run_session(
        &mut self,
        place: &Place,
        subject: &Subject,
        builds: &Builds,
    ) -> Result<Cell, Failure> {
        let plan = &self.campaign.plan;
        let trial = Trial {
            tests: self.tests.clone(),
            expectations: Expectations::default(),
            scenario: self
                .repository
                .scenario(&place.scenario)?
                .seeded(place.seed),
            seed: place.seed,
            replay: None,
            trace_mib: None,
            lasting: false,
            cpus: plan.cpus,
            memory: Memory(plan.memory_mib),
        };
        let runs = self.campaign.folder().join(RUNS);
        let stages = Stages::led_by(self.lead.clone());
        let lab = &mut self.lab;
        let mut session = Session::open(lab, subject, &trial, &runs, &Begun::now(), stages)?;
        let ran = session.run(&mut Unwatched);
        let outcome = session.close();
        ran?;
        let cell = of_record(place, builds, &outcome.record, &outcome.folder.name());
        if cell.ended == Ended::Passed {
            for name in TRACES {
                // One that stays takes room and does no harm.
                let _ = fs::remove_file(outcome.folder.join(name));
            }
        }
        Ok(cell)
    }

    fn not_run(&mut self, place: Place, builds: Builds, reason: String) -> Result<(), Failure> {
        let cell = Cell {
            place,
            ended: Ended::NotRun,
            failing: Vec::new(),
            reasons: vec![reason],
            seconds: 0.0,
            builds,
            run: String::new(),
        };
        eprintln!("{}", said(&cell));
        self.campaign.add(cell)
    }
}

/// What a run's record makes of its cell.
fn of_record(place: &Place, builds: &Builds, record: &Record, run: &str) -> Cell {
    let cases = record.cases.iter();
    let failing: Vec<&Case> = cases.filter(|case| case.outcome().fails_run()).collect();
    Cell {
        place: place.clone(),
        ended: match failing.is_empty() {
            true => Ended::Passed,
            false => Ended::Failed,
        },
        failing: failing.iter().map(|case| case.name.clone()).collect(),
        reasons: failing
            .iter()
            .flat_map(|case| case.reasons.clone())
            .collect(),
        seconds: record.seconds,
        builds: builds.clone(),
        run: format!("{RUNS}/{run}"),
    }
}

/// A cell in a line.
fn said(cell: &Cell) -> String {
    let place = &cell.place;
    let mut line = format!(
        "{}, {}, seed {}, round {}: {}",
        place.kernel,
        place.scenario,
        place.seed,
        place.round,
        cell.ended.words()
    );
    let failing: Vec<&str> = cell.failing.iter().map(String::as_str).collect();
    if !failing.is_empty() && failing != [QUIET] {
        line = format!("{line}: {}", failing.join(", "));
    }
    match cell.reasons.first() {
        Some(reason) => format!("{line}; {reason}"),
        None => format!("{line} in {:.0} s", cell.seconds),
    }
}

/// Nobody looks on: a session's folder has all there is.
struct Unwatched;

impl Watcher for Unwatched {
    fn begins(&mut self, _record: &Record, _cases: usize) -> Result<(), Failure> {
        Ok(())
    }

    fn ended(&mut self, _record: &Record, _case: &Case) -> Result<(), Failure> {
        Ok(())
    }
}
