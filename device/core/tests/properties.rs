// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What holds for every scenario, every order of arrivals and every live change.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{HashMap, HashSet};

use irqstorm_core::counters::Counters;
use irqstorm_core::event::{Event, What};
use irqstorm_core::request::{Operation, QueueId, Request, RequestId, Sector, Status};
use irqstorm_core::steps::Steps;
use irqstorm_core::units::Nanos;
use irqstorm_testing::Bench;
use proptest::prelude::*;
use serde_json::json;

const QUEUES: u16 = 3;

/// Something that happens to a device.
#[derive(Clone, Debug)]
enum Step {
    Submit { queue: u16, count: u8 },
    Pass { micros: u64 },
    Wants { queue: u16, wants: bool },
    Command(serde_json::Value),
}

fn latency() -> impl Strategy<Value = String> {
    prop_oneof![
        (0u64..300).prop_map(|us| format!("latency = {{ fixed = '{us}us' }}")),
        (0u64..100, 0u64..300).prop_map(|(a, b)| format!(
            "latency = {{ uniform = {{ min = '{a}us', max = '{}us' }} }}",
            a + b
        )),
        (1u64..100).prop_map(|us| format!("latency = {{ exponential = {{ mean = '{us}us' }} }}")),
        (1u64..100).prop_map(|us| format!(
            "latency = {{ mixture = [{{ share = '90%', latency = {{ fixed = '{us}us' }} }}, {{ share = '10%', latency = {{ pareto = {{ min = '1us', shape = 1.1, max = '2ms' }} }} }}] }}"
        )),
        Just("latency = { trace = { values = ['200us', '0us', '30us'] } }".to_owned()),
    ]
}

/// Every way but `never`: those by which a driver is told in the end.
fn interrupt() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        Just("'when-wanted'".to_owned()),
        Just("'when-read'".to_owned()),
        Just("'per-completion'".to_owned()),
        (1u32..9, 1u64..200)
            .prop_map(|(n, us)| format!("{{ coalesced = {{ count = {n}, time = '{us}us' }} }}")),
        (1u64..200).prop_map(|us| format!("{{ coalesced = {{ time = '{us}us' }} }}")),
        (1u64..200, 1u64..200).prop_map(|(by, rescue)| format!(
            "{{ early = {{ by = '{by}us', rescue = '{rescue}us' }} }}"
        )),
        (1u64..200).prop_map(|us| format!("{{ late = {{ by = '{us}us' }} }}")),
        (1u64..200).prop_map(|us| format!("{{ dropped = {{ rescue = '{us}us' }} }}")),
        (1u32..5, 0u64..50)
            .prop_map(|(n, us)| format!("{{ duplicated = {{ count = {n}, gap = '{us}us' }} }}")),
    ];
    kind.prop_map(|kind| format!("interrupt = {kind}"))
}

fn order() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("order = 'due'".to_owned()),
        Just("order = 'fifo'".to_owned()),
        (2u32..6, 1u64..300).prop_map(|(n, us)| format!(
            "order = {{ lifo = {{ window = {n}, time = '{us}us' }} }}"
        )),
        (2u32..6, 1u64..300).prop_map(|(n, us)| format!(
            "order = {{ shuffle = {{ window = {n}, time = '{us}us' }} }}"
        )),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    let selector = prop_oneof![
        (0..QUEUES).prop_map(|queue| format!("queue = {queue}")),
        (0u64..40, 1u64..40).prop_map(|(from, len)| format!("lba = '{from}..{}'", from + len)),
        (1u64..5).prop_map(|every| format!("every = {every}")),
        (1u32..100).prop_map(|percent| format!("probability = '{percent}%'")),
        Just("operation = 'read'".to_owned()),
    ];
    let what = prop_oneof![
        latency(),
        interrupt(),
        Just("hold = true".to_owned()),
        Just("fault = 'io-error'".to_owned()),
        Just("fault = { lost = { back = '150us' } }".to_owned()),
    ];
    (selector, what).prop_map(|(selector, what)| format!("[[rule]]\n{selector}\n{what}\n"))
}

