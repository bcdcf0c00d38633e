// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The command line from outside: bad input ends at once with one clear
//! message and the documented exit code, and leaves nothing behind.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use assert_cmd::Command;

/// What a command that came to its end said.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs irqstorm in a folder of its own, with a cache of its own.
fn irqstorm(folder: &Path, arguments: &[&str]) -> Ended {
    let output = Command::cargo_bin("irqstorm")
        .unwrap()
        .args(arguments)
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("XDG_RUNTIME_DIR", folder)
        .env_remove("IRQSTORM_CONTROL")
        .env_remove("IRQSTORM_ROOT")
        .output()
        .unwrap();
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A program that says it is a QEMU of this version.
fn fake_qemu(folder: &Path, says: &str) -> String {
    let path = folder.join("qemu");
    fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// Refused with this code in one message that has these words, and with no
/// results, no cache and no sockets made.
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let ended = irqstorm(folder.path(), arguments);
    assert_eq!(ended.code, code, "{arguments:?}: {}", ended.stderr);
    for word in words {
        assert!(
            ended.stderr.contains(word),
            "no '{word}' in: {}",
            ended.stderr
        );
    }
    assert_eq!(ended.stdout, "", "{arguments:?}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{arguments:?} left {left:?}");
}

#[test]
fn unknown_names_are_answered_with_what_there_is() {
    refused(&["run", "--kernel", "9.9"], 2, &["'9.9'", "7.2+v4", "7.3"]);
    refused(
        &["run", "--test", "nosuch"],
        2,
        &["'nosuch'", "task-context"],
    );
    refused(
        &["run", "--scenario", "nosuch"],
        2,
        &["'nosuch'", "default-storm"],
    );
    refused(&["kernel", "path", "9.9"], 2, &["'9.9'", "7.2+v4"]);
}

#[test]
fn values_that_cannot_be_are_refused_with_what_can() {
    refused(&["run", "--cpus", "0"], 2, &["--cpus", "1..=64"]);
    refused(&["run", "--memory", "512"], 2, &["--memory", "512M"]);
    refused(&["run", "--accel", "hvf"], 2, &["auto", "kvm", "tcg"]);
    refused(&["run", "--seed=-1"], 2, &["--seed", "-1"]);
    let missing = ["run", "--replay", "/nonexistent/decisions.ndjson"];
    refused(&missing, 2, &["decisions.ndjson", "results folder"]);
    refused(&["frobnicate"], 2, &["frobnicate"]);
    let expected = [
        "run",
        "--test",
        "task-context",
        "--expect-fail",
        "exactly-once",
    ];
    refused(&expected, 2, &["exactly-once", "--test"]);
}

#[test]
fn what_is_excluded_or_known_to_fail_has_to_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("known.txt");
    let name = list.display().to_string();
    fs::write(&list, "# comment\ntask-context 7.3 # why\nnosuch # why\n").unwrap();
    let known = ["run", "--known-failures", &name];
    refused(&known, 2, &["known.txt:3", "'nosuch'", "exactly-once"]);
    let missing = ["run", "--known-failures", "/nonexistent.txt"];
    refused(&missing, 2, &["/nonexistent.txt", "known failures"]);
    refused(&["run", "--strict-known"], 2, &["--known-failures"]);
    refused(
        &["run", "--exclude", "nosuch"],
        2,
        &["--exclude", "'nosuch'"],
    );
    let none = ["run", "--test", "chains", "--exclude", "ch*"];
    refused(&none, 2, &["--exclude", "no test is left"]);
}

#[test]
fn repetitions_and_shrinking_have_limits_that_can_be() {
    refused(&["run", "--repeat", "0"], 2, &["--repeat", "0"]);
    refused(&["run", "--for", "90"], 2, &["--for", "unit", "8h"]);
    refused(
        &["run", "--repeat", "2", "--keep"],
        2,
        &["--repeat", "--keep"],
    );
    refused(&["run", "--until-failure", "--json"], 2, &["--json"]);
    refused(&["run", "--repeat", "2", "--shrink"], 2, &["--shrink"]);
    refused(&["run", "--shrink-tries", "3"], 2, &["--shrink"]);
}

