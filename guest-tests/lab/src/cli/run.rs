// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm run`.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{ControllerArguments, EXIT_CODES, RepeatArguments, ShrinkArguments};
use crate::completion;

const RUN_HELP: &str = "\
Examples:
  irqstorm run                                  the default kernel, suite and storm
  irqstorm run --kernel 7.3                     another kernel by name
  irqstorm run --kernel ~/linux                 a tree of yours, made first: the core tests
  irqstorm run --kernel ~/linux --suite all     all of them
  irqstorm run --kernel ./bzImage               an image: tests that need the probe are skipped
  irqstorm run --kernel 7.2 --patch v4.mbox     a series as posted, in its order
  irqstorm run --kernel 7.3 --patch a.diff --patch b.diff
  curl -s ADDRESS/raw | irqstorm run --kernel 7.2 --patch -
  irqstorm run --test exactly-once --seed 7     one test, with a seed to repeat
  irqstorm run --replay results/latest/decisions.ndjson
  irqstorm run --disk nvme                      behind an NVMe controller
  irqstorm run --exclude 'interrupt-*' --known-failures known.txt
  irqstorm run --test chains --repeat 50 --seed 7
  irqstorm run --test no-lost-wakeup --until-failure --for 8h
  irqstorm run --test exactly-once --trace      with a timeline of device and guest
  irqstorm run --test whole-batches --shrink    if it fails: what of the schedule it needs
  irqstorm run --kernel 7.2+v4~never-defers --test task-context --expect-fail task-context

KTAP goes to stdout, progress and the summary to stderr; everything is kept in
the results folder, with results/latest pointing at the newest.";

/// `irqstorm run`.
#[derive(Debug, Args)]
#[command(after_help = format!("{RUN_HELP}\n\n{EXIT_CODES}"))]
pub(crate) struct RunArguments {
    /// A kernel's name (see 'irqstorm list'), a tree of yours, or a bzImage
    #[arg(long, value_name = "NAME|PATH", default_value = "7.2+v4",
          add = completion::kernels())]
    pub(crate) kernel: String,
    /// Apply a patch as it was posted to a kernel by name, and build that: a
    /// diff, a mail, a mailbox (.gz as well), or - for stdin; may be given
    /// again, and their order is kept
    #[arg(long = "patch", value_name = "FILE|MBOX|-", value_hint = clap::ValueHint::FilePath)]
    pub(crate) patches: Vec<PathBuf>,
    /// Which tests to run [default: all; core for a tree of yours]
    #[arg(long, value_enum, conflicts_with = "tests")]
    pub(crate) suite: Option<SuiteChoice>,
    /// Run this test only; may be given again
    #[arg(long = "test", value_name = "NAME", add = completion::tests())]
    pub(crate) tests: Vec<String>,
    /// Leave this test out, or those that a pattern takes, as 'interrupt-*';
    /// may be given again
    #[arg(long, value_name = "TEST|GLOB", add = completion::tests())]
    pub(crate) exclude: Vec<String>,
    /// Begin every test under this scenario, in place of the default storm;
    /// a test may then tell the device what it needs itself
    #[arg(long, value_name = "NAME|FILE", add = completion::scenarios())]
    pub(crate) scenario: Option<String>,
    /// The seed of every random choice [default: the scenario's, or chosen
    /// and printed]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Decide again what an earlier run decided: its decisions.ndjson, or the
    /// minimal.ndjson of --shrink. What is not in it is decided by the scenario,
    /// or plainly if the file says so, and counted
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) replay: Option<PathBuf>,
    /// Trace the guest's kernel during each test, in so much of its memory (4
    /// MiB if nothing is said; what does not fit is lost, the latest), and leave
    /// a timeline of device and guest on one clock in the results: trace.json
    /// for ui.perfetto.dev, timeline.html for any browser
    #[arg(long, value_name = "MIB", num_args = 0..=1, require_equals = true,
          default_missing_value = "4", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) trace: Option<u32>,
    /// What it is run on.
    #[command(flatten)]
    pub(crate) machine: MachineArguments,
    /// Where to make the results folder
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) results: PathBuf,
    /// Succeed if precisely these tests fail; may be given again. For kernels
    /// that are broken on purpose
    #[arg(long, value_name = "TEST", add = completion::tests())]
    pub(crate) expect_fail: Vec<String>,
    /// Tests that are known to fail and do not fail the run: a file of lines
    /// 'TEST [KERNEL] [# WHY]', where both may be patterns; may be given again
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) known_failures: Vec<PathBuf>,
    /// Fail the run if a test that is known to fail passes
    #[arg(long, requires = "known_failures")]
    pub(crate) strict_known: bool,
    /// Keep the guest and the device running after the suite, until ^C; the
    /// guest is the one of the last test
    #[arg(long, conflicts_with_all = ["repeat", "until_failure", "span"])]
    pub(crate) keep: bool,
    /// Print results.json to stdout at the end, in place of KTAP
    #[arg(long, conflicts_with_all = ["repeat", "until_failure", "span"])]
    pub(crate) json: bool,
    /// How often it is run.
    #[command(flatten)]
    pub(crate) repeat: RepeatArguments,
    /// What is done about a failure.
    #[command(flatten)]
    pub(crate) shrink: ShrinkArguments,
}

