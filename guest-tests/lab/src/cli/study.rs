// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm compare`, `irqstorm report`, `irqstorm campaign`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{EXIT_CODES, MachineArguments, SuiteChoice};
use crate::completion;
use crate::ledger::{Seeds, Share};
use crate::repository::DEFAULT_SCENARIO;

const COMPARE_HELP: &str = "\
Examples:
  irqstorm compare --kernel 7.2+v4 --kernel 7.3
  irqstorm compare --kernel 7.2+v4 --kernel ~/linux --rounds 9
  irqstorm compare --kernel 7.3 --scenario plain --scenario default-storm \\
      --experiment switch-count
  irqstorm compare results/20260102T030405Z-7.2+v4 results/20260102T031415Z-7.3

Kernels take turns (A B C A B C ...), the first round warms the machine up and
counts for nothing, and so does a round in which one of them did not pass. All
are compared with the first. An effect is called only where the 95 % interval of
the ratio says so. The report goes to stdout as text, and into the folder as
report.txt, report.html, report.json and report.csv. Repeat the command with
--results FOLDER to go on with one that was stopped.";

/// `irqstorm compare`.
#[derive(Debug, Args)]
#[command(after_help = format!("{COMPARE_HELP}\n\n{EXIT_CODES}"))]
pub(crate) struct CompareArguments {
    /// Results folders to compare as they are; nothing is run
    #[arg(value_name = "FOLDER", value_hint = clap::ValueHint::DirPath,
          conflicts_with_all = ["kernels", "scenarios", "rounds", "seed", "results"])]
    pub(crate) folders: Vec<PathBuf>,
    /// A kernel's name (see 'irqstorm list'), a tree of yours, or a bzImage; may
    /// be given again
    #[arg(long = "kernel", value_name = "NAME|PATH", required_unless_present = "folders",
          add = completion::kernels())]
    pub(crate) kernels: Vec<String>,
    /// Begin under this scenario; with several, each kernel is run under each
    #[arg(long = "scenario", value_name = "NAME|FILE", default_value = DEFAULT_SCENARIO,
          add = completion::scenarios())]
    pub(crate) scenarios: Vec<String>,
    /// The guest test whose figures are compared [default: storm-sweep; of
    /// folders: the only one that is in them]
    #[arg(long, value_name = "TEST", add = completion::tests())]
    pub(crate) experiment: Option<String>,
    /// Rounds that count; fewer than three say nothing
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// The seed of every random choice, the same in every round
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The machine.
    #[command(flatten)]
    pub(crate) machine: MachineArguments,
    /// The folder to begin or to go on with [default: a new one in results]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) results: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const REPORT_HELP: &str = "\
Examples:
  irqstorm report results/20260102T030405Z-compare
  irqstorm report results/20260102T030405Z-compare --format html > report.html
  irqstorm report results/latest --experiment switch-count --format csv
  irqstorm report results/20260102T030405Z-compare --write /tmp/report";

/// `irqstorm report`.
#[derive(Debug, Args)]
#[command(after_help = REPORT_HELP, arg_required_else_help = true)]
pub(crate) struct ReportArguments {
    /// Folders of runs, comparisons or campaigns
    #[arg(required = true, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub(crate) folders: Vec<PathBuf>,
    /// The guest test whose figures are shown [default: the only one that is in
    /// the folders]
    #[arg(long, value_name = "TEST", add = completion::tests())]
    pub(crate) experiment: Option<String>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    /// Write it in every format into this folder, and print nothing
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath,
          conflicts_with = "format")]
    pub(crate) write: Option<PathBuf>,
}

/// What a report can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For a mail, 80 columns.
    Text,
    /// A page with charts that needs nothing else.
    Html,
    /// All of it, for programs.
    Json,
    /// The table, for spreadsheets.
    Csv,
}

/// `irqstorm campaign`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct CampaignArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: CampaignCommand,
}

/// What can be done with a campaign.
#[derive(Debug, Subcommand)]
pub(crate) enum CampaignCommand {
    /// Run a matrix of kernels, scenarios and seeds, or go on with it
    Run(Box<CampaignRunArguments>),
    /// Put the parts of a campaign together
    Merge(CampaignMergeArguments),
    /// Show what became of a campaign
    Show(CampaignShowArguments),
}

const CAMPAIGN_HELP: &str = "\
Examples:
  irqstorm campaign run --kernel 7.2+v4 --kernel 7.3 --scenario plain \\
      --scenario default-storm --seeds 6 --suite core
  parallel irqstorm campaign run --kernel 7.2+v4 --kernel 7.3 --seeds 12 \\
      --partition {}/3 --results part-{} ::: 1 2 3
  irqstorm campaign merge --into whole part-1 part-2 part-3

Results are written after every cell: the same command goes on where it stopped,
and runs anew only what was built anew. guest-tests/lab/CAMPAIGNS.md has recipes
for Slurm and Kubernetes.";

/// `irqstorm campaign run`.
#[derive(Debug, Args)]
#[command(after_help = format!("{CAMPAIGN_HELP}\n\n{EXIT_CODES}"))]
pub(crate) struct CampaignRunArguments {
    /// A kernel's name, a tree of yours, or a bzImage; may be given again
    #[arg(long = "kernel", value_name = "NAME|PATH", required = true,
          add = completion::kernels())]
    pub(crate) kernels: Vec<String>,
    /// Begin every test under this scenario; may be given again
    #[arg(long = "scenario", value_name = "NAME|FILE", default_value = DEFAULT_SCENARIO,
          add = completion::scenarios())]
    pub(crate) scenarios: Vec<String>,
    /// How many seeds each is run with, from 1 on; or which: 1,2,3
    #[arg(long, value_name = "COUNT|LIST", default_value = "1")]
    pub(crate) seeds: Seeds,
    /// How often each is run with each seed
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Which tests to run in each cell
    #[arg(long, value_enum, default_value_t = SuiteChoice::All, conflicts_with = "tests")]
    pub(crate) suite: SuiteChoice,
    /// Run this test only; may be given again
    #[arg(long = "test", value_name = "NAME", add = completion::tests())]
    pub(crate) tests: Vec<String>,
    /// Run the K-th of N parts of all cells
    #[arg(long, value_name = "K/N")]
    pub(crate) partition: Option<Share>,
    /// The machine.
    #[command(flatten)]
    pub(crate) machine: MachineArguments,
    /// The folder of the results, to begin or to go on with
    #[arg(long, value_name = "DIR", default_value = "results/campaign")]
    pub(crate) results: PathBuf,
    /// Print every cell as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `irqstorm campaign merge`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  irqstorm campaign merge --into whole part-1 part-2")]
pub(crate) struct CampaignMergeArguments {
    /// The folders of the parts
    #[arg(required = true, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub(crate) parts: Vec<PathBuf>,
    /// Where they are put together
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) into: PathBuf,
    /// Print every cell as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `irqstorm campaign show`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  irqstorm campaign show --json | jq '.missing'")]
pub(crate) struct CampaignShowArguments {
    /// Its folder
    #[arg(value_name = "FOLDER", default_value = "results/campaign",
          value_hint = clap::ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// Print every cell as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
