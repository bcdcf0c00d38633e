// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How fast irqstorm-device serves a disk, next to its peer and to the least
//! that this machine needs.
//!
//! Every figure is taken with both sides running, by turns and in the same
//! run: what else the machine does meets both, and what is compared are
//! ratios. The client is one, whoever serves it.
//!
//! What this does not do: there is no guest. What a guest adds is measured
//! there (`irqstorm run --test bench`).

mod driver;
mod floor;
mod measure;
mod report;
mod subject;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};

use measure::{Plan, cells};

const EXAMPLES: &str = "\
Examples:
  irqstorm-bench                              # every cell, some four minutes
  irqstorm-bench --store null --depth 1,128   # a part of them
  irqstorm-bench --json >bench.json";

/// Measures irqstorm-device against qemu-storage-daemon.
#[derive(Debug, Parser)]
#[command(name = "irqstorm-bench", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// The program to measure; the one built with this one, if not given
    #[arg(long, value_name = "PATH")]
    device: Option<PathBuf>,

    /// Measurements of each side in each cell, by turns: the middle one counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,

    /// How long each takes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    time: u64,

    /// Stores: null, memory, file
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values = ["null", "memory", "file"])]
    store: Vec<subject::Store>,

    /// Queues: 1 to 4
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = [1, 2, 4], value_parser = clap::value_parser!(u8).range(1..=4))]
    queues: Vec<u8>,

    /// Requests in flight in each queue: 1 to 128
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = [1, 32, 128], value_parser = clap::value_parser!(u8).range(1..=128))]
    depth: Vec<u8>,

    /// Print JSON
    #[arg(long)]
    json: bool,
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
    let device = match cli.device {
        Some(path) => path,
        None => beside_this()?,
    };
    let plan = Plan {
        device,
        rounds: cli.rounds,
        time: Duration::from_millis(cli.time),
        stop: Stop::on_signals()?,
    };
    let floor = floor::measure(plan.time)?;
    let cells = cells(&cli.store, &cli.queues, &cli.depth);
    let rows = measure::run(&plan, &cells)?;
    match cli.json {
        true => report::json(&floor, &rows),
        false => {
            report::table(&floor, &rows);
            Ok(())
        }
    }
}

fn beside_this() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let device = this.with_file_name("irqstorm-device");
    device
        .exists()
        .then_some(device)
        .context("find irqstorm-device beside this program: build it, or say --device PATH")
}
