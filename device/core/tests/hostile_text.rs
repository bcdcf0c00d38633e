// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Texts that come from outside, damaged in any way: scenarios, commands,
//! recordings and events. Each is refused with a reason, or means something
//! that can be written down again and means the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use irqstorm_core::control::{self, Command};
use irqstorm_core::event::Event;
use irqstorm_core::pattern::{Recorded, Replay};
use irqstorm_core::scenario::Scenario;
use irqstorm_core::units::Nanos;
use irqstorm_testing::Bench;
use proptest::prelude::*;
use serde_json::json;

/// Every scenario that is shipped and needs no file beside it.
const SCENARIOS: [&str; 6] = [
    include_str!("../../../guest-tests/scenarios/default-storm.toml"),
    include_str!("../../../guest-tests/scenarios/hostile.toml"),
    include_str!("../../../guest-tests/scenarios/hotplug-edge.toml"),
    include_str!("../../../guest-tests/scenarios/raid-rebuild.toml"),
    include_str!("../../../guest-tests/scenarios/shuffle-and-storm.toml"),
    include_str!("../../../guest-tests/scenarios/sweep-latency.toml"),
];

const COMMANDS: [&str; 8] = [
    r#"{"id":1,"cmd":"status"}"#,
    r#"{"id":2,"cmd":"hold","queue":[0,1],"operation":"write","lba":"0..8"}"#,
    r#"{"id":3,"cmd":"release","count":2,"part":"interrupt","newest":true}"#,
    r#"{"id":4,"cmd":"fire","queue":0,"count":7}"#,
    r#"{"id":5,"cmd":"scenario","toml":"hold = true","name":"x"}"#,
    r#"{"id":6,"cmd":"set","knob":"latency.fixed","value":"80us"}"#,
    r#"{"id":7,"cmd":"wait","mark":"go","timeout":"5s"}"#,
    r#"{"id":8,"cmd":"subscribe","events":["completed","held"]}"#,
];

const DECISION: &str = r#"{"queue":1,"nth":7,"operation":"write","sector":8,"bytes":4096,"plan":{"latency":"80us","interrupt":"per-completion"}}"#;

const EVENT: &str =
    r#"{"at":12500,"event":"completed","request":7,"queue":1,"status":"ok","planned":12000}"#;

/// One change to a text.
#[derive(Clone, Debug)]
struct Damage {
    at: prop::sample::Index,
    cut: usize,
    put: String,
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let put = prop_oneof![
        Just(String::new()),
        Just("18446744073709551615".to_owned()),
        Just("-1".to_owned()),
        Just("1e308".to_owned()),
        Just("99999999999s".to_owned()),
        Just("\u{0}".to_owned()),
        Just("[[phase]]\n".to_owned()),
        Just("{ sweep = { from = 1, to = 0 } }".to_owned()),
        Just("[[[[[[[[".to_owned()),
        Just("\"".to_owned()),
        Just("null".to_owned()),
        "\\PC{0,8}",
        "[0-9]{1,20}",
    ];
    let one = (any::<prop::sample::Index>(), 0..12usize, put);
    let one = one.prop_map(|(at, cut, put)| Damage { at, cut, put });
    prop::collection::vec(one, 0..4)
}

fn damaged(text: &str, damage: &[Damage]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for Damage { at, cut, put } in damage {
        let from = at.index(letters.len() + 1);
        let to = (from + cut).min(letters.len());
        letters.splice(from..to, put.chars());
    }
    letters.into_iter().collect()
}

proptest! {
    /// What is accepted also runs, with every request ended once it is let go.
    #[test]
    fn a_damaged_scenario_is_refused_with_a_reason_or_runs(
        which in 0..SCENARIOS.len(),
        damage in damage(),
    ) {
        let text = damaged(SCENARIOS[which], &damage);
        let refused = match Scenario::parse("damaged", &text) {
            Err(error) => Some(error.to_string()),
            Ok(_) => None,
        };
        if let Some(reason) = refused {
            prop_assert!(!reason.trim().is_empty());
            return Ok(());
        }
        let mut bench = Bench::new(&text, 2).unwrap();
        bench.submit(0, 5);
        bench.submit(1, 5);
        bench.run_to(Nanos::from_millis(20));
        bench.ask(json!({"cmd": "scenario", "toml": ""}));
        bench.ask(json!({"cmd": "release"}));
        bench.run_to(bench.now + Nanos::from_millis(3_600_000));
        bench.ask(json!({"cmd": "release"}));
        prop_assert_eq!(bench.count("completed"), 10);
        prop_assert_eq!(bench.count("in_flight"), 0);
    }

    #[test]
    fn a_damaged_command_is_refused_with_a_reason_or_written_again(
        which in 0..COMMANDS.len(),
        damage in damage(),
    ) {
        let text = damaged(COMMANDS[which], &damage);
        match control::parse_line(&text) {
            Ok((id, command)) => {
                let again = control::format_line(id, &command).unwrap();
                prop_assert_eq!(control::parse_line(&again).unwrap(), (id, command));
            }
            Err((_, refusal)) => prop_assert!(!refusal.text.trim().is_empty()),
        }
    }

    /// Whatever command is accepted, the device answers it and goes on.
    #[test]
    fn a_device_survives_every_command_that_it_accepts(
        commands in prop::collection::vec((0..COMMANDS.len(), damage()), 1..6),
    ) {
        let mut bench = Bench::new("latency = { fixed = '50us' }", 2).unwrap();
        bench.submit(0, 4);
        for (which, damage) in commands {
            let parsed = control::parse_line(&damaged(COMMANDS[which], &damage));
            // Some are the control plane's own, and no pump sees them.
            if let Ok((_, command)) = parsed
                && !matches!(command, Command::Subscribe(_))
            {
                bench.command(command);
            }
            bench.run_to(bench.now + Nanos::from_micros(100));
        }
        bench.ask(json!({"cmd": "status"}));
    }

    #[test]
    fn a_damaged_recording_is_refused_with_a_reason_or_read(
        lines in prop::collection::vec(damage(), 1..5),
    ) {
        let text: Vec<String> = lines.iter().map(|d| damaged(DECISION, d)).collect();
        if let Err(error) = Replay::read(text.join("\n").as_bytes()) {
            prop_assert!(error.to_string().contains("line"));
        }
        for line in &text {
            if let Ok(recorded) = serde_json::from_str::<Recorded>(line) {
                let again = serde_json::to_string(&recorded).unwrap();
                prop_assert_eq!(serde_json::from_str::<Recorded>(&again).unwrap(), recorded);
            }
        }
    }

    #[test]
    fn a_damaged_event_is_refused_or_written_again(damage in damage()) {
        if let Ok(event) = serde_json::from_str::<Event>(&damaged(EVENT, &damage)) {
            let again = serde_json::to_string(&event).unwrap();
            prop_assert_eq!(serde_json::from_str::<Event>(&again).unwrap(), event);
        }
    }
}

#[test]
fn what_is_damaged_here_is_good_before() {
    for text in SCENARIOS {
        Scenario::parse("whole", text).unwrap();
    }
    for text in COMMANDS {
        control::parse_line(text).unwrap();
    }
    serde_json::from_str::<Recorded>(DECISION).unwrap();
    serde_json::from_str::<Event>(EVENT).unwrap();
}
