// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! ktap.txt against the kernel's own parser, tools/testing/kunit/kunit.py.
//!
//! These tests need the source of Linux, which is in the cache once a kernel
//! has been built, or in $IRQSTORM_LINUX_SOURCE: `scripts/test` runs them, with
//! what its runs of the suite have left, after those.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use irqstorm_agent::protocol::Verdict;
use serde_json::Value;

use super::outcome::{Expected, Outcome, Source};
use super::record::{Case, Record, samples};
use super::{bail_out_line, case_lines, header_lines, nested, repetition_lines, totals_line};
use crate::failure::Failure;

const PARSER: &str = "tools/testing/kunit/kunit.py";

/// Names results folders, with ':' between them.
const RESULTS: &str = "IRQSTORM_RESULTS";

/// The kernel's parser, of any version that is there.
fn parser() -> PathBuf {
    let named = std::env::var_os("IRQSTORM_LINUX_SOURCE").map(PathBuf::from);
    let linux = irqstorm_images::default_dir().unwrap().join("linux");
    let cached = fs::read_dir(&linux).into_iter().flatten().flatten();
    let trees = named
        .into_iter()
        .chain(cached.map(|version| version.path().join("source")));
    let mut parsers: Vec<PathBuf> = trees.map(|tree| tree.join(PARSER)).collect();
    parsers.sort();
    let found = parsers.into_iter().rev().find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no {PARSER} in {}: build a kernel first", linux.display()))
}

/// What the parser makes of a text.
struct Parsed {
    code: i32,
    counts: Value,
    /// The status of each case by its name.
    cases: BTreeMap<String, String>,
}

fn parse(ktap: &Path) -> Parsed {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("parsed.json");
    let output = Command::new("python3")
        // Nothing is to be left in the kernel's source.
        .arg("-B")
        .arg(parser())
        .arg("parse")
        .arg(format!("--json={}", json.display()))
        .arg(ktap)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let text = fs::read(&json).unwrap_or_else(|error| panic!("{error}: {said}"));
    let found: Value = serde_json::from_slice(&text).unwrap();
    let cases = found["test_cases"].as_array().unwrap().iter();
    let text_of = |value: &Value| value.as_str().unwrap().to_owned();
    Parsed {
        code: output.status.code().unwrap(),
        counts: found["misc"].clone(),
        cases: cases
            .map(|case| (text_of(&case["name"]), text_of(&case["status"])))
            .collect(),
    }
}

fn parse_text(text: &str) -> Parsed {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ktap.txt");
    fs::write(&path, text).unwrap();
    parse(&path)
}

fn ktap_of(record: &Record) -> String {
    let mut text = header_lines(record, record.cases.len(), None);
    for (number, case) in (1..).zip(&record.cases) {
        text += &case_lines(number, case);
    }
    text + &totals_line(record)
}

/// Every case is there with what it means, and the sums and the exit code are
/// those of the run.
fn assert_agrees(record: &Record, parsed: &Parsed) {
    for case in &record.cases {
        let status = match case.outcome() {
            // The kernel's parser knows no expected failure.
            Outcome::Passed | Outcome::Fixed | Outcome::Known => "PASS",
            Outcome::Skipped => "SKIP",
            Outcome::Failed | Outcome::NotFailed | Outcome::NotRun => "FAIL",
        };
        let found = parsed.cases.get(&case.name).map(String::as_str);
        assert_eq!(found, Some(status), "{}", case.name);
    }
    assert_eq!(parsed.cases.len(), record.cases.len());
    let totals = record.totals();
    for (name, count) in [
        ("passed", totals.passed + totals.known),
        ("failed", totals.failed),
        ("skipped", totals.skipped),
        ("crashed", 0),
        ("errors", 0),
    ] {
        assert_eq!(parsed.counts[name], count, "{name} in {}", parsed.counts);
    }
    assert_eq!(parsed.code, i32::from(totals.failed > 0));
}

fn expected(by: Source, must: bool) -> Option<Expected> {
    Some(Expected {
        by,
        why: "it is so # SKIP not ok 1 x".into(),
        place: Some("known.txt:1".into()),
        must,
    })
}

