// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What holds for every scenario, every order of arrivals and every live change.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use irqstorm_core::event::{Event, What};
use irqstorm_core::inbox::Message;
use irqstorm_core::pump::{Pump, PumpConfig};
use irqstorm_core::request::{Operation, QueueId, Request, Sector};
use irqstorm_core::scenario::Scenario;
use irqstorm_core::store::RamStore;
use irqstorm_core::units::Nanos;
use irqstorm_testing::store::odd_geometry;
use irqstorm_testing::{FakeDriver, FakeQueue, Recorder, driver};
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

fn scenario_text() -> impl Strategy<Value = String> {
    let latency = prop_oneof![
        (0u64..300).prop_map(|us| format!("latency = {{ fixed = '{us}us' }}")),
        (0u64..100, 0u64..300).prop_map(|(a, b)| format!(
            "latency = {{ uniform = {{ min = '{a}us', max = '{}us' }} }}",
            a + b
        )),
        (1u64..100).prop_map(|us| format!("latency = {{ exponential = {{ mean = '{us}us' }} }}")),
    ];
    let interrupt = prop_oneof![
        Just("interrupt = 'when-wanted'".to_owned()),
        Just("interrupt = 'per-completion'".to_owned()),
        (1u32..9, 1u64..200).prop_map(|(n, us)| {
            format!("interrupt = {{ coalesced = {{ count = {n}, time = '{us}us' }} }}")
        }),
    ];
    let storm = prop_oneof![
        Just(String::new()),
        (1u64..50, 1u32..5)
            .prop_map(|(khz, burst)| { format!("[[storm]]\nrate = '{khz}kHz'\nburst = {burst}") }),
    ];
    (latency, interrupt, any::<bool>(), storm)
        .prop_map(|(l, i, hold, s)| format!("{l}\n{i}\nhold = {hold}\n{s}"))
}

fn command() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<bool>().prop_map(|on| json!({"cmd": "hold", "on": on})),
        (
            0u32..4,
            prop_oneof![Just("both"), Just("completion"), Just("interrupt")]
        )
            .prop_map(|(count, part)| json!({"cmd": "release", "count": count, "part": part})),
        (0..QUEUES).prop_map(|queue| json!({"cmd": "release", "queue": queue})),
        (1u32..5).prop_map(|count| json!({"cmd": "fire", "count": count})),
        scenario_text().prop_map(|toml| json!({"cmd": "scenario", "toml": toml})),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..QUEUES, 1u8..6).prop_map(|(queue, count)| Step::Submit { queue, count }),
        3 => (0u64..400).prop_map(|micros| Step::Pass { micros }),
        1 => (0..QUEUES, any::<bool>()).prop_map(|(queue, wants)| Step::Wants { queue, wants }),
        1 => command().prop_map(Step::Command),
    ]
}

struct Device {
    pump: Pump<FakeQueue>,
    drivers: Vec<FakeDriver>,
    events: Recorder,
    now: Nanos,
    submitted: Vec<u64>,
}

impl Device {
    fn new(scenario: &str) -> Device {
        let events = Recorder::default();
        let config = PumpConfig {
            store: Box::new(RamStore::new(odd_geometry())),
            scenario: Scenario::parse("random", scenario).unwrap(),
            scenario_name: "random".into(),
            seed: 42,
            queues: QUEUES,
        };
        let mut pump = Pump::new(config, Box::new(events.clone()), Nanos::ZERO);
        let mut drivers = Vec::new();
        for queue in 0..QUEUES {
            let (driver, requests) = driver::connect();
            let queue = QueueId(queue);
            pump.handle(
                Message::Attach {
                    queue,
                    requests,
                    kick: None,
                },
                Nanos::ZERO,
            );
            drivers.push(driver);
        }
        let submitted = vec![0; usize::from(QUEUES)];
        Device {
            pump,
            drivers,
            events,
            now: Nanos::ZERO,
            submitted,
        }
    }

    fn pass(&mut self, span: Nanos) {
        let end = self.now + span;
        while let Some(deadline) = self.pump.next_deadline().filter(|&at| at <= end) {
            self.now = self.now.max(deadline);
            self.pump.tick(self.now);
        }
        self.now = end;
    }

    fn command(&mut self, command: &serde_json::Value) {
        let command = serde_json::from_value(command.clone()).unwrap();
        let respond = Box::new(|_| ());
        self.pump
            .handle(Message::Command { command, respond }, self.now);
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Submit { queue, count } => {
                let index = usize::from(*queue);
                for _ in 0..*count {
                    self.submitted[index] += 1;
                    let sector = Sector(self.submitted[index]);
                    let request = Request::transfer(Operation::Write, sector, 1);
                    self.drivers[index].submit(request, vec![3; 512]);
                }
                self.pump.kick(QueueId(*queue), self.now);
            }
            Step::Pass { micros } => self.pass(Nanos::from_micros(*micros)),
            Step::Wants { queue, wants } => {
                self.drivers[usize::from(*queue)].wants_interrupts(*wants);
            }
            Step::Command(command) => self.command(command),
        }
    }

    /// Lets everything go that waits for anything.
    fn settle(&mut self) {
        self.command(&json!({"cmd": "scenario", "toml": ""}));
        self.pass(Nanos::from_millis(1_000_000));
        self.command(&json!({"cmd": "release"}));
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
        for (driver, submitted) in device.drivers.iter().zip(&device.submitted) {
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
        for event in device.events.all() {
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
    fn one_latency_for_all_keeps_the_order_of_arrival(
        micros in 0u64..200,
        steps in prop::collection::vec(
            prop_oneof![
                (0..QUEUES, 1u8..6).prop_map(|(queue, count)| Step::Submit { queue, count }),
                (0u64..400).prop_map(|micros| Step::Pass { micros }),
            ],
            0..60,
        ),
    ) {
        let device = run(&format!("latency = {{ fixed = '{micros}us' }}"), &steps);
        for driver in &device.drivers {
            prop_assert!(driver.used_tags().is_sorted());
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
        for driver in &device.drivers {
            prop_assert_eq!(driver.signals(), driver.published());
        }
    }

    #[test]
    fn the_same_seed_and_arrivals_give_the_same_decisions(
        scenario in scenario_text(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let (first, second) = (run(&scenario, &steps), run(&scenario, &steps));
        let (first, second) = (first.events.all(), second.events.all());
        prop_assert_eq!(decided(&first), decided(&second));
        prop_assert_eq!(first, second);
    }
}