/// The guest's machine and what emulates it.
#[derive(Clone, Debug, Args)]
pub(crate) struct MachineArguments {
    /// The guest's CPUs, each with a queue of its own; a test that asks for
    /// another machine has it
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) cpus: u16,
    /// The guest's memory
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = parse_memory)]
    pub(crate) memory: Memory,
    /// The disk under test
    #[arg(long, value_enum, value_name = "KIND", default_value_t)]
    pub(crate) disk: DiskKind,
    /// How the device offers it.
    #[command(flatten)]
    pub(crate) controller: ControllerArguments,
    /// How the guest's CPUs are run; 'auto' takes KVM only if it boots the
    /// guest here, and says so if not
    #[arg(long, value_enum, default_value_t = AccelChoice::Auto)]
    pub(crate) accel: AccelChoice,
    /// The QEMU to use
    #[arg(long, value_name = "PATH", default_value = QEMU)]
    pub(crate) qemu: PathBuf,
}

/// The disk under test, and who serves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiskKind {
    /// virtio-blk, served by the device.
    #[default]
    Virtio,
    /// An NVMe controller, served by the device; a QEMU with vfio-user-pci is
    /// brought into the cache if yours has none.
    Nvme,
    /// QEMU's own NVMe controller, to compare with: nothing of it is scripted.
    QemuNvme,
}

impl DiskKind {
    /// As the command line and reports have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            DiskKind::Virtio => "virtio",
            DiskKind::Nvme => "nvme",
            DiskKind::QemuNvme => "qemu-nvme",
        }
    }

    /// Whether the guest has it through its NVMe driver.
    pub(crate) fn is_nvme(self) -> bool {
        self != DiskKind::Virtio
    }

    /// Where a guest that has no other disk finds it.
    pub(crate) fn guest_path(self) -> &'static str {
        match self.is_nvme() {
            true => "/dev/nvme0n1",
            false => "/dev/vda",
        }
    }
}

/// A choice of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SuiteChoice {
    /// Those that settle most in the least time.
    Core,
    /// All but the few that 'irqstorm list' says are run by name only.
    All,
}

impl SuiteChoice {
    /// As the command line has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            SuiteChoice::Core => "core",
            SuiteChoice::All => "all",
        }
    }
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

/// The QEMU that is taken if none is named.
pub(crate) const QEMU: &str = "qemu-system-x86_64";

/// The guest's memory in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory(pub(crate) u32);

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}M", self.0)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_needs_its_unit_and_its_range() {
        assert_eq!(parse_memory("512M"), Ok(Memory(512)));
        assert_eq!(parse_memory("2G"), Ok(Memory(2048)));
        for text in ["", "512", "M", "64M", "-1G", "9999999999G", "1T", "½G"] {
            assert!(parse_memory(text).is_err(), "{text} was taken");
        }
    }
}