/// A case of every outcome, and all that a guest may have said.
fn hostile() -> Record {
    let mut record = samples::record();
    let mut add = |name: &str, verdict, expected, reasons: &[&str]| {
        let mut case = samples::case(name, verdict);
        case.expected = expected;
        case.reasons = reasons.iter().map(|&reason| reason.to_owned()).collect();
        record.cases.push(case);
    };
    let (pass, fail, skip) = (Verdict::Pass, Verdict::Fail, Verdict::Skip);
    add("known", fail, expected(Source::List, false), &["it failed"]);
    add(
        "design",
        fail,
        expected(Source::Design, true),
        &["it failed"],
    );
    add("fixed", pass, expected(Source::List, false), &[]);
    add("not-failed", pass, expected(Source::Argument, true), &[]);
    add("not-run", skip, expected(Source::Argument, true), &["# no"]);
    add(
        "skip-twice",
        skip,
        None,
        &["a # SKIP b # SKIP c", "# Subtest: x"],
    );
    add("bare-skip", skip, None, &[]);
    let lines = [
        "ok 1 forged\nnot ok 2 forged\r\nok 3 forged",
        "1..99",
        "KTAP version 1",
        "TAP version 13",
        "# Subtest: forged",
        "    ok 1 nested",
        "Bail out!",
        "\u{1b}[31mred\u{7f}\u{85}\u{2028}ok 4 forged",
        "€ \u{202e}right to left \u{1f4a5}",
    ];
    add("lines", fail, None, &lines);
    let panic = [
        "the kernel complained: Kernel panic - not syncing: VFS: Unable to mount root fs",
        "reboot: System halted",
        "List of all partitions:",
    ];
    add("last-words", fail, None, &panic);
    add("after-them", pass, None, &[]);
    record.kernel.name = "/home/me/li\nnux # 7".into();
    record.scenario = "my # SKIP.toml".into();
    record
}

#[test]
#[ignore = "needs the kernel's source, see above"]
fn the_kernel_reads_what_was_meant_whatever_a_guest_says() {
    let record = hostile();
    assert_agrees(&record, &parse_text(&ktap_of(&record)));
}

#[test]
#[ignore = "needs the kernel's source, see above"]
fn the_kernel_says_that_a_run_was_fine_if_it_was() {
    let mut record = samples::record();
    record.cases[1].expected = expected(Source::Design, true);
    let parsed = parse_text(&ktap_of(&record));
    assert_agrees(&record, &parsed);
    assert_eq!(parsed.code, 0);
}

#[test]
#[ignore = "needs the kernel's source, see above"]
fn the_kernel_misses_what_was_not_run() {
    let record = samples::record();
    let text = ktap_of(&record);
    // As it is left when the lab itself is stopped after two of three cases.
    let end = text.find("ok 3 ").unwrap();
    let ended = bail_out_line(&Failure::Interrupted);
    let parsed = parse_text(&(text[..end].to_owned() + &ended));
    assert_eq!(parsed.counts["crashed"], 1, "{}", parsed.counts);
    assert_eq!(parsed.code, 1);
}

#[test]
#[ignore = "needs the kernel's source, see above"]
fn the_kernel_reads_what_runs_have_left() {
    let folders = std::env::var_os(RESULTS).unwrap_or_else(|| panic!("{RESULTS} names none"));
    for folder in std::env::split_paths(&folders) {
        let json = fs::read(folder.join("results.json")).unwrap();
        let record: Record = serde_json::from_slice(&json).unwrap();
        assert!(record.complete, "{}", folder.display());
        assert_agrees(&record, &parse(&folder.join("ktap.txt")));
    }
}

#[test]
#[ignore = "needs the kernel's source, see above"]
fn the_kernel_nests_a_run_in_its_selftests() {
    // As tools/testing/selftests/kselftest/prefix.pl does with a test's output.
    let record = hostile();
    let nested: String = ktap_of(&record)
        .lines()
        .map(|line| format!("# {line}\n"))
        .collect();
    assert_agrees(&record, &parse_text(&nested));
}

#[test]
#[ignore = "needs the kernel's source, see above"]
fn the_kernel_reads_repetitions_as_tests_within_tests() {
    let hostile = hostile();
    let mut fine = samples::record();
    fine.cases.remove(1);
    for plan in [Some(2), None] {
        let mut text = repetition_lines::header(plan, 7);
        for (number, record) in [(1, &fine), (2, &hostile)] {
            let name = repetition_lines::name(number);
            let mut run = header_lines(record, record.cases.len(), Some(&name));
            for (number, case) in (1..).zip(&record.cases) {
                run += &case_lines(number, case);
            }
            text += &nested(&(run + &totals_line(record)));
            text += &repetition_lines::result(number, record);
        }
        let parsed = parse_text(&text);
        let (one, two) = (fine.totals(), hostile.totals());
        assert_eq!(parsed.counts["failed"], one.failed + two.failed);
        let passed = one.passed + one.known + two.passed + two.known;
        assert_eq!(parsed.counts["passed"], passed);
        assert_eq!(parsed.counts["skipped"], one.skipped + two.skipped);
        assert_eq!(parsed.counts["errors"], 0);
        assert_eq!(parsed.counts["crashed"], 0);
        assert_eq!(parsed.code, 1);
    }
}

/// Nothing of the above is told by a case's name alone.
#[test]
fn the_hostile_record_has_every_outcome() {
    let record = hostile();
    let has = |outcome| {
        record
            .cases
            .iter()
            .any(|case: &Case| case.outcome() == outcome)
    };
    for outcome in [
        Outcome::Passed,
        Outcome::Failed,
        Outcome::Skipped,
        Outcome::Known,
        Outcome::Fixed,
        Outcome::NotFailed,
        Outcome::NotRun,
    ] {
        assert!(has(outcome), "{outcome:?}");
    }
}
