// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm exec`.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum, ValueHint};

use super::run::MachineArguments;
use crate::completion;

const EXEC_HELP: &str = "\
The guest sees the files of this machine, as the user sees them who calls
irqstorm; the program runs there as root, in the current directory, with the
disk as /dev/vda, or /dev/nvme0n1 with --disk nvme; $IRQSTORM_DISK names it.
What it writes is kept in the guest's memory and gone with it,
but for what goes to a --write-to folder or to a --disk-file. The guest ends
with the program: what that leaves running is ended, and file systems on the
disk are unmounted. There is no network.

PATH (and the sbin folders), HOME, LANG, LC_*, TERM, TZ, SHELL, EDITOR and the
like are kept of the environment; --env brings more. Standard input, output and
errors are the program's own; it reads the input whether it wants it or not, so
give it </dev/null in a loop that reads. ^C goes to the program, a second one
ends the guest. At a terminal of the guest (--shell, --tty) every key goes
there; ^] three times in a row ends the guest.

The scenario is in force from the program's start on, and 'irqstorm ctl' steers
the device meanwhile. In the guest, /dev/virtio-ports/irqstorm.control takes the
same commands as JSON.

Examples:
  irqstorm exec -- fio job.fio                   a job of yours, on /dev/vda, under the default storm
  irqstorm exec --scenario shuffle-and-storm -- fio --name=v --filename=/dev/vda \\
      --rw=randwrite --bs=4k --direct=1 --ioengine=libaio --iodepth=16 --numjobs=4 \\
      --size=16M --offset_increment=16M --verify=crc32c --group_reporting
  irqstorm exec --kernel 7.3:programs --shell    look around in another kernel
  irqstorm exec -- sh -c 'mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt && ls -l /mnt'
  irqstorm exec --write-to out -- sh -c 'blkid /dev/vda > out/id; true'
  irqstorm exec --disk-file disk.img -- fsck.ext4 -fn /dev/vda
  irqstorm exec --disk nvme -- nvme id-ctrl /dev/nvme0
  irqstorm exec --kernel ~/linux --scenario plain -- ./reproducer
  head -c 1M /dev/urandom | irqstorm exec -- sh -c 'cat > /dev/vda && sha256sum /dev/vda'";

const EXEC_CODES: &str = "\
Exit codes:
  N    the program's own
  1    the program succeeded and the kernel complained meanwhile (a warning, a
       lockup, a hung task ...), or the kernel panicked; see --complaints
  2    the command line cannot be read
  125  irqstorm failed: what was asked for cannot be, a package is missing, a
       build failed, the guest did not boot or was lost
  126  the program is there and cannot be executed
  127  the program is not there
  128+ the program was killed by this signal: 137 is 128 and SIGKILL
  130  the program was interrupted by ^C, or the guest was by a second one";

/// `irqstorm exec`.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXEC_HELP}\n\n{EXEC_CODES}"))]
#[command(mut_arg("cpus", |arg| arg.help("The guest's CPUs")))]
#[command(mut_arg("memory", |arg| arg.default_value("1G")
    .help("The guest's memory; what the program writes to files has half of it")))]
pub(crate) struct ExecArguments {
    /// The program and its arguments
    #[arg(value_name = "CMD", trailing_var_arg = true, required_unless_present = "shell",
          value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
    /// Run your shell ($SHELL) at a terminal in the guest
    #[arg(long, conflicts_with = "command")]
    pub(crate) shell: bool,
    /// Give the program a terminal; its errors then come with its output
    #[arg(long, short)]
    pub(crate) tty: bool,
    /// A kernel's name (see 'irqstorm list'), a built tree, or a bzImage;
    /// NAME:programs has what fio and others expect of a kernel
    #[arg(long, value_name = "NAME|PATH", default_value = "7.2+v4:programs",
          add = completion::kernels())]
    pub(crate) kernel: String,
    /// Apply a patch as it was posted, as 'irqstorm run' does
    #[arg(long = "patch", value_name = "FILE|MBOX|-", value_hint = ValueHint::FilePath)]
    pub(crate) patches: Vec<PathBuf>,
    /// The device's script while the program runs; 'plain' is a disk like any
    /// other
    #[arg(long, value_name = "NAME|FILE", default_value = crate::repository::DEFAULT_SCENARIO,
          add = completion::scenarios())]
    pub(crate) scenario: String,
    /// The seed of every random choice of the device [default: the scenario's,
    /// or chosen; it is in the results' exec.json]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Decide again what was decided earlier: a decisions.ndjson
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) replay: Option<PathBuf>,
    /// What it is run on.
    #[command(flatten)]
    pub(crate) machine: MachineArguments,
    /// The disk's queues [default: one for each CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) queues: Option<u16>,
    /// The disk.
    #[command(flatten)]
    pub(crate) disk: DiskArguments,
    /// A folder of this machine that the program may write to, under the same
    /// path; may be given again
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) write_to: Vec<PathBuf>,
    /// Where the program runs [default: the current directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
    /// One more variable for the program's environment, from this one or with
    /// this value; may be given again
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<OsString>,
    /// What becomes of the exit code if the program succeeds and the kernel
    /// complains: 'fail' makes it 1, 'report' leaves it 0; standard error says
    /// so either way
    #[arg(long, value_enum, default_value_t = Complaints::Fail)]
    pub(crate) complaints: Complaints,
    /// Where to make the results folder: the console, the device's events and
    /// decisions, exec.json
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) results: PathBuf,
    /// Keep no events and no decisions, which cost time with each request: for
    /// measurements
    #[arg(long)]
    pub(crate) no_events: bool,
    /// Say what goes on although standard error is no terminal
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

