// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The commands of the command line, one a file.

pub(crate) mod ctl;
pub(crate) mod kernel;
pub(crate) mod list;
pub(crate) mod run;
pub(crate) mod setup;

use clap::CommandFactory;

use crate::cli::Cli;
use crate::failure::{Exit, Failure};

/// Prints a completion script.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    clap_complete::generate(
        shell,
        &mut Cli::command(),
        "irqstorm",
        &mut std::io::stdout(),
    );
    Ok(Exit::Passed)
}
