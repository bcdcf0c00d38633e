// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm faults`.

use std::path::PathBuf;

use clap::Args;

use super::MachineArguments;
use crate::completion;
use crate::faults::Fault;
use crate::repository::DEFAULT_SCENARIO;

const FAULTS_HELP: &str = "\
Examples:
  irqstorm faults                               all of them, 50 times each
  irqstorm faults --fault guest-reset --fault disk-unplugged
  irqstorm faults --fault device-killed --times 200
  irqstorm faults --times 5 --json

A guest writes blocks and reads them back, without a pause, while the fault
happens again and again:
  device-killed   another device takes over what was in flight
  guest-paused    the guest stands still for a moment
  guest-reset     its machine is reset, and the guest boots again on the same
                  device and connections
  disk-unplugged  the disk is taken out of its slot and put back; bios that meet
                  no disk end with an error, which the table calls refused
  qemu-killed     the next guest has one queue, or one for each CPU, by turns

No bio may be lost, end twice, fail, or read otherwise than it was written, the
kernel may not complain (of an interrupt that is nobody's, say), and the device
may not keep files, threads or memory.

Exit codes:
  0    nothing of that happened
  1    something did; the table says what
  2    what was asked for cannot be: an argument, a name
  3    the lab could not do its work: a build failed, a guest did not boot
  130  interrupted; everything that was started has been ended";

/// `irqstorm faults`.
#[derive(Debug, Args)]
#[command(after_help = FAULTS_HELP)]
pub(crate) struct FaultsArguments {
    /// This fault only; may be given again [default: all]
    #[arg(long = "fault", value_enum, value_name = "FAULT")]
    pub(crate) faults: Vec<Fault>,
    /// How often each happens
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) times: u32,
    /// A kernel's name (see 'irqstorm list'), a tree of yours, or a bzImage
    #[arg(long, value_name = "NAME|PATH", default_value = "7.2+v4", add = completion::kernels())]
    pub(crate) kernel: String,
    /// The device's script meanwhile
    #[arg(long, value_name = "NAME|FILE", default_value = DEFAULT_SCENARIO,
          add = completion::scenarios())]
    pub(crate) scenario: String,
    /// The seed of every random choice [default: drawn]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The machine.
    #[command(flatten)]
    pub(crate) machine: MachineArguments,
    /// Where results folders are made
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) results: PathBuf,
    /// Print the table as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
