// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm run`: from the arguments to a verdict.

use std::time::Duration;

use crate::cli::RunArguments;
use crate::device;
use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::progress::Stages;
use crate::repository::{DEFAULT_SCENARIO, Repository};
use crate::results::{Case, Folder, Record, case_lines, header_lines, summary, totals_line};
use crate::session::{Begun, Lab, Session, Trial, Wanted, Watcher, random_seed};
use crate::suite::{self, Expectations};

/// Between two looks whether the user wants out.
const POLL: Duration = Duration::from_millis(100);

/// Carries the run out.
pub(crate) fn run(arguments: &RunArguments) -> Result<Exit, Failure> {
    let begun = Begun::now();
    // All that can be refused is, before anything is started.
    let repository = Repository::find()?;
    let (wanted, trial) = plan(arguments, &repository)?;
    let mut lab = Lab::find(repository, &arguments.machine)?;
    interrupt::install()?;
    let mut stages = Stages::new();
    let subject = lab.build(&wanted, &mut stages)?;
    interrupt::check()?;
    if let Some(note) = &lab.accel.note {
        stages.note(note);
    }
    if !subject.artifacts.probe {
        stages.note(
            "an image alone: no probe can be built for it, and tests that need one are skipped",
        );
    }
    let results = &arguments.results;
    let mut session = Session::open(&mut lab, &subject, &trial, results, &begun, stages)?;
    session.run(&mut Ktap {
        quiet: arguments.json,
    })?;
    let exit = conclude(arguments, session.record(), session.folder())?;
    if arguments.keep {
        keep(&session)?;
    }
    session.close();
    Ok(exit)
}

/// What was asked for.
fn plan(arguments: &RunArguments, repository: &Repository) -> Result<(Wanted, Trial), Failure> {
    let tests = suite::select(&arguments.tests, &arguments.exclude)?;
    let expectations = Expectations::read(
        &arguments.expect_fail,
        &tests,
        &arguments.known_failures,
        arguments.strict_known,
    )?;
    let wanted = Wanted::find(repository, &arguments.kernel, &arguments.patches)?;
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
        cpus: arguments.machine.cpus,
        memory: arguments.machine.memory,
    };
    Ok((wanted, trial))
}

/// Prints KTAP as the run goes.
struct Ktap {
    quiet: bool,
}

impl Ktap {
    fn show(&self, text: &str) {
        if !self.quiet {
            print!("{text}");
        }
    }
}

impl Watcher for Ktap {
    fn begins(&mut self, record: &Record, cases: usize) -> Result<(), Failure> {
        self.show(&header_lines(record, cases));
        Ok(())
    }

    fn ended(&mut self, record: &Record, case: &Case) -> Result<(), Failure> {
        self.show(&case_lines(record.cases.len(), case));
        Ok(())
    }

    fn complete(&mut self, record: &Record) -> Result<(), Failure> {
        self.show(&totals_line(record));
        Ok(())
    }
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
