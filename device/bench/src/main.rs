// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How fast irqstorm-device serves a disk, next to its peer and to the least
//! that this machine needs.
//!
//! Every figure is taken with both sides running, by turns and in the same
//! run: what else the machine does meets both, and what is compared are
//! ratios. The client is one, whoever serves it.
//!
//! What this does not do: there is no guest. What one adds, `scripts/doorbells`
//! measures for NVMe.

mod control;
mod driver;
mod floor;
mod growth;
mod injection;
mod machine;
mod progress;
mod report;
mod requests;
mod storm;
mod subject;
mod syscalls;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};

use machine::Machine;
use report::Report;

const EXAMPLES: &str = "\
Examples:
  irqstorm-bench                              # everything, some six minutes
  irqstorm-bench --part storm,growth          # parts of it
  irqstorm-bench --part requests --store null --depth 1,128
  irqstorm-bench --part requests --store disk,direct --folder /mnt/nvme
  irqstorm-bench --json >bench.json";

/// Measures irqstorm-device against qemu-storage-daemon.
#[derive(Debug, Parser)]
#[command(name = "irqstorm-bench", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// The program to measure; the one built with this one, if not given
    #[arg(long, value_name = "PATH")]
    device: Option<PathBuf>,

    /// Parts: requests, injection, storm, growth, or all
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values = ["all"])]
    part: Vec<Part>,

    /// Measurements of each side in each cell, by turns: the middle one counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,

    /// How long each takes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    time: u64,

    /// Of requests: stores: null, memory, file (in /dev/shm), disk and direct (in
    /// --folder, through the page cache and past it)
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values = ["null", "memory", "file"])]
    store: Vec<subject::Store>,

    /// Of requests: what is done before more come: asleep, auto, polling
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values = ["asleep", "auto", "polling"])]
    waits: Vec<subject::Waits>,
    /// Of requests: where the file of disk and direct is; on what, is what is
    /// measured
    #[arg(long, value_name = "PATH", default_value = "/var/tmp")]
    folder: PathBuf,

    /// Of requests: how the device reads and writes a file: auto, uring or sync
    #[arg(long, value_name = "HOW")]
    file_io: Option<String>,

    /// Of requests: queues: 1 to 4
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = [1, 2, 4], value_parser = clap::value_parser!(u8).range(1..=4))]
    queues: Vec<u8>,

    /// Of requests: how many in flight in each queue: 1 to 128
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = [1, 32, 128], value_parser = clap::value_parser!(u8).range(1..=128))]
    depth: Vec<u8>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// All of it.
    All,
    /// Requests as fast as they go, next to the peer.
    Requests,
    /// How well a latency is kept, next to the peer.
    Injection,
    /// Interrupts as fast as they go, next to eventfd writes.
    Storm,
    /// What a completion costs as there is more of everything.
    Growth,
}

/// How to measure.
pub(crate) struct Plan {
    device: PathBuf,
    folder: PathBuf,
    file_io: Option<String>,
    rounds: u32,
    time: Duration,
    stop: Stop,
}

/// The middle one; the lower of two.
pub(crate) fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get((values.len().max(1) - 1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}

/// Whether a signal has asked for the end. It is looked at while anything runs,
/// so that the programs under measurement end with this one, and their files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    fn on_signals() -> anyhow::Result<Stop> {
        let stop = Stop::default();
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&stop.0))?;
        }
        Ok(stop)
    }

    /// Fails once it has.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.0.load(Ordering::Relaxed), "ended by a signal");
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let device = match cli.device.clone() {
        Some(path) => path,
        None => beside_this()?,
    };
    let plan = Plan {
        device,
        folder: cli.folder.clone(),
        file_io: cli.file_io.clone(),
        rounds: cli.rounds,
        time: Duration::from_millis(cli.time),
        stop: Stop::on_signals()?,
    };
    let report = measure(&cli, &plan)?;
    match cli.json {
        true => report.json(),
        false => {
            report.table();
            Ok(())
        }
    }
}

fn measure(cli: &Cli, plan: &Plan) -> anyhow::Result<Report> {
    let wanted = |part| cli.part.contains(&part) || cli.part.contains(&Part::All);
    let machine = Machine::here();
    let floor = floor::measure(plan.time)?;
    // Each part ends all if it fails: a signal may have asked for the end.
    let requests = wanted(Part::Requests).then(|| {
        let cells = requests::cells(&cli.store, &cli.waits, &cli.queues, &cli.depth);
        requests::run(plan, &cells)
    });
    let requests = requests.transpose()?;
    let injection = wanted(Part::Injection).then(|| injection::run(plan));
    let injection = injection.transpose()?;
    let storm = wanted(Part::Storm).then(|| storm::run(plan)).transpose()?;
    let growth = wanted(Part::Growth)
        .then(|| growth::run(plan))
        .transpose()?;
    Ok(Report {
        machine,
        floor,
        requests,
        injection,
        storm,
        growth,
    })
}

fn beside_this() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let device = this.with_file_name("irqstorm-device");
    device
        .exists()
        .then_some(device)
        .context("find irqstorm-device beside this program: build it, or say --device PATH")
}

#[cfg(test)]
mod tests {
    use super::middle;

    #[test]
    fn the_middle_is_the_middle() {
        assert_eq!(middle(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(middle(vec![4.0, 1.0]), 1.0);
        assert!(middle(Vec::new()).is_nan());
    }
}
