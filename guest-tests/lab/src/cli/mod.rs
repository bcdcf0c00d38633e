// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The command line.

mod controller;
mod ctl;
mod device;
mod exec;
mod faults;
mod mutants;
mod repeat;
mod run;
mod study;
mod top;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use controller::{ControllerArguments, Doorbells};
pub(crate) use ctl::{CtlArguments, CtlCommand, SocketArgument, StormAction};
pub(crate) use device::{CheckArguments, DeviceArguments, DeviceCommand, DiffArguments};
pub(crate) use exec::{Complaints, DiskArguments, ExecArguments};
pub(crate) use faults::FaultsArguments;
pub(crate) use mutants::MutantsArguments;
pub(crate) use repeat::{RepeatArguments, ShrinkArguments};
pub(crate) use run::{
    AccelChoice, DiskKind, MachineArguments, Memory, QEMU, RunArguments, SuiteChoice,
};
pub(crate) use study::{
    CampaignArguments, CampaignCommand, CampaignRunArguments, CompareArguments, ReportArguments,
    ReportFormat,
};
pub(crate) use top::TopArguments;

use crate::completion;

const EXIT_CODES: &str = "\
Exit codes:
  0    every test passed, failed as expected, or was skipped with its reason
  1    a test failed, or passed although it has to fail; device diff: the
       recordings differ
  2    what was asked for cannot be: an argument, a name, a scenario, a list,
       a patch, a kernel tree that does not build
  3    the lab could not do its work: a package is missing, a build failed,
       the guest did not boot, QEMU or the device ended
  130  interrupted; everything that was started has been ended";

const EXAMPLES: &str = "\
Examples:
  irqstorm run
  irqstorm run --kernel ~/linux --test task-context --test hotplug-drain
  irqstorm run --scenario my.toml --seed 7 --results /tmp/results
  irqstorm exec -- fio job.fio
  irqstorm compare --kernel 7.2+v4 --kernel 7.3
  irqstorm ctl hold
  irqstorm ctl release 1
  irqstorm top
  irqstorm device check my.toml";

/// Boots guest kernels on a disk whose completions and interrupts are
/// scripted, and settles what they do about them.
#[derive(Debug, Parser)]
#[command(name = "irqstorm", version, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Boot a kernel on the device and run the guest tests
    Run(Box<RunArguments>),
    /// Run the tests on the kernels that they must catch, and on sound ones
    Mutants(MutantsArguments),
    /// Run an experiment on several kernels in turn, and say what differs
    Compare(Box<CompareArguments>),
    /// Report what results folders have, as text, HTML, JSON or CSV
    Report(ReportArguments),
    /// Run a matrix of kernels, scenarios and seeds, in parts if need be
    Campaign(CampaignArguments),
    /// Let a fault happen again and again amid a guest's I/O, and count
    Faults(Box<FaultsArguments>),
    /// Run a program of this machine in the guest, on the device
    Exec(Box<ExecArguments>),
    /// List the kernels, tests and scenarios there are
    List(ListArguments),
    /// Build a kernel, or print where it is
    Kernel(KernelArguments),
    /// Steer a running device
    Ctl(CtlArguments),
    /// Watch and steer a running device, live
    Top(TopArguments),
    /// Read scenarios and recorded decisions
    Device(DeviceArguments),
    /// Install the packages that are missing
    Setup(SetupArguments),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const COMPLETIONS_HELP: &str = "\
The script asks irqstorm itself for the words, so it also knows the phases,
marks and knobs of the device that runs. Print it anew with another version.

Examples:
  irqstorm completions bash > /etc/bash_completion.d/irqstorm
  source <(irqstorm completions zsh)
  irqstorm completions fish | source";

/// `irqstorm list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  irqstorm list --json | jq -r '.tests[].name'")]
pub(crate) struct ListArguments {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `irqstorm kernel`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct KernelArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: KernelCommand,
}

/// What can be done with a kernel.
#[derive(Debug, Subcommand)]
pub(crate) enum KernelCommand {
    /// Fetch and build it, unless that has been done
    #[command(after_help = "Example:\n  irqstorm kernel build 7.2+v4~never-defers")]
    Build {
        /// Its name (see 'irqstorm list')
        #[arg(add = completion::kernels())]
        name: String,
    },
    /// Build it if need be and print its image's path
    #[command(
        after_help = "Example:\n  qemu-system-x86_64 -kernel \"$(irqstorm kernel path 7.3)\""
    )]
    Path {
        /// Its name, or the path of a tree
        #[arg(add = completion::kernels())]
        name: String,
    },
    /// Add to a tree's .config the options that the lab needs and it lacks, or
    /// write a small one if it has none
    #[command(after_help = CONFIG_HELP)]
    Config {
        /// The tree, or the folder of its objects (make O=)
        #[arg(value_hint = clap::ValueHint::DirPath)]
        tree: PathBuf,
    },
}

const CONFIG_HELP: &str = "\
Everything else in the .config stays as it is, and the one before is kept
beside it. The file systems, stacks and detectors that tests use are added
too, as far as the tree knows them.

Example:
  irqstorm kernel config ~/linux && irqstorm run --kernel ~/linux";

/// `irqstorm setup`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  irqstorm setup --dry-run")]
pub(crate) struct SetupArguments {
    /// Say what is missing and install nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_exit_code_is_documented() {
        const README: &str = include_str!("../../../../README.md");
        use crate::failure::Exit;
        for exit in [
            Exit::Passed,
            Exit::TestsFailed,
            Exit::Usage,
            Exit::LabFailed,
            Exit::Interrupted,
        ] {
            let line = format!("\n  {:<3}  ", exit.code());
            assert!(EXIT_CODES.contains(&line), "{exit:?}");
            let row = format!("\n| {} | ", exit.code());
            assert!(README.contains(&row), "{exit:?} in the README");
        }
    }
}
