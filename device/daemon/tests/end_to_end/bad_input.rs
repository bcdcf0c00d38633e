// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What cannot be done is refused at once, in one line that says what to do,
//! and nothing is overwritten.

use std::fs;

use crate::support::{Daemon, Scratch, is_gone, program, run};

/// Runs into an error of the user's, and returns the line about it.
fn refused(scratch: &Scratch, args: &[&str]) -> String {
    let output = scratch.run(args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
    assert!(output.stdout.is_empty());
    error
}

fn assert_names(error: &str, words: &[&str]) {
    let line = error.trim_end();
    assert!(line.starts_with("irqstorm-device: failed to "), "{error}");
    for word in words {
        assert!(line.contains(word), "no '{word}' in: {error}");
    }
}

#[test]
fn disks_that_cannot_be_are_refused_by_name() {
    let scratch = Scratch::new();
    let odd = scratch.write("odd", [0; 1000]);
    let odd = odd.to_str().unwrap();
    assert_names(
        &refused(&scratch, &["--blk-file", odd]),
        &[odd, "1000", "truncate -s"],
    );
    assert_eq!(fs::metadata(odd).unwrap().len(), 1000);
    let empty = scratch.write("empty", "");
    let empty = empty.to_str().unwrap();
    assert_names(
        &refused(&scratch, &["--blk-file", empty]),
        &[empty, "truncate -s"],
    );
    assert_names(
        &refused(&scratch, &["--blk-file", "/nowhere/disk"]),
        &["/nowhere/disk"],
    );
    assert_names(
        &refused(&scratch, &["--blk-file", "/dev/null"]),
        &["/dev/null"],
    );
    assert_names(&refused(&scratch, &["--ram", "1000"]), &["1000", "1024"]);
    assert_names(&refused(&scratch, &[]), &["--ram", "--blk-file", "--null"]);
    assert_names(
        &refused(&scratch, &["--ram", "1M", "--queue-size", "100"]),
        &["100"],
    );
    let nvme = ["--transport", "vfio-user", "--ram", "1M"];
    for (more, words) in [
        (["--num-queues", "65"], ["65", "1 to 64"]),
        (["--queue-size", "8192"], ["8192", "4096"]),
        (["--withhold", "discard"], ["--withhold", "vhost-user"]),
    ] {
        let args = [nvme.as_slice(), more.as_slice()].concat();
        assert_names(&refused(&scratch, &args), &words);
    }
    assert!(is_gone(&scratch.socket()) && is_gone(&scratch.control()));
}

#[test]
fn arguments_that_cannot_be_are_refused_by_name() {
    let scratch = Scratch::new();
    for (args, word) in [
        (["--ram", "0"].as_slice(), "--ram"),
        (&["--ram", "1M", "--null", "1M"], "--null"),
        (&["--ram", "1M", "--num-queues", "0"], "--num-queues"),
        (&["--ram", "1M", "--num-queues", "257"], "--num-queues"),
        (&["--ram", "1M", "--block-size", "513"], "--block-size"),
        (&["--ram", "1M", "--direct"], "--direct"),
        (&["--ram", "1M", "--seed", "x"], "--seed"),
        (
            &["--ram", "1M", "--serial", "longer than twenty letters"],
            "--serial",
        ),
        (&["--ram", "1M", "--fd", "5"], "--fd"),
        (&["--ram", "1M", "--spin", "50"], "--spin"),
        (&["--ram", "1M", "--spin", "1s"], "--spin"),
        (&["--ram", "1M", "--json"], "--json"),
    ] {
        let error = refused(&scratch, args);
        assert!(error.contains(word), "{args:?}: {error}");
    }
}

#[test]
fn scenarios_that_cannot_be_are_refused_by_file_key_and_what_is_allowed() {
    let scratch = Scratch::new();
    for (text, words) in [
        ("latncy = 3", ["latncy", "latency"]),
        ("latency = { fixed = 80 }", ["latency", "unit"]),
        (
            "[[storm]]\nrate = '1kHz'\nburst = 0",
            ["storm[0].burst", "1 to"],
        ),
    ] {
        let file = scratch.write("wrong.toml", text);
        let file = file.to_str().unwrap();
        let error = refused(&scratch, &["--ram", "1M", "--scenario", file]);
        assert_names(&error, &["wrong.toml", words[0], words[1]]);
        let output = run(program().args(["--check-scenario", file]));
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), error);
    }
    let missing = ["--ram", "1M", "--scenario", "/nowhere/s.toml"];
    assert_names(&refused(&scratch, &missing), &["/nowhere/s.toml"]);
    assert!(is_gone(&scratch.socket()));
}

