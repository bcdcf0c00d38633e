// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! irqstorm: boots guest kernels on a scripted disk and settles what their
//! completions do.
//!
//! A `run` goes through these rooms, in order: [`artifacts`] (what must be
//! built), [`device`] and [`guest`] (two processes and the channels to them),
//! [`suite`] (one test after the other, with its verdict), [`results`] (what
//! is left behind); [`session`] leads it through them, and [`trace`] follows
//! what device and guest do meanwhile. Nothing in here
//! measures: figures come from the device's counters and from the agent inside
//! the guest. [`mutants`] and [`campaign`] make many runs; the first holds their
//! verdicts against each other, [`study`] their figures.

mod artifacts;
mod campaign;
mod cli;
mod commands;
mod completion;
mod console;
mod control;
mod device;
mod failure;
mod faults;
mod figures;
mod guest;
mod interrupt;
mod ledger;
mod mutants;
mod output;
mod patched;
mod process;
mod progress;
mod qemu;
mod repository;
mod results;
mod run_dir;
mod session;
mod shrink;
mod study;
mod suite;
mod terminal;
mod trace;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::failure::{Exit, Failure};

fn main() -> ExitCode {
    completion::answer();
    let outcome = match Cli::parse().command {
        Command::Run(arguments) => commands::run::run(&arguments),
        Command::Mutants(arguments) => commands::mutants::run(&arguments),
        Command::Compare(arguments) => commands::compare::run(&arguments),
        Command::Report(arguments) => output::until_unread(commands::report::run(&arguments)),
        Command::Campaign(arguments) => commands::campaign::run(&arguments),
        Command::Faults(arguments) => commands::faults::run(&arguments),
        Command::Exec(arguments) => commands::exec::run(&arguments).or_else(|failure| {
            if !interrupt::requested() {
                report(&failure);
            }
            Ok(Exit::ExecFailed)
        }),
        Command::List(arguments) => commands::list::run(&arguments),
        Command::Kernel(arguments) => commands::kernel::run(&arguments),
        Command::Ctl(arguments) => output::until_unread(commands::ctl::run(&arguments)),
        Command::Top(arguments) => commands::top::run(&arguments),
        Command::Device(arguments) => output::until_unread(commands::device::run(&arguments)),
        Command::Setup(arguments) => commands::setup::run(&arguments),
        Command::Completions { shell } => completion::print_script(shell).map(|()| Exit::Passed),
    };
    // What was asked to stop has failed somewhere for that reason alone.
    let exit = match outcome {
        _ if interrupt::requested() => {
            eprintln!("irqstorm: interrupted; everything that was started has been ended");
            Exit::Interrupted
        }
        Ok(exit) => exit,
        Err(failure) => {
            report(&failure);
            failure.exit()
        }
    };
    exit.into()
}

fn report(failure: &Failure) {
    eprintln!("irqstorm: failed to {failure}");
}
