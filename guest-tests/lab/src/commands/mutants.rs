// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm mutants`: from the arguments to the tables.

use crate::cli::MutantsArguments;
use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::mutants::{
    Matrix, Report, Reuse, Runner, Selection, Verdicts, Which, markdown, put_into, text,
};
use crate::output;
use crate::progress::Stages;
use crate::repository::Repository;
use crate::session::Lab;

/// Runs what is to be run, and shows what came of it.
pub(crate) fn run(arguments: &MutantsArguments) -> Result<Exit, Failure> {
    let repository = Repository::find()?;
    let matrix = Matrix::of(&repository.images()?.list()?, &selection(arguments)?)?;
    let seeds = &arguments.seeds.0;
    let ledger = match arguments.no_run {
        true => Verdicts::read(&arguments.results)?,
        false => {
            interrupt::install()?;
            let mut stages = Stages::new();
            let lab = Lab::find(repository.clone(), &arguments.machine, &mut stages)?;
            let ledger = Verdicts::open(&arguments.results)?;
            if let Some(note) = &lab.accel.note {
                eprintln!("{note}");
            }
            let reuse = reuse(arguments);
            Runner::new(repository, lab, &arguments.machine, reuse, ledger)?.run(&matrix, seeds)?
        }
    };
    let report = Report::of(&ledger, &matrix, seeds);
    if let Some(path) = &arguments.write {
        put_into(path, &report)?;
    }
    show(arguments, &report)?;
    eprintln!("results in {}", ledger.folder().display());
    Ok(report.exit())
}

fn selection(arguments: &MutantsArguments) -> Result<Selection, Failure> {
    Ok(Selection {
        kernels: arguments.kernels.clone(),
        mutants: Selection::patterns(&arguments.mutants)?,
        claims: arguments.claims.clone(),
        which: match (arguments.sound, arguments.no_sound) {
            (true, _) => Which::Sound,
            (_, true) => Which::Mutants,
            _ => Which::All,
        },
        share: arguments.share,
        all_tests: arguments.all_tests,
    })
}

fn reuse(arguments: &MutantsArguments) -> Reuse {
    match (arguments.again, arguments.trust_old) {
        (true, _) => Reuse::Nothing,
        (_, true) => Reuse::Any,
        _ => Reuse::Same,
    }
}

fn show(arguments: &MutantsArguments, report: &Report) -> Result<(), Failure> {
    let shown = match (arguments.json, arguments.markdown) {
        (true, _) => serde_json::to_string_pretty(report).map_err(|error| Failure::Io {
            action: "write",
            path: "the report".into(),
            source: error.into(),
        })?,
        (_, true) => markdown(report),
        _ => text(report),
    };
    output::line(shown.trim_end())
}