fn storm() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        (1u64..50, 1u32..5)
            .prop_map(|(khz, burst)| format!("[[storm]]\nrate = '{khz}kHz'\nburst = {burst}\n")),
        (1u64..20).prop_map(|khz| format!("[[storm]]\nrate = '{khz}kHz'\nvolley = true\n")),
    ]
}

fn phases() -> impl Strategy<Value = String> {
    let until = prop_oneof![
        (1u64..500).prop_map(|us| format!("{{ time = '{us}us' }}")),
        (1u64..9).prop_map(|n| format!("{{ requests = {n} }}")),
        Just("{ mark = 'go' }".to_owned()),
    ];
    let phase = (until, latency(), interrupt(), order()).prop_map(|(until, l, i, o)| {
        format!("[[phase]]\nuntil = {until}\nmark = 'begun'\n{l}\n{i}\n{o}\n")
    });
    prop::collection::vec(phase, 0..3).prop_map(|phases| phases.concat())
}

fn scenario_text() -> impl Strategy<Value = String> {
    let rules = prop::collection::vec(rule(), 0..3).prop_map(|rules| rules.concat());
    let base = (latency(), interrupt(), order(), any::<bool>());
    (base, rules, storm(), phases()).prop_map(|((l, i, o, hold), rules, storm, phases)| {
        format!("repeat = 'forever'\n{l}\n{i}\n{o}\nhold = {hold}\n{rules}{storm}{phases}")
    })
}

/// What may come while requests are under way, but another scenario.
fn live_command() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<bool>().prop_map(|on| json!({"cmd": "hold", "on": on})),
        (0..QUEUES).prop_map(|queue| json!({"cmd": "hold", "queue": queue})),
        (
            0u32..4,
            any::<bool>(),
            prop_oneof![Just("both"), Just("completion"), Just("interrupt")]
        )
            .prop_map(|(count, newest, part)| {
                json!({"cmd": "release", "count": count, "newest": newest, "part": part})
            }),
        (0..QUEUES).prop_map(|queue| json!({"cmd": "release", "queue": queue})),
        (0u64..40).prop_map(|lba| json!({"cmd": "release", "lba": format!("{lba}..")})),
        (1u32..5).prop_map(|count| json!({"cmd": "fire", "count": count})),
        Just(json!({"cmd": "volley"})),
        any::<bool>().prop_map(|on| json!({"cmd": "storm", "on": on})),
        Just(json!({"cmd": "mark", "name": "go"})),
        Just(json!({"cmd": "phase"})),
        (0u64..300).prop_map(
            |us| json!({"cmd": "set", "knob": "latency.fixed", "value": format!("{us}us")})
        ),
    ]
}

fn command() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        5 => live_command(),
        1 => scenario_text().prop_map(|toml| json!({"cmd": "scenario", "toml": toml})),
        1 => interrupt().prop_map(|text| {
            let value: toml::Table = toml::from_str(&text).unwrap();
            json!({"cmd": "set", "knob": "interrupt", "value": value["interrupt"]})
        }),
    ]
}

fn step_with(
    command: impl Strategy<Value = serde_json::Value> + 'static,
) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..QUEUES, 1u8..6).prop_map(|(queue, count)| Step::Submit { queue, count }),
        4 => (0u64..400).prop_map(|micros| Step::Pass { micros }),
        1 => (0..QUEUES, any::<bool>()).prop_map(|(queue, wants)| Step::Wants { queue, wants }),
        2 => command.prop_map(Step::Command),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    step_with(command())
}

/// Where the writes and the reads of one pair on a queue go.
fn place(queue: usize, tag: u64) -> Sector {
    Sector((queue as u64 * 1_000) + (tag - 1) / 2)
}

/// What is written there: never 0, which a sector has before.
fn content(queue: usize, tag: u64) -> u8 {
    let byte = (queue as u64 * 31 + (tag - 1) / 2) % 255;
    u8::try_from(byte).unwrap() + 1
}

struct Device {
    bench: Bench,
    submitted: Vec<u64>,
}