#[test]
fn a_scenarios_wrong_key_and_value_are_named_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.toml");
    let name = file.display().to_string();
    for (text, words) in [
        ("latencies = 3\n", ["my.toml", "latencies", "latency"]),
        (
            "[[storm]]\nrate = '1kHz'\nburst = 0\n",
            ["my.toml", "storm[0].burst", "1 to"],
        ),
        ("latency = { fixed = 80 }\n", ["my.toml", "unit", "latency"]),
    ] {
        fs::write(&file, text).unwrap();
        refused(&["run", "--scenario", &name], 2, &words);
    }
}

#[test]
fn patches_that_are_none_are_refused_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v4.mbox");
    let name = file.display().to_string();
    let names = "--- a/block/bio.c\n+++ b/block/bio.c\n";
    let hunk = "@@ -1 +1 @@\n-one\n+two\n";
    let mail = |n| format!("From x\nSubject: [PATCH {n}/3] x\n\n{names}{hunk}\n");
    for (text, words) in [
        (
            format!("{names}@@ -1,2 +1,2 @@\n-one\n"),
            ["v4.mbox", "line 4", "cut short"],
        ),
        (
            names.replace("block", "..") + hunk,
            ["v4.mbox", "a/../bio.c", "lead out"],
        ),
        (mail(1) + &mail(3), ["v4.mbox", "2/3", "missing"]),
        ("> ".to_owned() + names, ["v4.mbox", "answer", "quote"]),
    ] {
        fs::write(&file, text).unwrap();
        refused(&["run", "--kernel", "7.2", "--patch", &name], 2, &words);
    }
    refused(
        &["run", "--patch", "nosuch.diff"],
        2,
        &["nosuch.diff", "No such file"],
    );
    refused(
        &["run", "--patch", "-", "--patch", "-"],
        2,
        &["stdin", "once"],
    );
}

#[test]
fn a_kernel_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bzImage");
    fs::write(&file, "text").unwrap();
    refused(
        &["run", "--kernel", &file.display().to_string()],
        2,
        &["bzImage"],
    );
    let missing = folder.path().join("missing/bzImage");
    refused(
        &["run", "--kernel", &missing.display().to_string()],
        2,
        &["missing/bzImage"],
    );
    refused(
        &["run", "--kernel", &folder.path().display().to_string()],
        2,
        &["Makefile"],
    );
}

#[test]
fn a_qemu_that_is_missing_too_old_or_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    refused(
        &["run", "--qemu", "/nonexistent/qemu"],
        3,
        &["/nonexistent/qemu", "irqstorm setup"],
    );
    let old = fake_qemu(folder.path(), "QEMU emulator version 6.2.0");
    refused(&["run", "--qemu", &old], 3, &["6.2", "7.2", "--qemu"]);
    refused(
        &["run", "--qemu", "/bin/true"],
        3,
        &["/bin/true", "no QEMU"],
    );
}

#[test]
fn a_foreign_checkout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::cargo_bin("irqstorm")
        .unwrap()
        .arg("list")
        .env("IRQSTORM_ROOT", folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("IRQSTORM_ROOT"));
}

#[test]
fn what_exec_cannot_do_is_refused_with_what_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let qemu = fake_qemu(folder.path(), "QEMU emulator version 9.0.0");
    for (options, words) in [
        (["--kernel", "9.9"], ["'9.9'", "7.2+v4"]),
        (["--scenario", "nosuch"], ["'nosuch'", "plain"]),
        (
            ["--write-to", "nosuch"],
            ["--write-to nosuch", "make the folder"],
        ),
        (
            ["--disk-file", "nosuch"],
            ["--disk-file nosuch", "truncate"],
        ),
        (
            ["--env", "IRQSTORM_NO_SUCH"],
            ["IRQSTORM_NO_SUCH", "NAME=VALUE"],
        ),
        (
            ["--qemu", qemu.as_str()],
            ["virtio-9p-pci", "--enable-virtfs"],
        ),
    ] {
        let arguments = [&["exec"][..], &options, &["--", "true"]].concat();
        refused(&arguments, 125, &words);
    }
    refused(&["exec"], 2, &["CMD"]);
    refused(&["exec", "--disk-size", "1X", "true"], 2, &["512M"]);
    refused(&["exec", "--shell", "true"], 2, &["--shell"]);
}

