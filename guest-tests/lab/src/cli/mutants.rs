// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm mutants`.

use std::path::PathBuf;

use clap::Args;

use super::MachineArguments;
use crate::completion;
use crate::ledger::{Seeds, Share};

const MUTANTS_HELP: &str = "\
Examples:
  irqstorm mutants --mutant never-defers        one mutant, and the kernel that it was made of
  irqstorm mutants --mutant '7.3~*-gate'        those that match
  irqstorm mutants --claim 10                   every kernel, for one claim
  irqstorm mutants --seeds 3                    all of it, three times over
  irqstorm mutants --kernel 7.2+v4 --share 1/6  a sixth of a kernel's mutants
  irqstorm mutants --no-run --markdown          the tables of what has been run

A mutant is caught if for every seed a test of its claim fails. A sound kernel is
accused if a test fails on it that its design does not break. Results are
written after every test: run it again with the same results folder, and it goes
on where it stopped.

Exit codes:
  0    every mutant was caught, and no sound kernel accused
  1    a mutant was missed or has no test, a sound kernel was accused, or a
       design does not break what it is said to
  2    what was asked for cannot be: an argument, a name
  3    the lab could not do its work, for one kernel at least: a build failed,
       a guest did not boot
  130  interrupted; everything that was started has been ended";

/// `irqstorm mutants`.
#[derive(Debug, Args)]
#[command(after_help = MUTANTS_HELP)]
pub(crate) struct MutantsArguments {
    /// The mutants of this kernel only, and itself; may be given again
    #[arg(long = "kernel", value_name = "NAME", add = completion::kernels())]
    pub(crate) kernels: Vec<String>,
    /// This mutant only, by its name with or without its kernel's, or those
    /// that match; may be given again
    #[arg(long = "mutant", value_name = "NAME|GLOB", add = completion::mutants())]
    pub(crate) mutants: Vec<String>,
    /// The mutants and tests of this claim only, by its number in
    /// images/kernels/README.md; may be given again
    #[arg(long = "claim", visible_alias = "row", value_name = "N")]
    pub(crate) claims: Vec<u32>,
    /// How many seeds each is run with, from 1 on; or which: 1,2,3
    #[arg(long, value_name = "COUNT|LIST", default_value = "1")]
    pub(crate) seeds: Seeds,
    /// Run the K-th of N parts of all mutants; sound kernels are in every part
    #[arg(long, value_name = "K/N")]
    pub(crate) share: Option<Share>,
    /// Run every test on every kernel, not only the tests of claims
    #[arg(long)]
    pub(crate) all_tests: bool,
    /// Run the sound kernels only
    #[arg(long, conflicts_with = "no_sound")]
    pub(crate) sound: bool,
    /// Run the mutants only
    #[arg(long)]
    pub(crate) no_sound: bool,
    /// Run nothing: show what the results folder has
    #[arg(long, conflicts_with = "again")]
    pub(crate) no_run: bool,
    /// Take results of other builds of kernels and tests for good, which would
    /// else be run anew
    #[arg(long)]
    pub(crate) trust_old: bool,
    /// Run anew what has been run
    #[arg(long, conflicts_with = "trust_old")]
    pub(crate) again: bool,
    /// The machine.
    #[command(flatten)]
    pub(crate) machine: MachineArguments,
    /// The folder of the results, to begin or to go on with
    #[arg(long, value_name = "DIR", default_value = "results/mutants")]
    pub(crate) results: PathBuf,
    /// Print the report as JSON
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) json: bool,
    /// Print the tables as Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
    /// Put the tables into a file, between the comments that name them
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) write: Option<PathBuf>,
}