impl Device {
    fn new(scenario: &str) -> Device {
        Device {
            bench: Bench::new(scenario, QUEUES).unwrap(),
            submitted: vec![0; usize::from(QUEUES)],
        }
    }

    fn pass(&mut self, span: Nanos) {
        self.bench.run_to(self.bench.now + span);
    }

    fn command(&mut self, command: &serde_json::Value) {
        // Some are refused, as they are meant to be.
        let _ = self.bench.try_ask(command.clone());
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Submit { queue, count } => {
                let index = usize::from(*queue);
                for _ in 0..*count {
                    self.submitted[index] += 1;
                    let tag = self.submitted[index];
                    // Writes of what the sector then has, and reads of it.
                    let (operation, data) = match tag % 2 {
                        0 => (Operation::Read, 0),
                        _ => (Operation::Write, content(index, tag)),
                    };
                    let request = Request::transfer(operation, place(index, tag), 1);
                    self.bench.drivers[index].submit(request, vec![data; 512]);
                }
                self.bench.kick(*queue);
            }
            Step::Pass { micros } => self.pass(Nanos::from_micros(*micros)),
            Step::Wants { queue, wants } => {
                self.bench.drivers[usize::from(*queue)].wants_interrupts(*wants);
            }
            Step::Command(command) => self.command(command),
        }
    }

    /// Lets everything go that waits for anything, and has drivers told.
    fn settle(&mut self) {
        for driver in &self.bench.drivers {
            driver.wants_interrupts(true);
        }
        self.command(&json!({"cmd": "scenario", "toml": ""}));
        self.pass(Nanos::from_millis(1_000_000));
        self.command(&json!({"cmd": "release"}));
        // Completions whose interrupt was early, and rescues, are still to come.
        self.pass(Nanos::from_millis(1_000));
        self.command(&json!({"cmd": "release", "part": "interrupt"}));
    }
}

fn run(scenario: &str, steps: &[Step]) -> Device {
    let mut device = Device::new(scenario);
    for step in steps {
        device.take(step);
    }
    device.settle();
    device
}

fn decided(events: &[Event]) -> Vec<&Event> {
    let decision = |event: &&Event| matches!(event.what, What::Arrived { .. });
    events.iter().filter(decision).collect()
}