#[test]
fn ctl_without_a_device_says_what_to_start() {
    refused(&["ctl", "status"], 2, &["irqstorm run", "--socket"]);
    let words = ["/nonexistent.sock", "irqstorm run", "--control"];
    refused(
        &["ctl", "--socket", "/nonexistent.sock", "status"],
        3,
        &words,
    );
    refused(&["ctl", "fire", "queu=0"], 2, &["queu", "queue", "count"]);
    refused(&["ctl", "watch", "nosuch"], 2, &["'nosuch'", "completed"]);
    refused(&["ctl", "set", "hold"], 2, &["'hold'", "KNOB=VALUE"]);
    refused(&["ctl", "storm", "maybe"], 2, &["start", "stop"]);
    refused(&["top"], 2, &["no terminal", "irqstorm ctl status"]);
}

#[test]
fn list_names_everything_in_json_too() {
    let folder = tempfile::tempdir().unwrap();
    let ended = irqstorm(folder.path(), &["list", "--json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let lists: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    for (list, name) in [
        ("kernels", "7.2+v4"),
        ("kernels", "7.2+v4~never-defers"),
        ("tests", "task-context"),
        ("scenarios", "default-storm"),
    ] {
        let entries = lists[list].as_array().unwrap();
        assert!(
            entries.iter().any(|entry| entry["name"] == name),
            "{list} {name}"
        );
    }
}

#[test]
fn mutants_that_are_none_are_answered_with_what_there_is() {
    refused(
        &["mutants", "--mutant", "nosuch"],
        2,
        &["--mutant nosuch", "7.2+v4~never-defers"],
    );
    refused(&["mutants", "--mutant", "a[b"], 2, &["--mutant a[b"]);
    refused(&["mutants", "--claim", "99"], 2, &["--claim 99"]);
    refused(&["mutants", "--kernel", "7.2"], 2, &["'7.2'", "7.2+v4"]);
    refused(&["mutants", "--share", "3/2"], 2, &["3/2", "1/6"]);
    refused(&["mutants", "--seeds", "0"], 2, &["1,2,3"]);
}

#[test]
fn mutants_that_were_not_run_are_shown_as_such_and_are_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let shown = irqstorm(
        folder.path(),
        &[
            "mutants",
            "--no-run",
            "--mutant",
            "lifo",
            "--results",
            "none",
        ],
    );
    assert_eq!(shown.code, 3, "{}", shown.stderr);
    assert!(
        shown.stdout.contains("not run: 7.2+v4~lifo"),
        "{}",
        shown.stdout
    );
    assert!(!folder.path().join("none").exists());
}

#[test]
fn help_has_examples_and_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["run", "--help"][..],
        &["exec", "--help"],
        &["mutants", "--help"],
        &["--help"],
    ] {
        let ended = irqstorm(folder.path(), arguments);
        assert_eq!(ended.code, 0);
        for words in ["Examples:\n  irqstorm", "Exit codes:\n"] {
            assert!(ended.stdout.contains(words), "{arguments:?} has no {words}");
        }
    }
}

#[test]
fn colours_stay_away_from_what_is_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let ended = irqstorm(folder.path(), &["list"]);
    assert!(!ended.stdout.contains('\u{1b}'), "{}", ended.stdout);
}

#[test]
fn every_ctl_command_has_an_example() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        "status", "hold", "unhold", "list", "release", "fire", "volley", "fail", "storm",
        "scenario", "set", "get", "phase", "mark", "wait", "watch", "metrics",
    ] {
        let ended = irqstorm(folder.path(), &["ctl", command, "--help"]);
        let example = format!("\n  irqstorm ctl {command}");
        assert!(ended.stdout.contains(&example), "{}", ended.stdout);
    }
}

