// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A ledger and its matrix: a mutant of each verdict, and two sound kernels.

use irqstorm_agent::catalogue::find;
use irqstorm_images::Mutant;

use super::super::cell::Ended;
use super::super::matrix::{Matrix, Row};
use super::super::verdicts::samples::cell;
use super::*;

/// The seeds of all samples.
pub(crate) const SEEDS: [u64; 2] = [1, 2];

/// A row of the matrix.
pub(crate) fn row(kernel: &str, claim: Option<u32>, tests: &[&str]) -> Row {
    Row {
        kernel: kernel.into(),
        mutant: claim.map(|claim| Mutant {
            claim,
            breaks: format!("what claim {claim} says"),
            configs: Vec::new(),
        }),
        tests: tests.iter().map(|name| find(name).unwrap()).collect(),
    }
}

/// The same verdict with both seeds.
pub(crate) fn both(kernel: &str, test: &str, ended: Ended) -> Vec<Cell> {
    SEEDS
        .iter()
        .map(|&seed| {
            let mut cell = cell(kernel, test, seed, ended);
            if ended == Ended::Failed {
                cell.ways = vec![Way::Check];
                cell.reasons = vec!["2 bios | ended twice".into()];
            }
            cell
        })
        .collect()
}

/// All of it.
pub(crate) fn report() -> Report {
    let matrix = Matrix {
        rows: vec![
            row("7.2+v4~lifo", Some(8), &["fifo-per-cpu"]),
            row(
                "7.3~queue-per-bio",
                Some(18),
                &["switch-count", "queue-calls"],
            ),
            row("7.2+v4~end-twice", Some(9), &["exactly-once"]),
            row("7.2+v4~status-reset", Some(23), &["exact-status"]),
            row("7.3~no-mem-reclaim", Some(17), &[]),
            row("7.2+v4", None, &["fifo-per-cpu", "queue-calls"]),
            row("7.3", None, &["fifo-per-cpu", "queue-calls"]),
            row("7.3:rt", None, &["preempt-rt"]),
        ],
    };
    let mut cells = both("7.2+v4~lifo", "fifo-per-cpu", Ended::Failed);
    cells.extend(both("7.3~queue-per-bio", "switch-count", Ended::Passed));
    cells.extend(both("7.3~queue-per-bio", "queue-calls", Ended::Failed));
    cells.extend(both("7.2+v4~end-twice", "exactly-once", Ended::Failed));
    cells.retain(|cell| !cell.is("7.2+v4~end-twice", "exactly-once", 2));
    cells.push(cell("7.2+v4~end-twice", "exactly-once", 2, Ended::Passed));
    cells.extend(both("7.2+v4~status-reset", "exact-status", Ended::NotRun));
    for kernel in ["7.2+v4", "7.3"] {
        cells.extend(both(kernel, "fifo-per-cpu", Ended::Passed));
    }
    cells.extend(both("7.2+v4", "queue-calls", Ended::Failed));
    cells.extend(both("7.3", "queue-calls", Ended::Passed));
    cells.extend(both("7.3:rt", "preempt-rt", Ended::Skipped));
    judged(&matrix, cells)
}

/// A report of these cells.
pub(crate) fn judged(matrix: &Matrix, cells: Vec<Cell>) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Verdicts::open(folder.path()).unwrap();
    for cell in cells {
        ledger.add(cell).unwrap();
    }
    Report::of(&ledger, matrix, &SEEDS)
}
