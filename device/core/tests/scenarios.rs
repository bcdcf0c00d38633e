// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The shipped scenarios and the language's reference page.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use irqstorm_core::event::What;
use irqstorm_core::pump::PumpConfig;
use irqstorm_core::request::{Operation, QueueId};
use irqstorm_core::scenario::{Scenario, explain};
use irqstorm_core::units::Nanos;
use irqstorm_testing::Bench;
use irqstorm_testing::bench::config;
use serde_json::json;

const QUEUES: u16 = 2;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The TOML files of a folder by their names, sorted.
fn files(folder: &str) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, path)
        })
        .collect();
    assert!(!files.is_empty(), "{folder} has none");
    files.sort();
    files
}

fn shipped() -> Vec<(String, Scenario)> {
    let load = |(name, path): (String, PathBuf)| {
        let scenario = Scenario::load(&path);
        (name, scenario.unwrap_or_else(|error| panic!("{error}")))
    };
    files("guest-tests/scenarios")
        .into_iter()
        .map(load)
        .collect()
}

fn named(name: &str) -> Scenario {
    let found = shipped().into_iter().find(|(other, _)| other == name);
    found.unwrap().1
}

fn bench(scenario: Scenario) -> Bench {
    let rest = config("", QUEUES).unwrap();
    Bench::with(PumpConfig { scenario, ..rest })
}

/// Has each queue make so many requests of several kinds, one each time.
fn work(bench: &mut Bench, requests: u64, each: Nanos) {
    let kinds = [Operation::Read, Operation::Write, Operation::Flush];
    for nth in 0..requests {
        let kind = kinds[usize::try_from(nth).unwrap() % kinds.len()];
        let sectors = u64::from(kind != Operation::Flush);
        for queue in 0..QUEUES {
            bench.submit_one(queue, kind, nth % 8, sectors);
        }
        let now = bench.now;
        bench.run_to(now + each);
    }
}

#[test]
fn every_shipped_scenario_is_described_and_explains_itself() {
    for (name, scenario) in shipped() {
        assert!(!scenario.description.is_empty(), "{name}");
        for phase in &scenario.phases {
            let rows = explain(&phase.script).unwrap_or_default();
            assert!(!rows.is_empty(), "{name}, {}", phase.name);
        }
    }
}

#[test]
fn every_shipped_scenario_comes_back_from_its_own_text() {
    for (name, scenario) in shipped() {
        let text = scenario.document().to_text();
        let again = Scenario::parse(&name, &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.phases, scenario.phases, "{name}");
        assert_eq!(again.repeat, scenario.repeat, "{name}");
    }
}

#[test]
fn every_part_is_a_scenario_of_its_own() {
    for (_, path) in files("guest-tests/scenarios/parts") {
        Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn only_a_hostile_scenario_says_so_and_says_it_first() {
    for (name, scenario) in shipped() {
        let told = scenario.description.starts_with("HOSTILE: ");
        assert_eq!(scenario.hostile, told, "{name}");
    }
}

#[test]
fn every_shipped_scenario_completes_what_it_does_not_hold_and_tells_the_driver() {
    for (name, scenario) in shipped() {
        let mut bench = bench(scenario);
        work(&mut bench, 4_000, Nanos::from_micros(50));
        let end = bench.now + Nanos::from_millis(10_000);
        bench.run_to(end);
        assert_eq!(bench.count("in_flight"), 0, "{name}");
        let whats = bench.events.whats();
        for queue in (0..QUEUES).map(QueueId) {
            let last = |of: &dyn Fn(&What) -> bool| whats.iter().rposition(of);
            let visible =
                last(&|what| matches!(what, What::Published { queue: of, .. } if *of == queue));
            let told = last(&|what| match what {
                What::Signalled { queue: of, .. } | What::Spurious { queue: of, .. } => {
                    *of == queue
                }
                What::Volley { .. } => true,
                _ => false,
            });
            assert!(visible.is_some() && told > visible, "{name}, {queue:?}");
        }
    }
}

#[test]
fn scenarios_do_what_they_are_named_for() {
    let alone = Nanos::from_millis(1_100);
    let together = Nanos::from_micros(20);
    for (name, each, counters) in [
        ("lost-interrupt", alone, ["dropped", "rescued"]),
        ("early-late", alone, ["early", "rescued"]),
        ("nvme-moderation", together, ["wanted", "signalled"]),
        ("shared-vector-noise", together, ["spurious", "signalled"]),
        ("hostile", together, ["lied", "signalled"]),
    ] {
        let mut bench = bench(named(name));
        work(&mut bench, 3_000, each);
        for counter in counters {
            assert!(bench.count(counter) > 0, "{name}: {counter}");
        }
        if name == "nvme-moderation" {
            let (signalled, completed) = (bench.count("signalled"), bench.count("completed"));
            assert!(signalled * 2 < completed, "{signalled} for {completed}");
        }
    }
}

#[test]
fn the_hotplug_scenario_holds_between_its_marks() {
    let mut bench = bench(named("hotplug-edge"));
    bench.ask(json!({"cmd": "mark", "name": "arm"}));
    bench.submit(0, 5);
    bench.run_until(100_000);
    assert_eq!((bench.count("held"), bench.drivers[0].signals()), (5, 0));
    bench.ask(json!({"cmd": "mark", "name": "edge"}));
    bench.ask(json!({"cmd": "release"}));
    bench.run_until(200_000);
    assert_eq!(bench.count("held"), 0);
    assert!(bench.count("spurious") > 0);
    bench.run_until(700_000);
    let status = bench.ask(json!({"cmd": "status"}));
    assert_eq!(status["phase"]["name"], "quiet");
}

#[test]
fn every_example_of_the_reference_page_is_a_scenario() {
    let page = root().join("guest-tests/scenarios/LANGUAGE.md");
    let text = std::fs::read_to_string(page).unwrap();
    let mut examples = 0;
    for block in text.split("```toml\n").skip(1) {
        let (example, _) = block.split_once("```").unwrap();
        Scenario::parse("LANGUAGE.md", example)
            .unwrap_or_else(|error| panic!("{error}\n{example}"));
        examples += 1;
    }
    assert!(examples > 0);
}

/// The values between backticks in one section of the reference page that are
/// written out and name no file.
fn forms<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let (_, section) = page.split_once(&format!("\n{heading}\n")).unwrap();
    let section = section.split("\n#").next().unwrap_or(section);
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let first_cells = rows.filter_map(|row| row.split('|').nth(1));
    let forms = first_cells.map(|cell| cell.trim().trim_matches('`'));
    let forms: Vec<&str> = forms
        .filter(|form| form.starts_with(['{', '"']))
        .filter(|form| !form.contains("...") && !form.contains("file ="))
        .collect();
    assert!(forms.len() > 1, "{heading}");
    forms
}

#[test]
fn every_form_of_the_reference_page_is_one() {
    let page = root().join("guest-tests/scenarios/LANGUAGE.md");
    let page = std::fs::read_to_string(page).unwrap();
    for (heading, key) in [
        ("### Latency", "latency"),
        ("### Interrupt", "interrupt"),
        ("### Faults", "fault"),
        ("## Order", "order"),
    ] {
        for form in forms(&page, heading) {
            let text = format!("hostile = true\n{key} = {form}\n[[storm]]\nrate = '1Hz'\n");
            Scenario::parse("LANGUAGE.md", &text).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

#[test]
fn the_readme_lists_every_shipped_scenario() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for (name, _) in shipped() {
        assert!(readme.contains(&format!("| `{name}` |")), "{name}");
    }
}