#[test]
fn a_scenario_is_checked_without_a_device() {
    let folder = tempfile::tempdir().unwrap();
    let ended = irqstorm(
        folder.path(),
        &["device", "check", "default-storm", "--json"],
    );
    let found: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, &found["name"]), (0, &"default-storm".into()));
    assert_eq!(found["phases"][0]["base"]["interrupt"], "per-completion");

    let file = folder.path().join("my.toml");
    let name = file.display().to_string();
    fs::write(&file, "[[rule]]\nprobability = '1'\n").unwrap();
    refused(
        &["device", "check", &name],
        2,
        &["my.toml", "probability", "5%"],
    );
    refused(
        &["device", "check", "nosuch"],
        2,
        &["nosuch", "default-storm"],
    );
}

#[test]
fn recordings_that_differ_are_told_by_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let line = |latency: &str| {
        format!(
            r#"{{"queue":0,"nth":0,"operation":"read","sector":8,"bytes":512,"plan":{{"latency":"{latency}","interrupt":"when-wanted"}}}}"#
        )
    };
    for (name, latency) in [("a", "1us"), ("b", "2us")] {
        fs::write(folder.path().join(name), line(latency) + "\n").unwrap();
    }
    let same = irqstorm(folder.path(), &["device", "diff", "a", "a"]);
    assert_eq!(same.code, 0, "{}", same.stdout);
    let other = irqstorm(folder.path(), &["device", "diff", "a", "b", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&other.stdout).unwrap();
    assert_eq!((other.code, &found["different"]), (1, &1.into()));
    assert_eq!(
        found["first_difference"]["second"]["plan"]["latency"],
        "2us"
    );
    refused(&["device", "diff", "/dev/null", "nosuch"], 2, &["nosuch"]);
}

/// What the completer offers for the last of these words, as a shell asks.
fn offered(folder: &Path, shell: &str, words: &[&str]) -> Vec<String> {
    let output = Command::cargo_bin("irqstorm")
        .unwrap()
        .arg("--")
        .args(words)
        .env("IRQSTORM_COMPLETE", shell)
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_IFS", "\n")
        .env("XDG_RUNTIME_DIR", folder)
        .env_remove("IRQSTORM_CONTROL")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_completer_knows_commands_names_keys_and_values() {
    let folder = tempfile::tempdir().unwrap();
    let offers = |words: &[&str], offer: &str| {
        let found = offered(folder.path(), "bash", words);
        assert!(
            found.iter().any(|word| word == offer),
            "{words:?}: {found:?}"
        );
    };
    offers(&["irqstorm", "ct"], "ctl");
    offers(&["irqstorm", "ctl", "un"], "unhold");
    offers(&["irqstorm", "run", "--te"], "--test");
    offers(&["irqstorm", "run", "--test", "task"], "task-context");
    offers(
        &["irqstorm", "run", "--kernel", "7.2+v4~n"],
        "7.2+v4~never-defers",
    );
    offers(&["irqstorm", "run", "--scenario", "def"], "default-storm");
    offers(&["irqstorm", "run", "--exclude", "vol"], "volley");
    offers(&["irqstorm", "run", "--until"], "--until-failure");
    offers(&["irqstorm", "ex"], "exec");
    offers(
        &["irqstorm", "exec", "--scenario", "sh"],
        "shuffle-and-storm",
    );
    offers(&["irqstorm", "exec", "--complaints", "r"], "report");
    offers(&["irqstorm", "ctl", "watch", "mark"], "marked");
    offers(&["irqstorm", "ctl", "release", "mi"], "min_age=");
    // Bash has the word in three parts and wants the last.
    offers(
        &["irqstorm", "ctl", "release", "part", "=", "comp"],
        "completion",
    );
    offers(
        &["irqstorm", "ctl", "hold", "operation", "=", "read,fl"],
        "read,flush",
    );
    let whole = offered(
        folder.path(),
        "fish",
        &["irqstorm", "ctl", "release", "part=comp"],
    );
    assert_eq!(whole, ["part=completion"]);
}

#[test]
fn every_shell_gets_a_script_that_asks_irqstorm() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = irqstorm(folder.path(), &["completions", shell]);
        assert_eq!(ended.code, 0, "{shell}: {}", ended.stderr);
        assert!(ended.stdout.contains("IRQSTORM_COMPLETE"), "{shell}");
    }
}
