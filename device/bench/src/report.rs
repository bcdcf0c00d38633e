// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The figures for people and for programs.

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::floor::Floor;
use crate::measure::Row;
use crate::subject::PEER;

/// Everything, for programs.
#[derive(Serialize)]
struct Document<'a> {
    peer: &'static str,
    floor: &'a Floor,
    rows: &'a [Row],
}

pub(crate) fn json(floor: &Floor, rows: &[Row]) -> anyhow::Result<()> {
    let document = Document {
        peer: PEER,
        floor,
        rows,
    };
    serde_json::to_writer_pretty(std::io::stdout(), &document).context("write the figures")?;
    println!();
    Ok(())
}

pub(crate) fn table(floor: &Floor, rows: &[Row]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "store", "waits", "4 KiB", "queues", "depth", "IOPS", "peer", "ratio", "p50 us", "peer",
        "ratio", "CPU us", "peer", "ratio",
    ]);
    for row in rows {
        let (device, peer) = (&row.device, &row.peer);
        table.add_row([
            row.store.to_owned(),
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
        ]);
    }
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if number >= 3 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!(
        "floor: {:.1} us for an eventfd there and back between two threads, \
         {:.0} eventfd writes a second",
        floor.round_trip / 1e3,
        floor.writes
    );
    println!("peer: {PEER}; ratios are device to peer, the middle one of the rounds\n");
    println!("{}", table.trim_fmt());
}