proptest! {
    #[test]
    fn every_request_is_completed_exactly_once(
        scenario in scenario_text(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let device = run(&scenario, &steps);
        for (driver, submitted) in device.bench.drivers.iter().zip(&device.submitted) {
            let mut tags = driver.used_tags();
            tags.sort_unstable();
            prop_assert_eq!(tags, (1..=*submitted).collect::<Vec<_>>());
            prop_assert_eq!(driver.unpublished(), 0);
        }
    }

    #[test]
    fn nothing_completes_before_it_is_due(
        scenario in scenario_text(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let device = run(&scenario, &steps);
        for event in device.bench.events.all() {
            let planned = match event.what {
                What::Completed { planned, .. }
                | What::Published { planned, .. }
                | What::Signalled { planned, .. }
                | What::Spurious { planned, .. } => planned,
                _ => continue,
            };
            prop_assert!(planned <= event.at);
        }
    }

    #[test]
    fn nothing_completes_before_its_data_is_on_the_store(
        scenario in scenario_text(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let device = run(&scenario, &steps);
        for (queue, driver) in device.bench.drivers.iter().enumerate() {
            let used = driver.used();
            let wrote: std::collections::BTreeSet<u64> = used
                .iter()
                .filter(|used| used.tag % 2 == 1 && used.outcome.status == Status::Ok)
                .map(|used| used.tag)
                .collect();
            for used in used.iter().filter(|used| used.tag % 2 == 0) {
                // A write that failed on purpose wrote nothing.
                let expected = match wrote.contains(&(used.tag - 1)) {
                    true => content(queue, used.tag),
                    false => 0,
                };
                if used.outcome.status == Status::Ok {
                    prop_assert!(used.data.iter().all(|&byte| byte == expected), "{}", used.tag);
                }
            }
        }
    }

    #[test]
    fn what_is_never_held_keeps_the_order_that_the_scenario_promises(
        fifo in any::<bool>(),
        latency in latency(),
        interrupt in interrupt(),
        rules in prop::collection::vec(rule(), 0..3),
        steps in prop::collection::vec(step_with(live_command()), 0..60),
    ) {
        let order = if fifo { "fifo" } else { "due" };
        let text = format!("order = '{order}'\n{latency}\n{interrupt}\n{}", rules.concat());
        let device = run(&text, &steps);
        let events = device.bench.events.all();
        let (mut dues, mut held) = (HashMap::new(), HashSet::new());
        for event in &events {
            match event.what {
                What::Arrived { request, due: Some(due), .. } => drop(dues.insert(request, due)),
                What::Arrived { request, .. } | What::Held { request, .. } => {
                    held.insert(request);
                }
                _ => {}
            }
        }
        let mut last: HashMap<QueueId, (Nanos, RequestId)> = HashMap::new();
        for event in &events {
            let What::Completed { request, queue, .. } = event.what else {
                continue;
            };
            if held.contains(&request) {
                continue;
            }
            let this = (dues[&request], request);
            if let Some(before) = last.insert(queue, this) {
                prop_assert!(before.0 <= this.0, "{before:?} {this:?}");
                prop_assert!(!fifo || before.1 < this.1, "{before:?} {this:?}");
            }
        }
    }

    #[test]
    fn whatever_changes_every_driver_is_told_of_every_completion(
        scenario in scenario_text(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let steps: Vec<Step> = steps
            .into_iter()
            .filter(|step| !matches!(step, Step::Wants { .. }))
            .collect();
        let mut device = run(&scenario, &steps);
        let mut untold: HashMap<QueueId, u32> = HashMap::new();
        for event in device.bench.events.all() {
            match event.what {
                What::Published { queue, count, .. } => *untold.entry(queue).or_default() += count,
                What::Signalled { queue, .. } | What::Spurious { queue, .. } => {
                    untold.remove(&queue);
                }
                What::Volley { .. } => untold.clear(),
                _ => {}
            }
        }
        prop_assert_eq!(untold, HashMap::new());
        let written: u64 = device.bench.drivers.iter().map(|driver| driver.signals()).sum();
        let status = device.bench.ask(json!({"cmd": "status"}));
        let total: Counters = serde_json::from_value(status["total"].clone()).unwrap();
        prop_assert_eq!(written, total.written());
    }

    #[test]
    fn the_steps_of_a_request_come_in_their_order(
        scenario in scenario_text(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let device = run(&scenario, &steps);
        let mut read = Steps::default();
        device.bench.events.all().iter().for_each(|event| read.take(event));
        let journeys = read.end();
        prop_assert_eq!(journeys.len() as u64, device.submitted.iter().sum::<u64>());
        for journey in journeys {
            let (written, published) = (journey.written.unwrap(), journey.published.unwrap());
            prop_assert!(journey.arrived <= written.at && written.at <= published.at);
            for step in [written, published] {
                prop_assert!(step.planned <= step.at);
            }
            if let Some(decided) = journey.decided {
                prop_assert!(published.at <= decided.at);
            }
        }
    }

    #[test]
    fn a_driver_that_wants_interrupts_gets_one_for_every_publication(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut device = Device::new("");
        for step in &steps {
            if !matches!(step, Step::Wants { .. } | Step::Command(_)) {
                device.take(step);
            }
        }
        device.settle();
        for driver in &device.bench.drivers {
            prop_assert_eq!(driver.signals(), driver.published());
        }
    }

    #[test]
    fn the_same_seed_and_arrivals_give_the_same_decisions(
        scenario in scenario_text(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let (first, second) = (run(&scenario, &steps), run(&scenario, &steps));
        let (first, second) = (first.bench.events.all(), second.bench.events.all());
        prop_assert_eq!(decided(&first), decided(&second));
        prop_assert_eq!(first, second);
    }
}
