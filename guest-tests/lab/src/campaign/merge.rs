// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Puts campaigns of the same plan together, each run in parts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cell::Ended;
use super::folder::{Campaign, RUNS};
use crate::failure::{Failure, io_failure};

/// Copies the cells of all parts, with their runs, into a folder that is made
/// or gone on with. A cell that was run counts more than one that was not, and
/// a later part more than one before.
pub(crate) fn merge(into: &Path, parts: &[PathBuf]) -> Result<Campaign, Failure> {
    let parts = parts.iter().map(|part| Campaign::read(part));
    let parts = parts.collect::<Result<Vec<Campaign>, Failure>>()?;
    let Some(first) = parts.first() else {
        return Err(Failure::BadArgument {
            what: "campaign merge".into(),
            reason: "no folder is named".into(),
        });
    };
    if let Some(other) = parts.iter().find(|part| part.plan != first.plan) {
        return Err(Failure::BadArgument {
            what: other.folder().display().to_string(),
            reason: format!("its plan is not that of {}", first.folder().display()),
        });
    }
    let mut whole = Campaign::open(into, first.plan.clone())?;
    for part in &parts {
        for place in part.plan.cells() {
            let Some(cell) = part.cell(&place) else {
                continue;
            };
            let known = whole.cell(&place);
            if cell.ended == Ended::NotRun && known.is_some() {
                continue;
            }
            let mut cell = cell.clone();
            if let Some(run) = part.run_of(&cell) {
                cell.run = bring(&run, into)?;
            }
            whole.add(cell)?;
        }
    }
    Ok(whole)
}

/// Copies a run; how it is called there.
fn bring(run: &Path, into: &Path) -> Result<String, Failure> {
    let name = run
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let runs = into.join(RUNS);
    fs::create_dir_all(&runs).map_err(io_failure("create folder", &runs))?;
    // Parts that ran at once may have called theirs the same.
    let names = std::iter::once(name.clone()).chain((2..).map(|count| format!("{name}-{count}")));
    for name in names {
        let to = runs.join(&name);
        match fs::create_dir(&to) {
            Ok(()) => {
                copy_files(run, &to).map_err(io_failure("copy", run))?;
                return Ok(format!("{RUNS}/{name}"));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io_failure("create folder", &to)(error)),
        }
    }
    Ok(String::new())
}

/// A run's folder has files and nothing else.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::cell::Cell;
    use super::super::plan::{Plan, samples::plan};
    use super::*;
    use crate::ledger::Builds;

    /// A part in which the n-th cells were run.
    fn part(folder: &Path, plan: Plan, cells: &[usize]) -> PathBuf {
        let places = plan.cells();
        let mut campaign = Campaign::open(folder, plan).unwrap();
        for &index in cells {
            let run = folder.join(RUNS).join("same");
            fs::create_dir_all(&run).unwrap();
            fs::write(run.join("results.json"), index.to_string()).unwrap();
            let cell = Cell {
                place: places[index].clone(),
                ended: Ended::Passed,
                failing: Vec::new(),
                reasons: Vec::new(),
                seconds: 1.0,
                builds: Builds::default(),
                run: format!("{RUNS}/same"),
            };
            campaign.add(cell).unwrap();
        }
        folder.to_owned()
    }

    #[test]
    fn parts_make_the_whole_with_a_run_for_each_cell() {
        let folder = tempfile::tempdir().unwrap();
        let parts = [
            part(&folder.path().join("a"), plan(), &[0]),
            part(&folder.path().join("b"), plan(), &[1]),
        ];
        let whole = merge(&folder.path().join("whole"), &parts).unwrap();
        for index in [0, 1] {
            let cell = whole.cell(&plan().cells()[index]).unwrap();
            let record = whole.run_of(cell).unwrap().join("results.json");
            assert_eq!(fs::read_to_string(record).unwrap(), index.to_string());
        }
        assert_eq!(whole.cell(&plan().cells()[2]), None);
    }

    #[test]
    fn parts_of_another_plan_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut other = plan();
        other.rounds = 9;
        let parts = [
            part(&folder.path().join("a"), plan(), &[0]),
            part(&folder.path().join("b"), other, &[1]),
        ];
        let failure = merge(&folder.path().join("whole"), &parts).unwrap_err();
        assert!(failure.to_string().contains("is not that of"), "{failure}");
    }
}