/// The disk.
#[derive(Clone, Debug, Args)]
pub(crate) struct DiskArguments {
    /// The size of the disk, empty and in memory, of which only what is written
    /// takes room
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = parse_size,
          conflicts_with = "disk_file")]
    pub(crate) disk_size: DiskSize,
    /// A raw file or a block device of this machine as the disk: it is written
    /// to
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) disk_file: Option<PathBuf>,
    /// Refuse writes to the disk
    #[arg(long)]
    pub(crate) disk_read_only: bool,
    /// The disk's logical block in bytes
    #[arg(long, value_name = "BYTES", default_value = "512",
          value_parser = PossibleValuesParser::new(["512", "1024", "2048", "4096"])
              .try_map(|text| text.parse::<u32>()))]
    pub(crate) block_size: u32,
}

/// What a complaint of the kernel does to the exit code of a program that
/// succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Complaints {
    /// It is 1.
    Fail,
    /// It stays 0.
    Report,
}

/// A disk's size in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DiskSize(pub(crate) u32);

impl fmt::Display for DiskSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}M", self.0)
    }
}

fn parse_size(text: &str) -> Result<DiskSize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let mib = match text.get(digits.len()..).unwrap_or_default() {
        "M" | "MiB" => Some(1),
        "G" | "GiB" => Some(1024),
        _ => None,
    };
    let number: Option<u32> = digits.parse().ok().filter(|&number| number > 0);
    number
        .zip(mib)
        .and_then(|(number, mib)| number.checked_mul(mib))
        .map(DiskSize)
        .ok_or_else(|| "a size in M or G, as in 512M or 4G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn exec(words: &[&str]) -> Result<ExecArguments, String> {
        let all = ["irqstorm", "exec"].iter().chain(words);
        match Cli::try_parse_from(all)
            .map_err(|error| error.to_string())?
            .command
        {
            Command::Exec(arguments) => Ok(*arguments),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn options_after_the_program_are_the_programs() {
        for words in [
            &["--seed", "7", "--", "fio", "--seed", "8"][..],
            &["--seed", "7", "fio", "--seed", "8"],
        ] {
            let arguments = exec(words).unwrap();
            assert_eq!(arguments.seed, Some(7));
            assert_eq!(arguments.command, ["fio", "--seed", "8"]);
            assert_eq!(arguments.machine.memory.0, 1024);
        }
    }

    #[test]
    fn a_program_or_the_shell_is_needed_and_not_both() {
        assert!(exec(&[]).unwrap_err().contains("CMD"));
        assert!(exec(&["--shell"]).unwrap().shell);
        assert!(exec(&["--shell", "--", "true"]).is_err());
        assert!(
            exec(&["--sede", "7", "true"])
                .unwrap_err()
                .contains("--seed")
        );
    }

    #[test]
    fn sizes_have_a_unit() {
        for text in ["", "G", "0G", "512", "1T", "1.5G", "-1G", "4194304G"] {
            assert!(parse_size(text).is_err(), "{text} was taken");
        }
        assert_eq!(parse_size("1536M"), Ok(DiskSize(1536)));
        assert_eq!(parse_size("4GiB"), Ok(DiskSize(4096)));
        let both = ["--disk-size", "2G", "--disk-file", "x", "true"];
        assert!(exec(&both).is_err());
    }
}
