// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm faults`: each fault many times over, and the table.

use clap::ValueEnum;
use irqstorm_images::Progress;

use crate::artifacts::Purpose;
use crate::cli::{DiskKind, FaultsArguments, SuiteChoice};
use crate::failure::{Exit, Failure};
use crate::faults::{self, Fault, Row, text};
use crate::interrupt;
use crate::output;
use crate::progress::Stages;
use crate::repository::Repository;
use crate::session::{Begun, Lab, Session, Subject, Trial, Wanted, random_seed};
use crate::suite::{self, Expectations};

/// Lets them happen.
pub(crate) fn run(arguments: &FaultsArguments) -> Result<Exit, Failure> {
    if arguments.machine.disk != DiskKind::Virtio {
        return Err(Failure::BadArgument {
            what: format!("--disk {}", arguments.machine.disk.name()),
            reason: "QEMU connects again to a vhost-user disk alone".into(),
        });
    }
    let repository = Repository::find()?;
    let wanted = Wanted::find(&repository, &arguments.kernel, &[])?;
    let trial = trial(arguments, &repository)?;
    interrupt::install()?;
    let mut stages = Stages::new();
    let mut lab = Lab::find(repository, &arguments.machine, &mut stages)?;
    let subject = lab.build(&wanted, Purpose::Tests, &mut stages)?;
    if let Some(note) = &lab.accel.note {
        stages.note(note);
    }
    drop(stages);
    let mut rows = Vec::new();
    for &fault in chosen(arguments) {
        rows.push(one(arguments, &mut lab, &subject, &trial, fault)?);
    }
    show(arguments, &rows)?;
    match rows.iter().all(Row::is_well) {
        true => Ok(Exit::Passed),
        false => Ok(Exit::TestsFailed),
    }
}

fn chosen(arguments: &FaultsArguments) -> &[Fault] {
    match arguments.faults.as_slice() {
        [] => Fault::value_variants(),
        some => some,
    }
}

fn trial(arguments: &FaultsArguments, repository: &Repository) -> Result<Trial, Failure> {
    let scenario = repository.scenario(&arguments.scenario)?;
    let seed = match arguments.seed.or(scenario.scenario.seed) {
        Some(seed) => seed,
        None => random_seed()?,
    };
    Ok(Trial {
        tests: suite::select(
            &[faults::TEST.to_owned()],
            SuiteChoice::All,
            &[],
            arguments.machine.disk,
        )?,
        expectations: Expectations::default(),
        scenario: scenario.seeded(seed),
        seed,
        replay: None,
        trace_mib: None,
        lasting: true,
        cpus: arguments.machine.cpus,
        memory: arguments.machine.memory,
    })
}

/// A fault in a session of its own, so that none inherits from another.
fn one(
    arguments: &FaultsArguments,
    lab: &mut Lab,
    subject: &Subject,
    trial: &Trial,
    fault: Fault,
) -> Result<Row, Failure> {
    let (begun, stages) = (Begun::now(), Stages::new());
    let mut session = Session::open(lab, subject, trial, &arguments.results, &begun, stages)?;
    session.bench().stages.begin(fault.name(), None);
    let row = faults::run(&mut session, fault, arguments.times);
    session.bench().stages.end();
    let outcome = session.close();
    let row = row?;
    if !row.is_well() {
        eprintln!("{} in {}", fault.name(), outcome.folder.path().display());
    }
    Ok(row)
}

fn show(arguments: &FaultsArguments, rows: &[Row]) -> Result<(), Failure> {
    if !arguments.json {
        return output::line(text(rows).trim_end());
    }
    let json = serde_json::to_string_pretty(rows).map_err(|error| Failure::Io {
        action: "write",
        path: "the table".into(),
        source: error.into(),
    })?;
    output::line(&json)
}
