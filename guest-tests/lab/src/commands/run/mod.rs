// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm run`: from the arguments to a verdict.

mod ktap;
mod repeat;
mod search;
mod shrink;

use std::time::Duration;

use self::ktap::Ktap;
use crate::artifacts::Purpose;
use crate::cli::{DiskKind, RunArguments, SuiteChoice};
use crate::device;
use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::progress::Stages;
use crate::repository::{DEFAULT_SCENARIO, Repository};
use crate::results::{Folder, Record, summary};
use crate::session::{Begun, Lab, Session, Subject, Trial, Wanted, random_seed};
use crate::suite::{self, Expectations};

/// Between two looks whether the user wants out.
const POLL: Duration = Duration::from_millis(100);

/// Carries the run out.
pub(crate) fn run(arguments: &RunArguments) -> Result<Exit, Failure> {
    let begun = Begun::now();
    // All that can be refused is, before anything is started.
    let repository = Repository::find()?;
    let (wanted, trial) = plan(arguments, &repository)?;
    interrupt::install()?;
    let mut stages = Stages::new();
    let mut lab = Lab::find(repository, &arguments.machine, &mut stages)?;
    let subject = lab.build(&wanted, Purpose::Tests, &mut stages)?;
    interrupt::check()?;
    if let Some(note) = &lab.accel.note {
        stages.note(note);
    }
    let by_default = arguments.suite.is_none() && arguments.tests.is_empty();
    if by_default && subject.suite == SuiteChoice::Core {
        stages.note("a tree of yours: the core tests; --suite all runs the others as well");
    }
    if !subject.artifacts.probe {
        stages.note(
            "an image alone: no probe can be built for it, and tests that need one are skipped",
        );
    }
    drop(stages);
    if arguments.repeat.asked_for() {
        return repeat::run(arguments, &mut lab, &subject, &trial);
    }
    once(arguments, &mut lab, &subject, &trial, &begun)
}

fn once(
    arguments: &RunArguments,
    lab: &mut Lab,
    subject: &Subject,
    trial: &Trial,
    begun: &Begun,
) -> Result<Exit, Failure> {
    let (results, stages) = (&arguments.results, Stages::new());
    let mut session = Session::open(lab, subject, trial, results, begun, stages)?;
    session.run(&mut Ktap {
        quiet: arguments.json,
        within: None,
    })?;
    let exit = conclude(arguments, session.record(), session.folder())?;
    if let Some(command) = session.repeat(lab, subject) {
        eprintln!("to repeat what failed: {command}");
    }
    if arguments.keep {
        keep(&session)?;
    }
    let outcome = session.close();
    if arguments.shrink.shrink {
        shrink::run(
            arguments,
            lab,
            subject,
            trial,
            &outcome.record,
            &outcome.folder,
        )?;
    }
    Ok(exit)
}

/// What was asked for.
fn plan(arguments: &RunArguments, repository: &Repository) -> Result<(Wanted, Trial), Failure> {
    if arguments.trace.is_some() && arguments.machine.disk == DiskKind::QemuNvme {
        return Err(Failure::BadArgument {
            what: "--trace with --disk qemu-nvme".into(),
            reason: "that disk is QEMU's own, and tells of no events to join with the guest's"
                .into(),
        });
    }
    let wanted = Wanted::find(repository, &arguments.kernel, &arguments.patches)?;
    let suite = arguments.suite.unwrap_or(wanted.suite());
    let tests = suite::select(
        &arguments.tests,
        suite,
        &arguments.exclude,
        arguments.machine.disk,
    )?;
    let expectations = Expectations::read(
        &arguments.expect_fail,
        &tests,
        &arguments.known_failures,
        arguments.strict_known,
    )?;
    let name = arguments.scenario.as_deref().unwrap_or(DEFAULT_SCENARIO);
    let scenario = repository.scenario(name)?;
    // The command line before the scenario's own, before chance.
    let seed = match arguments.seed.or(scenario.scenario.seed) {
        Some(seed) => seed,
        None => random_seed()?,
    };
    let replay = arguments.replay.as_deref().map(device::recording);
    let trial = Trial {
        tests,
        expectations,
        scenario: scenario.seeded(seed),
        seed,
        replay: replay.transpose()?,
        trace_mib: arguments.trace,
        lasting: false,
        cpus: arguments.machine.cpus,
        memory: arguments.machine.memory,
    };
    Ok((wanted, trial))
}

fn conclude(arguments: &RunArguments, record: &Record, folder: &Folder) -> Result<Exit, Failure> {
    if arguments.json {
        let json = std::fs::read_to_string(folder.join("results.json"));
        print!(
            "{}",
            json.map_err(crate::failure::io_failure("read", folder.path()))?
        );
    }
    eprint!("\n{}", summary(record));
    eprintln!("results in {}", folder.path().display());
    Ok(suite::exit_of(record))
}

/// Leaves guest and device running until the user has seen enough.
fn keep(session: &Session) -> Result<(), Failure> {
    session.stages().note(&format!(
        "keeping the guest and the device; 'irqstorm ctl' or {} steers it, ^C ends it",
        session.control_socket().display()
    ));
    loop {
        std::thread::sleep(POLL);
        interrupt::check()?;
    }
}
