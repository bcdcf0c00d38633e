// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Results that are there, compared and reported from outside: no kernel is
//! built and nothing is run.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};

/// What a command printed; its exit code has to be this.
fn irqstorm(folder: &Path, code: i32, arguments: &[&str]) -> (String, String) {
    let output = Command::cargo_bin("irqstorm")
        .unwrap()
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    (stdout, stderr)
}

/// The results of a run that measured so many bios to a run of the worker.
fn write_run(folder: &Path, kernel: &str, bios_per_run: f64) {
    let figure = |name: &str, value: f64| json!({ "name": name, "value": value });
    let record = json!({
        "schema": 1, "irqstorm": "0.1.0", "started": "2026-01-02T03:04:05Z",
        "seconds": 9.0, "complete": true,
        "kernel": { "name": kernel, "key": kernel, "release": "7.2.12", "origin": "",
                    "has_flag": true },
        "qemu": "7.2", "accel": "tcg", "cpus": 2, "memory_mib": 512, "seed": 7,
        "scenario": "plain", "guest": null,
        "cases": [{
            "name": "storm-sweep", "claim": "", "verdict": "pass", "seconds": 1.0,
            "points": [{
                "setting": [figure("rate", 100.0)],
                "figures": [figure("bios per worker run", bios_per_run)],
            }],
        }],
    });
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("results.json"), record.to_string()).unwrap();
}

fn two_runs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_run(&folder.path().join("a"), "7.2+v4", 1.0);
    write_run(&folder.path().join("b"), "7.3", 30.0);
    folder
}

#[test]
fn two_results_are_compared_and_one_round_calls_no_effect() {
    let folder = two_runs();
    let (text, _) = irqstorm(folder.path(), 0, &["compare", "a", "b"]);
    assert!(text.starts_with("storm-sweep of 7.2+v4, 7.3\n"), "{text}");
    assert!(text.contains("7.3 cannot be told from 7.2+v4."), "{text}");
    assert!(text.contains("30.0?"), "{text}");
}

#[test]
fn a_report_has_the_same_figures_in_every_format() {
    let folder = two_runs();
    let (csv, _) = irqstorm(folder.path(), 0, &["report", "a", "b", "--format", "csv"]);
    assert!(
        csv.contains("\r\n100,bios per worker run,,7.3,1,30,,,30,,,unknown"),
        "{csv}"
    );
    let (text, _) = irqstorm(folder.path(), 0, &["report", "a", "b", "--format", "json"]);
    let study: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(study["rows"][0]["estimates"][1]["median"], 30.0);
    irqstorm(folder.path(), 0, &["report", "a", "b", "--write", "out"]);
    for name in ["report.txt", "report.html", "report.json", "report.csv"] {
        let written = fs::read_to_string(folder.path().join("out").join(name)).unwrap();
        assert!(written.contains("bios per worker run"), "{name}");
    }
}

#[test]
fn folders_without_results_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let (_, why) = irqstorm(folder.path(), 2, &["report", "empty"]);
    assert!(why.contains("use empty: it has neither"), "{why}");
    fs::write(folder.path().join("empty/results.json"), "{}").unwrap();
    let (_, why) = irqstorm(folder.path(), 2, &["report", "empty"]);
    assert!(
        why.contains("empty/results.json") && why.contains("missing field"),
        "{why}"
    );
}

#[test]
fn a_comparison_needs_kernels_or_folders_and_not_both() {
    let folder = two_runs();
    let (_, why) = irqstorm(folder.path(), 2, &["compare"]);
    assert!(why.contains("--kernel"), "{why}");
    irqstorm(folder.path(), 2, &["compare", "a", "--kernel", "7.3"]);
}

#[test]
fn a_campaign_that_cannot_be_leaves_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        ["campaign", "run", "--kernel", "nosuch", "--results", "r"],
        [
            "campaign",
            "run",
            "--kernel=7.3",
            "--scenario=nosuch",
            "--results",
            "r",
        ],
        [
            "campaign",
            "run",
            "--kernel=7.3",
            "--partition=4/3",
            "--results",
            "r",
        ],
    ] {
        irqstorm(folder.path(), 2, &arguments);
        assert!(!folder.path().join("r").exists(), "{arguments:?}");
    }
}

#[test]
fn a_campaign_is_shown_with_what_is_missing_and_merged() {
    let folder = tempfile::tempdir().unwrap();
    let plan = json!({
        "schema": 1, "kernels": ["7.3"], "scenarios": ["plain"], "seeds": [1, 2],
        "rounds": 1, "warm_up": 0, "tests": ["marks"], "cpus": 2, "memory_mib": 512,
    });
    for (part, seed) in [("a", 1), ("b", 2)] {
        let part = folder.path().join(part);
        write_run(&part.join("runs/x"), "7.3", 1.0);
        fs::write(part.join("campaign.json"), plan.to_string()).unwrap();
        let ledger = json!({ "schema": 1, "cells": [{
            "place": { "kernel": "7.3", "scenario": "plain", "seed": seed, "round": 0 },
            "ended": "passed", "seconds": 1.0, "run": "runs/x",
            "builds": { "kernel": "k", "guest": "g", "device": "d" },
        }] });
        fs::write(part.join("ledger.json"), ledger.to_string()).unwrap();
    }
    let missing = |shown: &str| serde_json::from_str::<Value>(shown).unwrap()["missing"].clone();
    let (shown, _) = irqstorm(folder.path(), 0, &["campaign", "show", "a", "--json"]);
    assert_eq!(missing(&shown)[0]["seed"], 2);
    let merge = ["campaign", "merge", "--into", "all", "a", "b", "--json"];
    let (shown, _) = irqstorm(folder.path(), 0, &merge);
    assert_eq!(missing(&shown), json!([]));
    let (text, _) = irqstorm(folder.path(), 0, &["report", "all"]);
    assert!(text.contains("storm-sweep of 7.3"), "{text}");
}
