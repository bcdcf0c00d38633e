// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The figures for people and for programs.

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::floor::Floor;
use crate::injection::Late;
use crate::machine::Machine;
use crate::{growth, injection, requests, storm};

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) floor: Floor,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requests: Option<Vec<requests::Row>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) injection: Option<Vec<injection::Row>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storm: Option<Vec<storm::Row>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) growth: Option<Vec<growth::Row>>,
}

impl Report {
    pub(crate) fn json(&self) -> anyhow::Result<()> {
        serde_json::to_writer_pretty(std::io::stdout(), self).context("write the figures")?;
        println!();
        Ok(())
    }

    pub(crate) fn table(&self) {
        self.header();
        if let Some(rows) = &self.requests {
            requests_table(rows);
        }
        if let Some(rows) = &self.injection {
            injection_table(rows);
        }
        if let Some(rows) = &self.storm {
            storm_table(rows);
        }
        if let Some(rows) = &self.growth {
            growth_table(rows);
        }
    }

    fn header(&self) {
        let (machine, floor) = (&self.machine, &self.floor);
        println!(
            "{}: {} x {}, Linux {}; peer {}",
            machine.date, machine.cpus, machine.cpu, machine.kernel, machine.peer
        );
        println!(
            "floor: {:.1} us for an eventfd there and back between two threads, \
             {:.0} eventfd writes a second",
            floor.round_trip / 1e3,
            floor.writes
        );
        if machine.is_busy() {
            println!(
                "this machine was busy (load {:.1}) before it began: ratios say little, \
                 and other figures nothing",
                machine.load
            );
        }
    }
}

/// Prints a table, its first columns being words.
fn print<const N: usize>(title: &str, words: usize, header: [&str; N], rows: Vec<[String; N]>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if number >= words {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("\n{title}\n\n{}", table.trim_fmt());
}

/// A count that may not have been taken.
fn counted(count: Option<f64>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| format!("{count:.2}"))
}

/// How each side reads and writes the file, if there is one.
fn ways(row: &requests::Row) -> String {
    match (row.device_io, row.peer_io) {
        (Some(device), Some(peer)) => format!("{device}, {peer}"),
        _ => "-".to_owned(),
    }
}

fn requests_table(rows: &[requests::Row]) {
    let header = [
        "store", "file I/O", "waits", "4 KiB", "queues", "depth", "IOPS", "peer", "ratio",
        "p50 us", "peer", "ratio", "CPU us", "peer", "ratio", "syscalls", "peer", "waited", "peer",
    ];
    let lines = rows.iter().map(|row| {
        let (device, peer) = (&row.device, &row.peer);
        [
            row.store.to_owned(),
            ways(row),
            row.waits.to_owned(),
            row.operation.to_owned(),
            row.queues.to_string(),
            row.depth.to_string(),
            format!("{:.0}", device.iops),
            format!("{:.0}", peer.iops),
            format!("{:.2}", row.iops_ratio),
            format!("{:.1}", device.p50_us),
            format!("{:.1}", peer.p50_us),
            format!("{:.2}", row.p50_ratio),
            format!("{:.2}", device.cpu_us),
            format!("{:.2}", peer.cpu_us),
            format!("{:.2}", row.cpu_ratio),
            counted(row.device_calls),
            counted(row.peer_calls),
            format!("{:.2}", device.waited),
            format!("{:.2}", peer.waited),
        ]
    });
    print(
        "requests: ratios are device to peer, the middle one of the rounds; CPU and system calls \
         (- where this kernel lets nobody count them) are for each request; file I/O is the \
         device's, and the peer's on the same file",
        4,
        header,
        lines.collect(),
    );
}

fn injection_table(rows: &[injection::Row]) {
    let header = [
        "what",
        "in flight",
        "target us",
        "late us: p50",
        "p99",
        "p99.9",
        "peer p50",
        "p99",
        "p99.9",
        "ratio p50",
        "own p50",
        "p99",
        "p99.9",
        "to floor p50",
        "p99",
    ];
    let lines = rows.iter().map(|row| {
        let three = |late: &Late| {
            let some = [late.p50_us, late.p99_us, late.p999_us];
            some.map(|value| match late.count {
                // None came back in time.
                0 => "-".to_owned(),
                _ => format!("{value:.1}"),
            })
        };
        let [d50, d99, d999] = three(&row.device);
        let [p50, p99, p999] = three(&row.peer);
        let [o50, o99, o999] = three(&row.own);
        [
            row.what.to_owned(),
            row.in_flight.to_string(),
            format!("{:.0}", row.target_us),
            d50,
            d99,
            d999,
            p50,
            p99,
            p999,
            counted(row.ratio()),
            o50,
            o99,
            o999,
            format!("{:.2}", row.over_floor[0]),
            format!("{:.2}", row.over_floor[1]),
        ]
    });
    print(
        "injection: after the latency that was asked for, as the client sees it, the kick's \
         wake-up included; own: from planned to actual, and that to a bare timer's wake-up after as \
         long a sleep (and an eventfd write)",
        1,
        header,
        lines.collect(),
    );
}

fn storm_table(rows: &[storm::Row]) {
    let header = [
        "burst",
        "interrupts/s",
        "eventfd writes/s",
        "ratio",
        "syscalls",
    ];
    let lines = rows.iter().map(|row| {
        [
            row.burst.to_string(),
            format!("{:.0}", row.rate),
            format!("{:.0}", row.floor),
            format!("{:.2}", row.ratio),
            counted(row.calls),
        ]
    });
    print(
        "storm: at the highest rate, next to a loop that writes an eventfd, a second of processor \
         time of each; system calls are for each interrupt",
        0,
        header,
        lines.collect(),
    );
}

fn growth_table(rows: &[growth::Row]) {
    let header = ["growth of", "to", "ns", "ratio"];
    let lines = rows.iter().map(|row| {
        [
            row.what.to_owned(),
            row.of.clone(),
            format!("{:.0}", row.nanos),
            format!("{:.2}", row.ratio),
        ]
    });
    print(
        "growth: what the pump alone takes for a request, arrival and completion, to the first of \
         its kind",
        1,
        header,
        lines.collect(),
    );
}
