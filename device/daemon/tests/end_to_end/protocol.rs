// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! PROTOCOL.md is true: each of its examples is sent to a device.

use irqstorm_core::control::{
    self, COMMANDS, Code, Greeting, MAX_FIRE, MAX_LINE, MAX_LIST, Pushed, Reply,
};
use irqstorm_core::event::What;
use serde_json::Value;

use crate::support::{Control, Daemon};

const PAGE: &str = include_str!("../../PROTOCOL.md");

/// What the examples are about: two queues, eight held requests.
const SCENARIO: &str = "
    seed = 7
    hold = true
    latency = { fixed = '10us' }
    [[storm]]
    name = 'noise'
    rate = '1kHz'
    active = false
    [[phase]]
    name = 'calm'
    until = { mark = 'go' }
    [[phase]]
    name = 'busy'";

/// The lines of the page's examples that begin so, without that.
fn lines(mark: &str) -> impl Iterator<Item = &'static str> {
    PAGE.lines().filter_map(move |line| line.strip_prefix(mark))
}

/// Commands and the answers that the page gives to them.
fn examples() -> Vec<(&'static str, Reply)> {
    let all: Vec<&str> = PAGE.lines().collect();
    let pairs = all.windows(2).filter_map(|pair| {
        let asked = pair[0].strip_prefix("> ")?;
        let told = pair[1].strip_prefix("< ").unwrap();
        Some((asked, serde_json::from_str(told).unwrap()))
    });
    pairs.collect()
}

/// The next line that answers something.
fn answer(control: &mut Control) -> Reply {
    loop {
        let line = control.line().unwrap();
        match serde_json::from_str(&line) {
            Ok(reply) => return reply,
            Err(_) => drop(serde_json::from_str::<Pushed>(&line).unwrap()),
        }
    }
}

/// Whether a real answer has all that the page shows of it, and, if the page
/// shows `all`, nothing else.
fn assert_alike(shown: &Value, real: &Value, all: bool, at: &str) {
    match (shown, real) {
        (Value::Object(shown), Value::Object(real)) => {
            for (key, shown) in shown {
                let real = real.get(key).unwrap_or_else(|| panic!("{at}: no {key}"));
                assert_alike(shown, real, all, &format!("{at}.{key}"));
            }
            let untold: Vec<&String> = real.keys().filter(|k| !shown.contains_key(*k)).collect();
            assert!(
                !all || untold.is_empty(),
                "{at}: {untold:?} not in the page"
            );
        }
        (Value::Array(shown), Value::Array(real)) => {
            for (shown, real) in shown.iter().zip(real) {
                assert_alike(shown, real, all, at);
            }
            assert_eq!(shown.is_empty(), real.is_empty(), "{at}");
        }
        (shown, real) => {
            let kind = std::mem::discriminant;
            assert_eq!(kind(shown), kind(real), "{at}: {shown} and {real}");
        }
    }
}

#[test]
fn every_example_is_a_command_and_every_command_has_one() {
    let commands: Vec<String> = lines("> ")
        .map(|line| {
            let (_, command) =
                control::parse_line(line).unwrap_or_else(|e| panic!("{line}: {e:?}"));
            serde_json::to_value(command).unwrap()["cmd"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    for command in COMMANDS {
        assert!(commands.iter().any(|found| found == command), "{command}");
        assert!(PAGE.contains(&format!("`{command}`")), "{command}");
    }
}

#[test]
fn every_line_of_the_devices_is_one_that_it_says() {
    let (mut greetings, mut pushed) = (0, 0);
    for line in lines("< ") {
        if let Ok(greeting) = serde_json::from_str::<Greeting>(line) {
            assert_eq!(greeting, Greeting::new());
            greetings += 1;
        } else if serde_json::from_str::<Reply>(line).is_err() {
            serde_json::from_str::<Pushed>(line).unwrap();
            pushed += 1;
        }
    }
    assert_eq!((greetings, pushed), (1, 2));
}

#[test]
fn the_device_answers_every_example_as_the_page_says() {
    let daemon = Daemon::follow(SCENARIO, &[]);
    let mut control = daemon.control();
    let mut driver = daemon.driver(2);
    for tag in 0..8 {
        match tag % 4 {
            0 | 1 => driver.write(tag / 4, tag, 0, &[1; 4096]),
            _ => driver.read(tag / 4, tag, 0, 512),
        }
    }
    driver.kick(0);
    driver.kick(1);
    control.held(8);
    for (asked, told) in examples() {
        control.send(&format!("{asked}\n"));
        let real = serde_json::to_value(answer(&mut control)).unwrap();
        let told = serde_json::to_value(&told).unwrap();
        // The page leaves out most of a status.
        let all = !asked.contains("status");
        assert_alike(&told, &real, all, asked);
        assert_eq!(told["id"], real["id"]);
        assert_eq!(told["error"]["code"], real["error"]["code"], "{asked}");
        let figures = ["released", "fired", "total", "count", "storms", "events"];
        for key in figures.into_iter().filter(|_| all) {
            assert_eq!(told["ok"].get(key), real["ok"].get(key), "{asked}");
        }
    }
    let status = serde_json::to_value(control.status()).unwrap();
    for key in status.as_object().unwrap().keys() {
        assert!(PAGE.contains(&format!("`{key}`")), "{key} of a status");
    }
}

#[test]
fn every_code_kind_of_event_and_limit_is_on_the_page() {
    use Code::{BadRequest, BadScenario, Busy, NotFound, Stopping, TimedOut};
    for code in [BadRequest, BadScenario, NotFound, TimedOut, Busy, Stopping] {
        let name = serde_json::to_value(code).unwrap();
        let row = format!("| `{}` |", name.as_str().unwrap());
        assert!(PAGE.contains(&row), "{row}");
    }
    for name in What::NAMES {
        assert!(PAGE.contains(&format!("`{name}`")), "{name}");
    }
    for limit in [MAX_LINE as u64, MAX_LIST.into(), MAX_FIRE.into()] {
        assert!(PAGE.contains(&limit.to_string()), "{limit}");
    }
}
