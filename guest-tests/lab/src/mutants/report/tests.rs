// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Who is caught, and who is accused.

use super::super::cell::Ended;
use super::super::matrix::Matrix;
use super::samples::{both, judged, report, row};
use super::*;

fn mutant(report: &Report) -> BrokenVerdict {
    report.mutants[0].verdict
}

fn sound(report: &Report) -> WholeVerdict {
    report.sound[0].verdict
}

fn one(row: Row, cells: Vec<Cell>) -> Report {
    judged(&Matrix { rows: vec![row] }, cells)
}

#[test]
fn each_mutant_has_its_verdict() {
    let verdicts: Vec<BrokenVerdict> = report().mutants.iter().map(|m| m.verdict).collect();
    use BrokenVerdict::*;
    assert_eq!(verdicts, [Caught, Caught, Missed, Unsettled, NoTest]);
}

#[test]
fn sound_kernels_are_held_to_their_design() {
    let verdicts: Vec<WholeVerdict> = report().sound.iter().map(|w| w.verdict).collect();
    use WholeVerdict::*;
    assert_eq!(verdicts, [Holds, Broken, Holds, Holds, Skipped]);
}

#[test]
fn another_claims_test_catches_nothing() {
    let lifo = || row("7.2+v4~lifo", Some(8), &["fifo-per-cpu", "exactly-once"]);
    let mut cells = both("7.2+v4~lifo", "fifo-per-cpu", Ended::Passed);
    cells.extend(both("7.2+v4~lifo", "exactly-once", Ended::Failed));
    let report = one(lifo(), cells);
    assert_eq!(mutant(&report), BrokenVerdict::Missed);
    assert_eq!(report.mutants[0].others[0].test, "exactly-once");
}

#[test]
fn a_test_that_fails_on_the_sound_kernel_catches_nothing() {
    let name = "7.2+v4~x";
    let report = one(
        row(name, Some(16), &["foreign-work"]),
        both(name, "foreign-work", Ended::Failed),
    );
    assert_eq!(mutant(&report), BrokenVerdict::NoTest);
}

#[test]
fn what_was_skipped_or_not_run_caught_nothing() {
    let name = "7.2+v4~lifo";
    let with = |ended| {
        let cells = both(name, "fifo-per-cpu", ended);
        one(row(name, Some(8), &["fifo-per-cpu"]), cells)
    };
    assert_eq!(mutant(&with(Ended::Skipped)), BrokenVerdict::Missed);
    let not_built = with(Ended::NotRun);
    assert_eq!(mutant(&not_built), BrokenVerdict::Unsettled);
    assert_eq!(not_built.exit(), Exit::LabFailed);
}

#[test]
fn one_failure_of_two_accuses_a_sound_kernel() {
    let with = |kernel: &str, first, second| {
        let mut cells = both(kernel, "queue-calls", first);
        cells.truncate(1);
        cells.extend(both(kernel, "queue-calls", second).pop());
        one(row(kernel, None, &["queue-calls"]), cells)
    };
    let flaky = with("7.3", Ended::Passed, Ended::Failed);
    assert_eq!(sound(&flaky), WholeVerdict::Accused);
    assert_eq!(flaky.exit(), Exit::TestsFailed);
    let by_luck = with("7.2+v4", Ended::Failed, Ended::Passed);
    assert_eq!(sound(&by_luck), WholeVerdict::NotBroken);
    assert_eq!(by_luck.exit(), Exit::TestsFailed);
    let by_design = with("7.2+v4", Ended::Failed, Ended::Failed);
    assert_eq!(sound(&by_design), WholeVerdict::Broken);
    assert_eq!(by_design.exit(), Exit::Passed);
}

#[test]
fn a_kernel_that_complains_between_tests_is_accused() {
    let mut cells = both("7.3", "fifo-per-cpu", Ended::Passed);
    let quiet = one(row("7.3", None, &["fifo-per-cpu"]), cells.clone());
    assert_eq!((quiet.sound.len(), quiet.exit()), (1, Exit::Passed));
    cells.extend(both("7.3", QUIET, Ended::Failed).pop());
    let loud = one(row("7.3", None, &["fifo-per-cpu"]), cells);
    assert_eq!(loud.sound[1].verdict, WholeVerdict::Accused);
    assert_eq!(loud.exit(), Exit::TestsFailed);
}

#[test]
fn a_report_comes_back_from_its_json() {
    let report = report();
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}
