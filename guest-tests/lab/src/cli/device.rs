// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm device`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::completion;

/// `irqstorm device`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct DeviceArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: DeviceCommand,
}

/// What can be done without a device that runs.
#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// Read a scenario and show its phases and which rule takes what
    Check(CheckArguments),
    /// Compare two files of recorded decisions
    Diff(DiffArguments),
}

const CHECK_HELP: &str = "\
Examples:
  irqstorm device check my.toml
  irqstorm device check default-storm --json | jq '.phases[].rows'

Exit codes:
  0    the scenario is good
  2    it is not: the message names the file, the key, the value and what is
       allowed there";

/// `irqstorm device check`.
#[derive(Debug, Args)]
#[command(after_help = CHECK_HELP)]
pub(crate) struct CheckArguments {
    /// A file, or a shipped scenario's name
    #[arg(value_name = "NAME|FILE", add = completion::scenarios())]
    pub(crate) scenario: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const DIFF_HELP: &str = "\
Decisions are told apart by queue and number on the queue (queue, nth).

Example:
  irqstorm device diff results/one/decisions.ndjson results/two/decisions.ndjson

Exit codes:
  0    the same decisions about the same requests
  1    there are differences
  2    a file is no recording";

/// `irqstorm device diff`.
#[derive(Debug, Args)]
#[command(after_help = DIFF_HELP)]
pub(crate) struct DiffArguments {
    /// A decisions.ndjson
    #[arg(value_name = "A")]
    pub(crate) one: PathBuf,
    /// Another
    #[arg(value_name = "B")]
    pub(crate) other: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
