// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXIT_CODES: &str = "\
Exit codes:
  0    every test passed, or was skipped with its reason
  1    a test failed
  2    what was asked for cannot be: an argument, a name, a scenario
  3    the lab could not do its work: a package is missing, a build failed,
       the guest did not boot
  130  interrupted; everything that was started has been ended";

const EXAMPLES: &str = "\
Examples:
  irqstorm run
  irqstorm run --kernel ~/linux --test task-context --test hotplug-drain
  irqstorm run --scenario my.toml --seed 7 --results /tmp/results
  irqstorm ctl hold
  irqstorm ctl release 1";

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
    Run(RunArguments),
    /// List the kernels, tests and scenarios there are
    List(ListArguments),
    /// Build a kernel, or print where it is
    Kernel(KernelArguments),
    /// Steer a running device
    Ctl(CtlArguments),
    /// Install the packages that are missing
    Setup(SetupArguments),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  irqstorm completions bash > /etc/bash_completion.d/irqstorm"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const RUN_HELP: &str = "\
Examples:
  irqstorm run                                  the default kernel, suite and storm
  irqstorm run --kernel 7.3                     another kernel by name
  irqstorm run --kernel ~/linux                 a built tree of yours
  irqstorm run --kernel ./bzImage               an image: tests that need the probe are skipped
  irqstorm run --test exactly-once --seed 7     one test, with a seed to repeat
  irqstorm run --kernel 7.2+v4~never-defers --test task-context --expect-fail task-context

KTAP goes to stdout, progress and the summary to stderr; everything is kept in
the results folder, with results/latest pointing at the newest.";

/// `irqstorm run`.
#[derive(Debug, Args)]
#[command(after_help = format!("{RUN_HELP}\n\n{EXIT_CODES}"))]
pub(crate) struct RunArguments {
    /// A kernel's name (see 'irqstorm list'), a built tree, or a bzImage
    #[arg(long, value_name = "NAME|PATH", default_value = "7.2+v4")]
    pub(crate) kernel: String,
    /// Run this test only; may be given again [default: all]
    #[arg(long = "test", value_name = "NAME")]
    pub(crate) tests: Vec<String>,
    /// Begin every test under this scenario, in place of the default storm;
    /// a test may then tell the device what it needs itself
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) scenario: Option<String>,
    /// The seed of every random choice [default: the scenario's, or chosen
    /// and printed]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The guest's CPUs, each with a queue of its own
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) cpus: u16,
    /// The guest's memory
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = parse_memory)]
    pub(crate) memory: Memory,
    /// Where to make the results folder
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) results: PathBuf,
    /// How the guest's CPUs are run; 'auto' takes KVM only if it boots the
    /// guest here, and says so if not
    #[arg(long, value_enum, default_value_t = AccelChoice::Auto)]
    pub(crate) accel: AccelChoice,
    /// The QEMU to use
    #[arg(long, value_name = "PATH", default_value = "qemu-system-x86_64")]
    pub(crate) qemu: PathBuf,
    /// Succeed if precisely these tests fail; may be given again. For kernels
    /// that are broken on purpose
    #[arg(long, value_name = "TEST")]
    pub(crate) expect_fail: Vec<String>,
    /// Keep the guest and the device running after the suite, until ^C; the
    /// guest is the one of the last test
    #[arg(long)]
    pub(crate) keep: bool,
    /// Print results.json to stdout at the end, in place of KTAP
    #[arg(long)]
    pub(crate) json: bool,
}

/// What runs the guest's CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccelChoice {
    /// KVM where it is proven to run a guest, else TCG.
    Auto,
    /// KVM or nothing.
    Kvm,
    /// QEMU's own translator.
    Tcg,
}

/// The guest's memory in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory(pub(crate) u32);

/// Below this the kernel and its initramfs do not fit with room to test.
const LEAST_MIB: u32 = 128;

/// QEMU takes more; no guest test has a use for it.
const MOST_MIB: u32 = 1 << 20;

fn parse_memory(text: &str) -> Result<Memory, String> {
    let rule = || format!("a size in M or G from {LEAST_MIB}M on, as in 512M or 2G");
    let (number, scale) = match text.as_bytes().last() {
        Some(b'M' | b'm') => (&text[..text.len() - 1], 1),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 1024),
        _ => return Err(rule()),
    };
    number
        .parse::<u32>()
        .ok()
        .and_then(|number| number.checked_mul(scale))
        .filter(|mib| (LEAST_MIB..=MOST_MIB).contains(mib))
        .map(Memory)
        .ok_or_else(rule)
}

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
        name: String,
    },
    /// Build it if need be and print its image's path
    #[command(
        after_help = "Example:\n  qemu-system-x86_64 -kernel \"$(irqstorm kernel path 7.3)\""
    )]
    Path {
        /// Its name, or the path of a built tree
        name: String,
    },
}

const CTL_HELP: &str = "\
Arguments of release, fire and list are KEY=VALUE:
  release   N (the request's number), or any of request= queue= operation=
            count= part=both|completion|interrupt
  fire      queue= count=
  list      limit=
  storm     start | stop
  scenario  FILE or a shipped name (see 'irqstorm list')

Examples:
  irqstorm ctl hold
  irqstorm ctl list
  irqstorm ctl release 1
  irqstorm ctl release queue=0 count=3
  irqstorm ctl release part=completion
  irqstorm ctl fire queue=0 count=3
  irqstorm ctl scenario my.toml";

/// `irqstorm ctl`.
#[derive(Debug, Args)]
#[command(after_help = CTL_HELP, arg_required_else_help = true)]
pub(crate) struct CtlArguments {
    /// The device's control socket [default: that of the one 'irqstorm run'
    /// of this user]
    #[arg(long, value_name = "PATH", env = "IRQSTORM_CONTROL", global = true)]
    pub(crate) socket: Option<PathBuf>,
    /// Print the device's reply as it came
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: CtlCommand,
}

/// What a device can be told.
#[derive(Debug, Subcommand)]
pub(crate) enum CtlCommand {
    /// Show the scenario, the seed and the counters
    Status,
    /// Hold completions from now on
    Hold,
    /// Stop holding; what is held stays so until released
    Unhold,
    /// Show what is held, oldest first
    List {
        /// limit=N
        #[arg(value_name = "KEY=VALUE")]
        arguments: Vec<String>,
    },
    /// Let held completions go, oldest first
    Release {
        /// A request's number, or request=, queue=, operation=, count=, part=
        #[arg(value_name = "N|KEY=VALUE")]
        arguments: Vec<String>,
    },
    /// Raise interrupts with no completion behind them
    Fire {
        /// queue=, count=
        #[arg(value_name = "KEY=VALUE")]
        arguments: Vec<String>,
    },
    /// Start or stop the scenario's storms
    Storm {
        /// Which
        action: StormAction,
    },
    /// Replace the scenario
    Scenario {
        /// A file, or a shipped scenario's name
        #[arg(value_name = "NAME|FILE")]
        scenario: String,
    },
}

/// What can be done with storms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StormAction {
    /// They run from now on.
    Start,
    /// They rest.
    Stop,
}

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
    fn memory_needs_its_unit_and_its_range() {
        assert_eq!(parse_memory("512M"), Ok(Memory(512)));
        assert_eq!(parse_memory("2G"), Ok(Memory(2048)));
        for text in ["", "512", "M", "64M", "-1G", "9999999999G", "1T", "½G"] {
            assert!(parse_memory(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn every_exit_code_is_documented() {
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
        }
    }
}
