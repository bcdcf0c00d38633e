// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A campaign's folder: campaign.json has the plan, ledger.json what became of
//! its cells, runs/ their own folders.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::cell::{Cell, Ended};
use super::plan::{Place, Plan, SCHEMA};
use crate::failure::{Failure, io_failure};
use crate::ledger::{Builds, Ledger};

/// The plan's name in the folder.
const FILE: &str = "campaign.json";

/// In the folder: those of the runs.
pub(super) const RUNS: &str = "runs";

/// A plan with what became of its cells.
#[derive(Debug)]
pub(crate) struct Campaign {
    /// The plan.
    pub(crate) plan: Plan,
    ledger: Ledger<Cell>,
}

impl Campaign {
    /// Whether a folder is one's.
    pub(crate) fn is_in(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// Reads what is there.
    pub(crate) fn read(folder: &Path) -> Result<Campaign, Failure> {
        let path = folder.join(FILE);
        let text = fs::read(&path).map_err(io_failure("read", &path))?;
        let campaign = Campaign {
            plan: parse(&path, &text)?,
            ledger: Ledger::read(folder)?,
        };
        campaign.check_runs()?;
        Ok(campaign)
    }

    /// Begins a campaign, or goes on with one of the same plan; holds the folder
    /// against others.
    pub(crate) fn open(folder: &Path, plan: Plan) -> Result<Campaign, Failure> {
        let ledger = Ledger::open(folder)?;
        let path = folder.join(FILE);
        match fs::read(&path) {
            Ok(text) if parse(&path, &text)? == plan => {}
            Ok(_) => {
                return Err(Failure::BadArgument {
                    what: format!("--results {}", folder.display()),
                    reason: "another campaign is in it: repeat its command to go on with it, or \
                             name another folder"
                        .into(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => write(&path, &plan)?,
            Err(error) => return Err(io_failure("read", &path)(error)),
        }
        let campaign = Campaign { plan, ledger };
        campaign.check_runs()?;
        Ok(campaign)
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        self.ledger.folder()
    }

    /// What became of a cell, if it was tried.
    pub(crate) fn cell(&self, place: &Place) -> Option<&Cell> {
        let mut cells = self.ledger.cells().iter();
        cells.find(|cell| cell.place == *place)
    }

    /// Whether it was run with these builds.
    pub(super) fn has(&self, place: &Place, builds: &Builds) -> bool {
        let found = self.cell(place);
        found.is_some_and(|cell| cell.ended != Ended::NotRun && cell.builds == *builds)
    }

    /// Writes down what became of a cell.
    pub(crate) fn add(&mut self, cell: Cell) -> Result<(), Failure> {
        self.ledger.add(cell)
    }

    /// The runs of its cells are within it: a ledger may be anybody's.
    fn check_runs(&self) -> Result<(), Failure> {
        let inside = |run: &str| {
            let mut parts = Path::new(run).components();
            parts.all(|part| matches!(part, Component::Normal(_)))
        };
        match self.ledger.cells().iter().find(|cell| !inside(&cell.run)) {
            None => Ok(()),
            Some(cell) => Err(Failure::BadArgument {
                what: self.folder().display().to_string(),
                reason: format!("its ledger has a run outside of it: {}", cell.run),
            }),
        }
    }

    /// The folder of a cell's run; `None` if it has none.
    pub(super) fn run_of(&self, cell: &Cell) -> Option<PathBuf> {
        (!cell.run.is_empty()).then(|| self.folder().join(&cell.run))
    }
}

fn parse(path: &Path, text: &[u8]) -> Result<Plan, Failure> {
    let refuse = |reason: String| Failure::BadArgument {
        what: path.display().to_string(),
        reason,
    };
    let plan: Plan = serde_json::from_slice(text).map_err(|error| refuse(error.to_string()))?;
    match plan.schema {
        SCHEMA => Ok(plan),
        other => Err(refuse(format!(
            "its schema is {other}, and this irqstorm reads {SCHEMA}"
        ))),
    }
}

fn write(path: &Path, plan: &Plan) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(plan).map_err(io::Error::other);
    text.and_then(|text| fs::write(path, text))
        .map_err(io_failure("write", path))
}

#[cfg(test)]
mod tests {
    use super::super::plan::samples::plan;
    use super::*;

    fn cell(place: &Place, ended: Ended, run: &str) -> Cell {
        Cell {
            place: place.clone(),
            ended,
            failing: Vec::new(),
            reasons: Vec::new(),
            seconds: 1.0,
            builds: Builds::default(),
            run: run.into(),
        }
    }

    #[test]
    fn a_campaign_goes_on_where_it_stopped_and_another_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let places = plan().cells();
        let mut campaign = Campaign::open(folder.path(), plan()).unwrap();
        campaign
            .add(cell(&places[0], Ended::Passed, "runs/a"))
            .unwrap();
        campaign.add(cell(&places[1], Ended::NotRun, "")).unwrap();
        drop(campaign);
        assert!(Campaign::is_in(folder.path()));
        let again = Campaign::open(folder.path(), plan()).unwrap();
        assert!(again.has(&places[0], &Builds::default()));
        assert!(!again.has(&places[1], &Builds::default()));
        let other = Builds {
            kernel: "other".into(),
            ..Builds::default()
        };
        assert!(!again.has(&places[0], &other));
        drop(again);
        let mut plan = plan();
        plan.seeds.push(3);
        let failure = Campaign::open(folder.path(), plan).unwrap_err();
        assert!(
            failure.to_string().contains("another campaign"),
            "{failure}"
        );
    }

    #[test]
    fn a_ledger_that_names_runs_outside_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let places = plan().cells();
        for run in ["../x", "/etc", "runs/../../x"] {
            let mut campaign = Campaign::open(folder.path(), plan()).unwrap();
            campaign.add(cell(&places[0], Ended::Passed, run)).unwrap();
            drop(campaign);
            assert!(Campaign::read(folder.path()).is_err(), "{run}");
            fs::remove_file(folder.path().join("ledger.json")).unwrap();
        }
    }
}
