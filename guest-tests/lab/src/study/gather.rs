// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Results folders as samples.
//!
//! A folder is a run's or a campaign's. Of a campaign the rounds count that are
//! whole: every kernel was run in them, and passed. The others, and those that
//! were to warm the machine up, are left out, whatever they measured.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use irqstorm_agent::protocol::Verdict;

use super::subject::{Round, Sample};
use crate::campaign::{self, Campaign};
use crate::failure::{Failure, io_failure};
use crate::results::{Case, Record};
use crate::suite::QUIET;

/// The record in a run's folder.
const RECORD: &str = "results.json";

/// Samples of one experiment.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    /// The guest test.
    pub(crate) experiment: String,
    /// Each of its runs that counts.
    pub(crate) samples: Vec<Sample>,
    /// What was left out, and why.
    pub(crate) left_out: Vec<String>,
}

/// A record, where it is, and its round.
struct Found {
    round: Round,
    run: PathBuf,
    record: Record,
}

/// Reads all folders. The experiment may be left open if only one is in them.
pub(crate) fn gather(folders: &[PathBuf], experiment: Option<&str>) -> Result<Samples, Failure> {
    let mut found = Vec::new();
    let mut left_out = Vec::new();
    for folder in folders {
        if Campaign::is_in(folder) {
            read_campaign(folder, &mut found, &mut left_out)?;
        } else if !folder.join(RECORD).is_file() {
            let reason = "it has neither results.json nor campaign.json";
            return Err(unusable(std::slice::from_ref(folder), reason.into()));
        } else {
            let round = Round {
                folder: folder.clone(),
                number: 0,
                seed: 0,
            };
            let record = read_record(folder)?;
            found.push(Found {
                round,
                run: folder.clone(),
                record,
            });
        }
    }
    if found.is_empty() {
        return Err(unusable(
            folders,
            format!("no run counts: {}", why(&left_out)),
        ));
    }
    let experiment = match experiment {
        Some(name) => name.to_owned(),
        None => only_experiment(folders, &found)?,
    };
    let samples = samples(&found, &experiment, &mut left_out);
    if samples.is_empty() {
        return Err(unusable(
            folders,
            format!("nothing is left of {experiment}: {}", why(&left_out)),
        ));
    }
    Ok(Samples {
        experiment,
        samples,
        left_out,
    })
}

fn why(left_out: &[String]) -> String {
    match left_out.is_empty() {
        true => "it was not run in any of them".to_owned(),
        false => left_out.join("; "),
    }
}

fn unusable(folders: &[PathBuf], reason: String) -> Failure {
    let names: Vec<String> = folders
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    Failure::BadArgument {
        what: names.join(" "),
        reason,
    }
}

fn read_record(folder: &Path) -> Result<Record, Failure> {
    let path = folder.join(RECORD);
    let text = fs::read(&path).map_err(io_failure("read", &path))?;
    serde_json::from_slice(&text).map_err(|error| Failure::BadArgument {
        what: path.display().to_string(),
        reason: error.to_string(),
    })
}

fn read_campaign(
    folder: &Path,
    found: &mut Vec<Found>,
    left_out: &mut Vec<String>,
) -> Result<(), Failure> {
    let campaign = Campaign::read(folder)?;
    let plan = &campaign.plan;
    let mut broken: BTreeSet<Round> = BTreeSet::new();
    let mut whole = Vec::new();
    let mut warm_up = 0;
    for place in plan.cells() {
        let round = Round {
            folder: folder.to_owned(),
            number: place.round,
            seed: place.seed,
        };
        if place.round < plan.warm_up {
            warm_up += 1;
            continue;
        }
        match usable(&campaign, &place) {
            Ok((run, record)) => whole.push(Found { round, run, record }),
            Err(reason) => {
                if broken.insert(round) {
                    left_out.push(format!(
                        "round {} with seed {}: {} {reason}",
                        place.round, place.seed, place.kernel
                    ));
                }
            }
        }
    }
    if warm_up > 0 {
        left_out.push(format!(
            "the first {warm_up} runs, which warm the machine up"
        ));
    }
    found.extend(whole.into_iter().filter(|one| !broken.contains(&one.round)));
    Ok(())
}

/// The record of a cell that was run to its end and passed, or what it lacks.
fn usable(campaign: &Campaign, place: &campaign::Place) -> Result<(PathBuf, Record), String> {
    let Some(cell) = campaign.cell(place) else {
        return Err("was not run".to_owned());
    };
    if cell.ended != campaign::Ended::Passed {
        let reason = cell.reasons.first().map_or("", String::as_str);
        return Err(format!("did not pass: {reason}"));
    }
    let run = campaign.folder().join(&cell.run);
    match read_record(&run) {
        Ok(record) if record.complete => Ok((run, record)),
        Ok(_) => Err("was stopped".to_owned()),
        Err(failure) => Err(format!("has no record: failed to {failure}")),
    }
}

/// The one with points, or else the only one that was run.
fn only_experiment(folders: &[PathBuf], found: &[Found]) -> Result<String, Failure> {
    let names = |takes: fn(&Case) -> bool| -> BTreeSet<&str> {
        let cases = found.iter().flat_map(|one| &one.record.cases);
        let taken = cases.filter(|case| case.name != QUIET && takes(case));
        taken.map(|case| case.name.as_str()).collect()
    };
    let with_points = names(|case| !case.points.is_empty());
    let all = names(|_| true);
    for candidates in [&with_points, &all] {
        if let (1, Some(name)) = (candidates.len(), candidates.first()) {
            return Ok((*name).to_owned());
        }
    }
    let known: Vec<&str> = all.into_iter().collect();
    Err(unusable(
        folders,
        format!("name one with --experiment: there are {}", known.join(", ")),
    ))
}

