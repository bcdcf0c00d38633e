// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm campaign`.

use std::io;
use std::path::PathBuf;

use irqstorm_agent::catalogue::TestInfo;

use crate::campaign::{Campaign, Plan, Runner, SCHEMA, exit, json, merge, text};
use crate::cli::{CampaignArguments, CampaignCommand, CampaignRunArguments, MachineArguments};
use crate::failure::{Exit, Failure, io_failure};
use crate::interrupt;
use crate::ledger::Share;
use crate::output;
use crate::progress::Stages;
use crate::repository::Repository;
use crate::session::{Lab, Wanted};
use crate::suite;

/// Carries it out.
pub(crate) fn run(arguments: &CampaignArguments) -> Result<Exit, Failure> {
    let (campaign, as_json) = match &arguments.command {
        CampaignCommand::Run(arguments) => (run_cells(arguments)?, arguments.json),
        CampaignCommand::Merge(arguments) => {
            (merge(&arguments.into, &arguments.parts)?, arguments.json)
        }
        CampaignCommand::Show(arguments) => (Campaign::read(&arguments.folder)?, arguments.json),
    };
    let shown = match as_json {
        true => json(&campaign)
            .map_err(io::Error::other)
            .map_err(io_failure("write", "the campaign".as_ref()))?,
        false => text(&campaign),
    };
    output::line(shown.trim_end())?;
    Ok(exit(&campaign))
}

fn run_cells(arguments: &CampaignRunArguments) -> Result<Campaign, Failure> {
    let matrix = Matrix {
        kernels: &arguments.kernels,
        scenarios: &arguments.scenarios,
        seeds: arguments.seeds.0.clone(),
        rounds: arguments.rounds,
        warm_up: 0,
        tests: suite::select(
            &arguments.tests,
            arguments.suite,
            &[],
            arguments.machine.disk,
        )?,
        machine: &arguments.machine,
    };
    let folder = || Ok(arguments.results.clone());
    let campaign = carry_out(matrix, arguments.partition, folder)?;
    eprintln!("results in {}", campaign.folder().display());
    Ok(campaign)
}

/// What is to be run, before it is known to be there.
pub(super) struct Matrix<'a> {
    pub(super) kernels: &'a [String],
    pub(super) scenarios: &'a [String],
    pub(super) seeds: Vec<u64>,
    pub(super) rounds: u32,
    pub(super) warm_up: u32,
    pub(super) tests: Vec<&'static TestInfo>,
    pub(super) machine: &'a MachineArguments,
}

/// Refuses what can be refused before the folder is made, then runs a share of
/// the matrix, or all of it.
pub(super) fn carry_out(
    matrix: Matrix<'_>,
    share: Option<Share>,
    folder: impl FnOnce() -> Result<PathBuf, Failure>,
) -> Result<Campaign, Failure> {
    let repository = Repository::find()?;
    for kernel in matrix.kernels {
        Wanted::find(&repository, kernel, &[])?;
    }
    for scenario in matrix.scenarios {
        repository.scenario(scenario)?;
    }
    let plan = Plan {
        schema: SCHEMA,
        kernels: without_repeats(matrix.kernels),
        scenarios: without_repeats(matrix.scenarios),
        seeds: matrix.seeds,
        rounds: matrix.rounds,
        warm_up: matrix.warm_up,
        tests: matrix
            .tests
            .iter()
            .map(|test| test.name.to_owned())
            .collect(),
        cpus: matrix.machine.cpus,
        memory_mib: matrix.machine.memory.0,
    };
    interrupt::install()?;
    let mut stages = Stages::new();
    let lab = Lab::find(repository.clone(), matrix.machine, &mut stages)?;
    let campaign = Campaign::open(&folder()?, plan)?;
    if let Some(note) = &lab.accel.note {
        eprintln!("{note}");
    }
    Runner::new(repository, lab, matrix.tests, campaign).run(share)
}

fn without_repeats(names: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in names {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}
