// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tables for people.

use comfy_table::{CellAlignment, Table, presets};

/// An empty table with this header, drawn with as few lines as will do.
pub(crate) fn new(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// The table without spaces at the ends of its lines.
pub(crate) fn text(table: &Table) -> String {
    table.trim_fmt()
}

/// Numbers stand under each other in this column.
pub(crate) fn align_column_right(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// Numbers stand under each other: all columns from `first` on.
pub(crate) fn align_right(table: &mut Table, first: usize) {
    for column in table.column_iter_mut().skip(first) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