fn samples(found: &[Found], experiment: &str, left_out: &mut Vec<String>) -> Vec<Sample> {
    let mut samples = Vec::new();
    for one in found {
        let mut cases = one.record.cases.iter();
        let case = cases.find(|case| case.name == experiment);
        match case {
            Some(case) if case.verdict == Verdict::Pass => samples.push(Sample::of(
                &one.record,
                case,
                one.round.clone(),
                one.run.clone(),
            )),
            Some(case) => left_out.push(format!(
                "{}: {experiment} did not pass: {}",
                one.run.display(),
                case.reasons.first().map_or("", String::as_str)
            )),
            None => left_out.push(format!("{}: {experiment} was not run", one.run.display())),
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use irqstorm_agent::protocol::Verdict;

    use super::super::samples;
    use super::*;
    use crate::campaign::{Cell, Ended, Place, Plan, SCHEMA};
    use crate::ledger::Builds;
    use crate::results::samples as results;

    const KERNELS: [&str; 2] = ["7.2+v4", "7.3"];

    fn plan(rounds: u32) -> Plan {
        Plan {
            schema: SCHEMA,
            kernels: KERNELS.map(str::to_owned).into(),
            scenarios: vec!["plain".into()],
            seeds: vec![1],
            rounds,
            warm_up: 1,
            tests: vec!["storm-sweep".into()],
            cpus: 2,
            memory_mib: 512,
        }
    }

    fn write_run(folder: &Path, kernel: &str, verdict: Verdict) {
        let mut record = results::record();
        record.kernel.name = kernel.into();
        let mut case = results::case("storm-sweep", verdict);
        case.points = vec![samples::point(100.0, 1.0)];
        record.cases = vec![case, results::case(QUIET, Verdict::Pass)];
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(RECORD), serde_json::to_vec(&record).unwrap()).unwrap();
    }

    fn run_cell(campaign: &mut Campaign, place: Place, ended: Ended) {
        let run = format!("runs/{}-{}", place.kernel, place.round);
        write_run(&campaign.folder().join(&run), &place.kernel, Verdict::Pass);
        let cell = Cell {
            place,
            ended,
            failing: Vec::new(),
            reasons: vec!["it hung".into()],
            seconds: 1.0,
            builds: Builds::default(),
            run,
        };
        campaign.add(cell).unwrap();
    }

    #[test]
    fn a_round_that_is_not_whole_is_left_out_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(3);
        let mut campaign = Campaign::open(folder.path(), plan.clone()).unwrap();
        for place in plan.cells() {
            match (place.round, place.kernel.as_str()) {
                // One did not pass in round 2, and the last was not come to.
                (2, "7.3") => run_cell(&mut campaign, place, Ended::Failed),
                (3, "7.3") => {}
                _ => run_cell(&mut campaign, place, Ended::Passed),
            }
        }
        drop(campaign);
        let samples = gather(&[folder.path().to_owned()], None).unwrap();
        assert_eq!(samples.experiment, "storm-sweep");
        let rounds: Vec<u32> = samples.samples.iter().map(|one| one.round.number).collect();
        assert_eq!(rounds, [1, 1]);
        assert_eq!(
            samples.left_out,
            [
                "round 2 with seed 1: 7.3 did not pass: it hung",
                "round 3 with seed 1: 7.3 was not run",
                "the first 2 runs, which warm the machine up",
            ]
        );
    }

    #[test]
    fn without_a_round_that_counts_it_is_said_why_none_does() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(1);
        let mut campaign = Campaign::open(folder.path(), plan.clone()).unwrap();
        let mut cells = plan.cells();
        cells.retain(|place| place.kernel == "7.2+v4");
        for place in cells {
            run_cell(&mut campaign, place, Ended::Passed);
        }
        drop(campaign);
        let none = gather(&[folder.path().to_owned()], None).unwrap_err();
        let wanted = "no run counts: round 1 with seed 1: 7.3 was not run; the first";
        assert!(none.to_string().contains(wanted), "{none}");
    }

    #[test]
    fn two_runs_of_one_kernel_are_told_apart_by_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let folders = ["before", "after"].map(|name| folder.path().join(name));
        for run in &folders {
            write_run(run, "7.3", Verdict::Pass);
        }
        let samples = gather(&folders, None).unwrap();
        let study = super::super::Study::of(&samples, None);
        let names: Vec<&str> = study.subjects.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["7.3 in before", "7.3 in after"]);
    }

    #[test]
    fn what_cannot_be_compared_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let missing = gather(std::slice::from_ref(&path), None).unwrap_err();
        assert!(missing.to_string().contains("results.json"), "{missing}");
        write_run(&path, "7.3", Verdict::Fail);
        let failed = gather(std::slice::from_ref(&path), None).unwrap_err();
        assert!(failed.to_string().contains("nothing is left"), "{failed}");
        let mut record = results::record();
        record.complete = true;
        fs::write(path.join(RECORD), serde_json::to_vec(&record).unwrap()).unwrap();
        let several = gather(&[path], None).unwrap_err();
        assert!(several.to_string().contains("--experiment"), "{several}");
    }
}
