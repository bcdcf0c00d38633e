// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Draws the tables: for a terminal, or as Markdown.

use super::grids::{Grid, grids};
use super::report::Report;
use crate::results::table;

/// For a terminal.
pub(crate) fn text(report: &Report) -> String {
    let tables: Vec<String> = grids(report).iter().map(text_of).collect();
    tables.join("\n\n")
}

fn text_of(grid: &Grid) -> String {
    let plain = |cell: &String| cell.replace(['`', '*'], "");
    let header: Vec<String> = grid.header.iter().map(plain).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut drawn = table::new(&header);
    for row in &grid.rows {
        drawn.add_row(row.iter().map(plain));
    }
    let notes: Vec<String> = grid.notes.iter().map(plain).collect();
    format!("{}\n\n{}", table::text(&drawn), notes.join("\n"))
}

/// As Markdown, one table after the other.
pub(crate) fn markdown(report: &Report) -> String {
    let tables: Vec<String> = grids(report).iter().map(markdown_of).collect();
    tables.join("\n")
}

/// The tables by their names, as Markdown.
pub(super) fn named_markdown(report: &Report) -> Vec<(&'static str, String)> {
    let grids = grids(report);
    let named = grids.iter().map(|grid| (grid.name, markdown_of(grid)));
    named.collect()
}

fn markdown_of(grid: &Grid) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| in_a_cell(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(&grid.header);
    text += &format!("|{}\n", "---|".repeat(grid.header.len()));
    for row in &grid.rows {
        text += &line(row);
    }
    // Its lines are one paragraph unless each ends with a break.
    let notes: Vec<String> = grid.notes.iter().map(|note| strong(note)).collect();
    text + "\n" + &notes.join("\\\n") + "\n"
}

/// A cell that stays one: neither columns nor lines.
fn in_a_cell(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(clean).collect();
    strong(&text.replace('|', "\\|"))
}

/// One star is enough for us, and too little for Markdown.
fn strong(text: &str) -> String {
    text.replace('*', "**")
}

#[cfg(test)]
mod tests {
    use super::super::report::samples::report;
    use super::*;

    #[test]
    fn a_terminal_gets_no_marks() {
        let text = text(&report());
        assert!(text.contains("7.2+v4~lifo"), "{text}");
        assert!(text.contains("fails [1]"), "{text}");
        assert!(!text.contains(['`', '*']), "{text}");
    }

    #[test]
    fn every_line_of_a_markdown_table_has_as_many_cells() {
        let mut report = report();
        report.mutants[0].breaks = "a | b\nc".into();
        let text = markdown(&report);
        let lines = text.lines().filter(|line| line.starts_with('|'));
        let counts: Vec<usize> = lines
            .map(|line| line.replace("\\|", "").matches('|').count())
            .collect();
        assert_eq!(counts, [6, 6, 6, 6, 6, 6, 6, 5, 5, 5, 5, 5]);
        assert!(text.contains("| a \\| b c |"), "{text}");
        assert!(text.contains("**no test yet**"), "{text}");
    }
}
