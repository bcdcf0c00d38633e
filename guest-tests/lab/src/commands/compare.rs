// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm compare`: a campaign of kernels that take turns, and its report.

use std::path::Path;

use super::campaign::{self, Matrix};
use super::report;
use crate::cli::{CompareArguments, DiskKind, ReportFormat, SuiteChoice};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::process::{option, shell_word};
use crate::results::Folder;
use crate::study::{Study, gather};

/// What is compared if nothing is said.
const EXPERIMENT: &str = "storm-sweep";

/// Rounds that warm the machine up.
const WARM_UP: u32 = 1;

/// Runs what is to be run, and reports.
pub(crate) fn run(arguments: &CompareArguments) -> Result<Exit, Failure> {
    let experiment = arguments.experiment.as_deref();
    if !arguments.folders.is_empty() {
        let study = Study::of(&gather(&arguments.folders, experiment)?, None);
        return show(arguments, &study).map(|()| Exit::Passed);
    }
    let experiment = experiment.unwrap_or(EXPERIMENT);
    let matrix = Matrix {
        kernels: &arguments.kernels,
        scenarios: &arguments.scenarios,
        seeds: vec![arguments.seed],
        rounds: arguments.rounds,
        warm_up: WARM_UP,
        tests: crate::suite::select(
            &[experiment.to_owned()],
            SuiteChoice::All,
            &[],
            arguments.machine.disk,
        )?,
        machine: &arguments.machine,
    };
    let campaign = campaign::carry_out(matrix, None, || match &arguments.results {
        Some(folder) => Ok(folder.clone()),
        None => {
            let folder = Folder::create(Path::new("results"), "compare")?;
            Ok(folder.path().to_owned())
        }
    })?;
    let folder = campaign.folder();
    let samples = gather(&[folder.to_owned()], Some(experiment))?;
    let study = Study::of(&samples, Some(again(arguments)));
    report::write(&study, folder)?;
    show(arguments, &study)?;
    eprintln!("results in {}", folder.display());
    Ok(crate::campaign::exit(&campaign))
}

fn show(arguments: &CompareArguments, study: &Study) -> Result<(), Failure> {
    let format = match arguments.json {
        true => ReportFormat::Json,
        false => ReportFormat::Text,
    };
    output::line(report::formatted(study, format)?.trim_end())
}

/// The command that does the same again, somewhere else.
fn again(arguments: &CompareArguments) -> String {
    let mut words: Vec<std::ffi::OsString> = vec!["irqstorm".into(), "compare".into()];
    let mut add = |name: &str, value: &str| words.extend(option(name, value));
    arguments
        .kernels
        .iter()
        .for_each(|kernel| add("--kernel", kernel));
    arguments
        .scenarios
        .iter()
        .for_each(|scenario| add("--scenario", scenario));
    if arguments.machine.disk != DiskKind::default() {
        add("--disk", arguments.machine.disk.name());
    }
    if let Some(experiment) = &arguments.experiment {
        add("--experiment", experiment);
    }
    add("--rounds", &arguments.rounds.to_string());
    add("--seed", &arguments.seed.to_string());
    add("--cpus", &arguments.machine.cpus.to_string());
    add("--memory", &arguments.machine.memory.to_string());
    if arguments.machine.qemu != Path::new(crate::cli::QEMU) {
        words.extend(option("--qemu", arguments.machine.qemu.as_os_str()));
    }
    words.extend(arguments.machine.controller.words());
    let words: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
    words.join(" ")
}
