// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Shell completion that knows the words.
//!
//! `irqstorm completions SHELL` prints a script that runs `irqstorm` again,
//! with [`VARIABLE`] set, for the words that can come next: so they are those
//! of this version, this checkout and the device that runs. A completer never
//! fails and never waits long; what it cannot find out it does not offer.

mod bash;
mod live;
mod words;

use std::ffi::OsString;

use clap::CommandFactory;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Elvish, EnvCompleter, Fish, Powershell, Shells, Zsh};
use clap_complete::{CompleteEnv, Shell};
use irqstorm_agent::catalogue::TESTS;
use irqstorm_core::event::What;

use crate::cli::Cli;
use crate::commands::ctl::words as keys;
use crate::failure::{Failure, io_failure};
use crate::output;
use crate::repository::Repository;

/// Names the shell for which words are asked.
const VARIABLE: &str = "IRQSTORM_COMPLETE";

const SHELLS: Shells<'static> = Shells(&[&bash::Bash, &Elvish, &Fish, &Powershell, &Zsh]);

/// Answers a shell's question for words and ends; returns if this is none.
pub(crate) fn answer() {
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .shells(SHELLS)
        .complete();
}

/// Prints the script for a shell.
pub(crate) fn print_script(shell: Shell) -> Result<(), Failure> {
    let completer = completer_of(&SHELLS, shell);
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, "irqstorm", "irqstorm", &program(), &mut script)
        .map_err(io_failure("write", "the script".as_ref()))?;
    output::line(String::from_utf8_lossy(&script).trim_end())
}

fn completer_of<'s>(shells: &'s Shells<'_>, shell: Shell) -> &'s dyn EnvCompleter {
    // Every shell that can be named has one.
    shells.completer(&shell.to_string()).unwrap_or(&bash::Bash)
}

/// What the script runs: this program as it was called, if that was by a path.
fn program() -> String {
    let called: Option<OsString> = std::env::args_os().next();
    let called = called.unwrap_or_else(|| "irqstorm".into());
    if !called.to_string_lossy().contains('/') {
        return called.to_string_lossy().into_owned();
    }
    let path = std::env::current_exe().unwrap_or_else(|_| called.into());
    path.to_string_lossy().into_owned()
}

fn candidates<I>(names: I) -> Vec<CompletionCandidate>
where
    I: IntoIterator<Item = (String, String)>,
{
    names
        .into_iter()
        .map(|(name, help)| {
            let help = (!help.is_empty()).then(|| help.into());
            CompletionCandidate::new(name).help(help)
        })
        .collect()
}

/// Completes with those of some names that begin as the word does.
fn names(list: impl Fn() -> Vec<(String, String)> + Send + Sync + 'static) -> ArgValueCompleter {
    ArgValueCompleter::new(move |word: &std::ffi::OsStr| {
        let word = word.to_string_lossy();
        candidates(
            list()
                .into_iter()
                .filter(|(name, _)| name.starts_with(&*word)),
        )
    })
}

fn bare(names: Vec<String>) -> Vec<(String, String)> {
    names
        .into_iter()
        .map(|name| (name, String::new()))
        .collect()
}

/// Completes with kernels' names, and paths.
pub(crate) fn kernels() -> ArgValueCompleter {
    words::or_path(|| {
        let images = Repository::find().and_then(|repository| repository.images());
        let kernels = images.ok().and_then(|images| images.list().ok());
        let kernels = kernels.unwrap_or_default().into_iter();
        kernels
            .map(|kernel| (kernel.name, kernel.description))
            .collect()
    })
}

/// Completes with mutants' names, those of their kernels ahead.
pub(crate) fn mutants() -> ArgValueCompleter {
    names(|| {
        let images = Repository::find().and_then(|repository| repository.images());
        let kernels = images.ok().and_then(|images| images.list().ok());
        let kernels = kernels.unwrap_or_default().into_iter();
        kernels
            .filter_map(|kernel| Some((kernel.name, kernel.mutant?.breaks)))
            .collect()
    })
}

/// Completes with scenarios' names, and paths.
pub(crate) fn scenarios() -> ArgValueCompleter {
    words::or_path(|| {
        let names = Repository::find().and_then(|repository| repository.scenario_names());
        bare(names.unwrap_or_default())
    })
}

/// Completes with tests' names.
pub(crate) fn tests() -> ArgValueCompleter {
    names(|| {
        TESTS
            .iter()
            .map(|test| (test.name.to_owned(), test.claim.to_owned()))
            .collect()
    })
}

/// Completes with kinds of event.
pub(crate) fn events() -> ArgValueCompleter {
    names(|| bare(What::NAMES.map(str::to_owned).to_vec()))
}

/// Completes with the names of the device's storms.
pub(crate) fn storms() -> ArgValueCompleter {
    names(|| bare(live::storms()))
}

/// Completes with the names of the device's phases.
pub(crate) fn phases() -> ArgValueCompleter {
    names(|| bare(live::phases()))
}

/// Completes with the device's marks.
pub(crate) fn marks() -> ArgValueCompleter {
    names(|| bare(live::marks()))
}

/// Completes with the device's knobs.
pub(crate) fn knobs() -> ArgValueCompleter {
    names(|| bare(live::knobs().into_iter().map(|(knob, _)| knob).collect()))
}

/// Completes with the device's knobs, then with what they say.
pub(crate) fn settings() -> ArgValueCompleter {
    words::settings()
}

/// Completes with the words of `hold`.
pub(crate) fn hold() -> ArgValueCompleter {
    words::key_values(keys::HOLD)
}

/// Completes with the words of `list`.
pub(crate) fn list() -> ArgValueCompleter {
    words::key_values(keys::LIST)
}

/// Completes with the words of `release`.
pub(crate) fn release() -> ArgValueCompleter {
    words::key_values(keys::RELEASE)
}

/// Completes with the words of `fire`.
pub(crate) fn fire() -> ArgValueCompleter {
    words::key_values(keys::FIRE)
}

/// Completes with the words of `wait`.
pub(crate) fn wait() -> ArgValueCompleter {
    words::key_values(keys::WAIT)
}
