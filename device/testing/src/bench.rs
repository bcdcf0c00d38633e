// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A pump with fake drivers, at a time that the test moves.

use std::sync::mpsc;

use irqstorm_core::control::{Command, Refusal};
use irqstorm_core::event::Floor;
use irqstorm_core::inbox::{Message, Respond};
use irqstorm_core::pump::{Flow, Pump, PumpConfig};
use irqstorm_core::queue::ConfigLine;
use irqstorm_core::request::{Operation, QueueId, Request, Sector};
use irqstorm_core::scenario::{Scenario, ScenarioError};
use irqstorm_core::store::RamStore;
use irqstorm_core::units::Nanos;
use serde_json::{Value, json};

use crate::driver::{self, FakeDriver, FakeQueue};
use crate::events::Recorder;
use crate::store::odd_geometry;

/// What a pump in a test starts with: an empty disk, seed 1.
pub fn config(scenario: &str, queues: u16) -> Result<PumpConfig, ScenarioError> {
    Ok(PumpConfig {
        store: Box::new(RamStore::new(odd_geometry())),
        scenario: Scenario::parse("test", scenario)?,
        scenario_name: "test".into(),
        seed: 1,
        queues,
        replay: None,
        config_line: None,
        failure_line: None,
        floor: Floor::default(),
    })
}

/// A line that counts.
#[derive(Clone, Debug, Default)]
pub struct CountingLine(std::sync::Arc<std::sync::atomic::AtomicU64>);

impl CountingLine {
    /// How often it was raised.
    pub fn raised(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl ConfigLine for CountingLine {
    fn signal(&self) -> bool {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        true
    }
}

/// The pump, its drivers, what it recorded, and the time.
pub struct Bench {
    /// The pump.
    pub pump: Pump<FakeQueue>,
    /// A driver for each queue.
    pub drivers: Vec<FakeDriver>,
    /// What the pump recorded.
    pub events: Recorder,
    /// The present time.
    pub now: Nanos,
}

impl Bench {
    /// A pump under a scenario, with a driver on each queue.
    pub fn new(scenario: &str, queues: u16) -> Result<Bench, ScenarioError> {
        Ok(Bench::with(config(scenario, queues)?))
    }

    /// A pump that starts with this.
    pub fn with(config: PumpConfig) -> Bench {
        let events = Recorder::default();
        let queues = config.queues;
        let mut bench = Bench {
            pump: Pump::new(config, Box::new(events.clone()), &Nanos::ZERO),
            drivers: Vec::new(),
            events,
            now: Nanos::ZERO,
        };
        for queue in 0..queues {
            bench.connect(queue);
        }
        bench
    }

    /// Attaches a new driver to a queue.
    pub fn connect(&mut self, queue: u16) {
        let (driver, requests) = driver::connect();
        let queue = QueueId(queue);
        let message = Message::Attach {
            queue,
            requests,
            kick: None,
        };
        self.pump.handle(message, &self.now);
        let index = usize::from(queue.0);
        match self.drivers.get_mut(index) {
            Some(slot) => *slot = driver,
            None => self.drivers.push(driver),
        }
    }

    /// Has a driver write `count` sectors from the first on, one a request.
    pub fn submit(&mut self, queue: u16, count: u64) {
        for sector in 0..count {
            let request = Request::transfer(Operation::Write, Sector(sector), 1);
            self.drivers[usize::from(queue)].submit(request, vec![1; 512]);
        }
        self.kick(queue);
    }

    /// Has a driver make one request without data.
    pub fn submit_one(&mut self, queue: u16, operation: Operation, sector: u64, sectors: u64) {
        let request = Request::transfer(operation, Sector(sector), sectors);
        let bytes = usize::try_from(sectors * 512).unwrap_or(0);
        self.drivers[usize::from(queue)].submit(request, vec![0; bytes]);
        self.kick(queue);
    }

    /// Has the pump look into a queue.
    pub fn kick(&mut self, queue: u16) {
        self.pump.kick(QueueId(queue), &self.now);
    }

    /// Moves the clock to `end`, stopping at each deadline on the way as a loop
    /// would.
    pub fn run_to(&mut self, end: Nanos) {
        while let Some(deadline) = self.pump.next_deadline().filter(|&at| at <= end) {
            self.now = self.now.max(deadline);
            self.pump.tick(&self.now);
        }
        self.now = self.now.max(end);
    }

    /// Moves the clock to so many microseconds.
    pub fn run_until(&mut self, micros: u64) {
        self.run_to(Nanos::from_micros(micros));
    }

    /// Has a command carried out; `None` as long as its answer is still to come.
    pub fn command(&mut self, command: Command) -> Option<Result<Value, Refusal>> {
        self.start(command).try_recv().ok()
    }

    /// Has a command carried out whose answer may come later.
    pub fn start(&mut self, command: Command) -> mpsc::Receiver<Result<Value, Refusal>> {
        let (answer, answered) = mpsc::channel();
        // A test that does not care has dropped the other end.
        let respond = Respond::new(move |result| drop(answer.send(result)));
        let flow = self
            .pump
            .handle(Message::Command { command, respond }, &self.now);
        assert_eq!(flow, Flow::Continue);
        answered
    }

    /// Has a command in its JSON form carried out.
    pub fn try_ask(&mut self, command: Value) -> Result<Value, Refusal> {
        let command = serde_json::from_value(command)
            .map_err(|e| Refusal::new(irqstorm_core::control::Code::BadRequest, e.to_string()))?;
        self.command(command)
            .unwrap_or_else(|| Ok(json!("no answer yet")))
    }

    /// The same for one that is not refused.
    ///
    /// # Panics
    ///
    /// If it is.
    pub fn ask(&mut self, command: Value) -> Value {
        match self.try_ask(command.clone()) {
            Ok(reply) => reply,
            Err(refusal) => panic!("{command}: {refusal}"),
        }
    }

    /// One of the counters, summed over queues.
    pub fn count(&mut self, counter: &str) -> u64 {
        self.ask(json!({"cmd": "status"}))["total"][counter]
            .as_u64()
            .unwrap_or(u64::MAX)
    }
}