#[test]
fn a_scenario_that_can_be_used_is_laid_out_without_a_device() {
    let scratch = Scratch::new();
    let text = "description = 'a quiet disk'\n[[rule]]\nname = 'slow'\noperation = 'flush'";
    let file = scratch.write("fine.toml", text);
    let said = |args: &[&str]| {
        let output = run(program().arg("--check-scenario").arg(&file).args(args));
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = said(&[]);
    assert!(
        text.contains("a quiet disk") && text.contains("slow"),
        "{text}"
    );
    let value: serde_json::Value = serde_json::from_str(&said(&["--json"])).unwrap();
    assert_eq!(value["description"], "a quiet disk");
    let rows = value["phases"][0]["rows"].as_array().unwrap();
    let taken = |row: &serde_json::Value| row["taken_by"] == serde_json::json!(["slow"]);
    let slow: Vec<_> = rows.iter().filter(|row| taken(row)).collect();
    assert_eq!(slow.len(), 1);
    assert_eq!(slow[0]["operations"], serde_json::json!(["flush"]));
}

#[test]
fn a_socket_in_use_is_not_taken_over() {
    let daemon = Daemon::start(&[]);
    let scratch = Scratch::new();
    let socket = daemon.scratch.socket();
    let socket = socket.to_str().unwrap();
    let output = run(program().args(["--ram", "1M", "--socket-path", socket]));
    assert_eq!(output.status.code(), Some(2));
    assert_names(
        &String::from_utf8(output.stderr).unwrap(),
        &[socket, "another process"],
    );
    // The same for the control socket; the other one is cleared away again.
    let (own, theirs) = (scratch.socket(), daemon.scratch.control());
    let output = run(program()
        .args(["--ram", "1M", "--socket-path"])
        .arg(&own)
        .arg("--control")
        .arg(&theirs));
    assert_eq!(output.status.code(), Some(2));
    assert!(is_gone(&own));
    daemon.control().status();
    daemon.driver(1).write_now(0, 0, 0, &[1; 512]);
}

#[test]
fn a_file_in_the_way_is_left_alone() {
    let scratch = Scratch::new();
    let precious = scratch.write("precious", "my thesis");
    let precious = precious.to_str().unwrap();
    let output = run(program().args(["--ram", "1M", "--socket-path", precious]));
    assert_eq!(output.status.code(), Some(2));
    assert_names(
        &String::from_utf8(output.stderr).unwrap(),
        &[precious, "no socket"],
    );
    let error = refused(&scratch, &["--ram", "1M", "--events", precious]);
    assert_names(&error, &[precious, "left alone"]);
    assert_eq!(fs::read(precious).unwrap(), b"my thesis");
    let error = refused(&scratch, &["--ram", "1M", "--events", "/nowhere/events"]);
    assert_names(&error, &["/nowhere/events"]);
    assert!(is_gone(&scratch.socket()) && is_gone(&scratch.control()));
}

#[test]
fn recordings_that_cannot_be_replayed_are_refused_by_file_and_line() {
    let scratch = Scratch::new();
    let missing = ["--ram", "1M", "--replay", "/nowhere/run"];
    assert_names(&refused(&scratch, &missing), &["/nowhere/run"]);
    let good = r#"{"queue":0,"nth":0,"operation":"read","sector":0,"bytes":512,"plan":{}}"#;
    for (second, words) in [
        (r#"{"at":1}"#, ["line 2", "--record"]),
        (r#"{"lost":12}"#, ["line 2", "12 decisions are missing"]),
    ] {
        let file = scratch.write("run", format!("{good}\n{second}\n"));
        let file = file.to_str().unwrap();
        let error = refused(&scratch, &["--ram", "1M", "--replay", file]);
        assert_names(&error, &[file, words[0], words[1]]);
    }
    assert!(is_gone(&scratch.socket()) && is_gone(&scratch.control()));
}

#[test]
fn a_file_has_one_use() {
    let scratch = Scratch::new();
    let file = scratch.write("run", "");
    let file = file.to_str().unwrap();
    for args in [
        ["--events", file, "--record", file],
        ["--replay", file, "--record", file],
    ] {
        let error = refused(&scratch, &[&["--ram", "1M"], &args[..]].concat());
        assert_names(&error, &[file, "in use"]);
    }
    let events = scratch.write("events", "{\"at\":1,\"event\":\"x\"}\n");
    let events = events.to_str().unwrap();
    let error = refused(&scratch, &["--ram", "1M", "--record", events]);
    assert_names(&error, &[events, "left alone"]);
}

#[test]
fn an_fd_that_is_no_socket_is_refused() {
    let output = run(program().args(["--ram", "1M", "--fd", "77"]));
    assert_eq!(output.status.code(), Some(2));
    assert_names(&String::from_utf8(output.stderr).unwrap(), &["fd 77"]);
}

#[test]
fn the_capabilities_are_those_that_management_looks_for() {
    let output = run(program().arg("--print-capabilities"));
    assert!(output.status.success());
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let wanted = serde_json::json!({"type": "block", "features": ["read-only", "blk-file"]});
    assert_eq!(found, wanted);
    let told = include_str!("../../50-irqstorm-device.json");
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    assert_eq!(told["type"], found["type"]);
    assert!(
        told["binary"]
            .as_str()
            .unwrap()
            .ends_with("/irqstorm-device")
    );
}

#[test]
fn help_version_and_completions_are_printed() {
    for (args, word) in [
        (["--help"].as_slice(), "Exit codes:"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["--completions", "bash"], "--socket-path"),
    ] {
        let output = run(program().args(args));
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(word), "{args:?}: {text}");
    }
}
