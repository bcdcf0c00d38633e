// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a completion costs the pump as there is more of everything: completions
//! held or planned, queues, listeners. Nothing but the pump runs here, over
//! queues that cost nothing and a disk that does nothing; its clock is moved by
//! hand, and what it costs is taken from the machine's.
//!
//! What is planned is ordered by time, at the cost of the logarithm of how much
//! it is, and of memory that caches do not have: a bare heap of as many entries
//! shows how much of the growth no such order is without.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use irqstorm_core::control::{Command, Selection};
use irqstorm_core::event::{Event, EventSink, Floor};
use irqstorm_core::inbox::{Message, Respond};
use irqstorm_core::pump::{Pump, PumpConfig};
use irqstorm_core::queue::{BrokenQueue, GuestBuffers, Lie, NoBuffers, RequestQueue, Taken};
use irqstorm_core::request::{Operation, Outcome, QueueId, Request, Sector};
use irqstorm_core::scenario::Scenario;
use irqstorm_core::store::{Geometry, Store};
use irqstorm_core::units::Nanos;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;

use crate::progress::Progress;
use crate::{Plan, middle};

/// Queues over which many requests are spread: none may have more than the
/// largest ring.
const MANY: u16 = 32;

/// Requests that come and go at a time.
const BATCH: u32 = 64;

/// Sectors of the disk.
const SECTORS: u64 = 1 << 20;

/// What is measured.
#[derive(Clone, Copy, Debug)]
enum Case {
    /// So many are held, and the oldest let go.
    Held(u32),
    /// So many are due at some time, and become it one after the other.
    Planned(u32),
    /// Whether somebody listens to what happens.
    Events(bool),
    /// So many queues have requests, each of which completes at once.
    Queues(u16),
}

/// In the order of the table: the first of each kind is what the others are
/// compared with.
const CASES: [Case; 13] = [
    Case::Held(100),
    Case::Held(10_000),
    Case::Held(1_000_000),
    Case::Planned(100),
    Case::Planned(10_000),
    Case::Planned(1_000_000),
    Case::Events(false),
    Case::Events(true),
    Case::Queues(1),
    Case::Queues(4),
    Case::Queues(16),
    Case::Queues(64),
    Case::Queues(256),
];

/// One case's figures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) of: String,
    /// Of arrival and completion together.
    pub(crate) nanos: f64,
    /// To the first of its kind.
    pub(crate) ratio: f64,
}

/// Entries of a bare heap.
const HEAPS: [u32; 3] = [100, 10_000, 1_000_000];

pub(crate) fn run(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let progress = Progress::new("growth");
    let mut rows = Rows::default();
    let all = CASES.len() + HEAPS.len();
    let time = plan.time / 4;
    for case in CASES {
        progress.show(rows.0.len(), all);
        plan.stop.check()?;
        let rounds: anyhow::Result<Vec<f64>> = (0..plan.rounds)
            .map(|_| Rig::new(case)?.measure(time))
            .collect();
        let (what, of) = case.name();
        rows.add(what, of, rounds?);
    }
    for count in HEAPS {
        progress.show(rows.0.len(), all);
        plan.stop.check()?;
        let rounds = (0..plan.rounds).map(|_| heap(count, time)).collect();
        rows.add("bare heap", count.to_string(), rounds);
    }
    Ok(rows.0)
}

#[derive(Default)]
struct Rows(Vec<Row>);

impl Rows {
    fn add(&mut self, what: &'static str, of: String, rounds: Vec<f64>) {
        let nanos = middle(rounds);
        let first = self.0.iter().find(|row| row.what == what);
        let ratio = nanos / first.map_or(nanos, |first| first.nanos);
        self.0.push(Row {
            what,
            of,
            nanos,
            ratio,
        });
    }
}

impl Case {
    fn name(self) -> (&'static str, String) {
        match self {
            Case::Held(count) => ("held", count.to_string()),
            Case::Planned(count) => ("planned", count.to_string()),
            Case::Events(on) => ("events", if on { "on" } else { "off" }.to_owned()),
            Case::Queues(count) => ("queues", count.to_string()),
        }
    }

    fn scenario(self) -> &'static str {
        match self {
            Case::Held(_) => "hold = true",
            Case::Planned(_) => "latency = { uniform = { min = \"1s\", max = \"2s\" } }",
            Case::Events(_) | Case::Queues(_) => "",
        }
    }

    fn queues(self) -> u16 {
        match self {
            Case::Held(_) | Case::Planned(_) => MANY,
            Case::Events(_) => 1,
            Case::Queues(count) => count,
        }
    }

    /// How many are there before anything is measured.
    fn before(self) -> u32 {
        match self {
            Case::Held(count) | Case::Planned(count) => count,
            Case::Events(_) | Case::Queues(_) => 0,
        }
    }
}

/// A pump, and the drivers that it works for.
struct Rig {
    case: Case,
    pump: Pump<Source>,
    /// How many requests each driver is to make.
    made: Vec<Rc<Cell<u32>>>,
    completed: Rc<Cell<u64>>,
    now: Nanos,
    turn: usize,
}

impl Rig {
    fn new(case: Case) -> anyhow::Result<Rig> {
        let config = PumpConfig {
            store: Box::new(Nowhere),
            scenario: Scenario::parse("growth", case.scenario())?,
            scenario_name: "growth".to_owned(),
            seed: 1,
            queues: case.queues(),
            replay: None,
            config_line: None,
            failure_line: None,
            floor: Floor::default(),
        };
        let sink = Listener(matches!(case, Case::Events(true)));
        let now = Nanos::ZERO;
        let mut rig = Rig {
            case,
            pump: Pump::new(config, Box::new(sink), &now),
            made: Vec::new(),
            completed: Rc::default(),
            now,
            turn: 0,
        };
        (0..case.queues()).for_each(|queue| rig.attach(QueueId(queue)));
        // By turns, as they will go: each queue keeps as many as it has.
        let mut left = case.before();
        while left > 0 {
            let some = BATCH.min(left);
            left -= some;
            rig.arrive(some)?;
        }
        Ok(rig)
    }

    fn attach(&mut self, queue: QueueId) {
        let made = Rc::new(Cell::new(0));
        let requests = Source {
            left: Rc::clone(&made),
            completed: Rc::clone(&self.completed),
            next: 0,
        };
        self.made.push(made);
        let message = Message::Attach {
            queue,
            requests,
            kick: None,
        };
        self.pump.handle(message, &self.now);
    }

    /// The next driver makes so many requests, and all are taken.
    fn arrive(&mut self, count: u32) -> anyhow::Result<()> {
        let queue = self.turn % self.made.len();
        self.turn += 1;
        let id = QueueId(u16::try_from(queue)?);
        self.made[queue].set(count);
        self.pump.kick(id, &self.now);
        while self.made[queue].get() > 0 {
            ensure!(self.pump.attached() == self.made.len(), "a queue broke");
            self.pump.tick(&self.now);
        }
        Ok(())
    }

    /// Nanoseconds for each that comes and each that goes.
    fn measure(mut self, time: Duration) -> anyhow::Result<f64> {
        self.turns(BATCH)?;
        let (begun, before) = (Instant::now(), self.completed.get());
        while begun.elapsed() < time {
            self.turns(BATCH)?;
        }
        let elapsed = begun.elapsed();
        let completed = self.completed.get() - before;
        ensure!(completed > 0, "nothing completed");
        Ok(elapsed.as_nanos() as f64 / completed as f64)
    }

    fn turns(&mut self, count: u32) -> anyhow::Result<()> {
        for _ in 0..count {
            match self.case {
                Case::Held(_) => {
                    self.arrive(BATCH)?;
                    self.release();
                }
                Case::Planned(_) => {
                    self.now = self.pump.next_deadline().unwrap_or(self.now);
                    let before = self.completed.get();
                    self.pump.tick(&self.now);
                    let gone = self.completed.get() - before;
                    self.arrive(u32::try_from(gone)?)?;
                }
                Case::Events(_) | Case::Queues(_) => {
                    self.arrive(BATCH)?;
                    self.pump.tick(&self.now);
                }
            }
        }
        Ok(())
    }

    fn release(&mut self) {
        let selection = Selection {
            count: Some(BATCH),
            ..Selection::default()
        };
        let command = Command::Release(selection);
        let respond = Respond::new(drop);
        self.pump
            .handle(Message::Command { command, respond }, &self.now);
    }
}

/// What it takes to put an entry into a bare heap of so many and to take the
/// first one out, in nanoseconds. Entries are as large as the pump's, and due in
/// as random an order.
fn heap(count: u32, time: Duration) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut due = |now: u64| {
        Reverse([
            now + 1_000_000_000 + rng.next_u64() % 1_000_000_000,
            0,
            0,
            0,
            0,
        ])
    };
    let mut heap: BinaryHeap<Reverse<[u64; 5]>> = (0..count).map(|_| due(0)).collect();
    let (begun, mut turns) = (Instant::now(), 0_u32);
    while begun.elapsed() < time {
        for _ in 0..BATCH {
            if let Some(Reverse([now, ..])) = std::hint::black_box(heap.pop()) {
                heap.push(due(now));
            }
        }
        turns += BATCH;
    }
    begun.elapsed().as_nanos() as f64 / f64::from(turns)
}

/// Takes events, and does nothing with them.
struct Listener(bool);

impl EventSink for Listener {
    fn record(&mut self, event: Event) {
        std::hint::black_box(event);
    }

    fn listens(&self) -> bool {
        self.0
    }
}

/// A disk that does nothing.
struct Nowhere;

impl Store for Nowhere {
    fn geometry(&self) -> Geometry {
        Geometry {
            sectors: SECTORS,
            block_size: 512,
            read_only: false,
        }
    }

    fn execute(&mut self, _: &Request, _: &dyn GuestBuffers) -> Outcome {
        Outcome::ok(0)
    }
}

/// A queue that costs nothing.
struct Source {
    left: Rc<Cell<u32>>,
    completed: Rc<Cell<u64>>,
    next: u64,
}

impl RequestQueue for Source {
    type Token = ();

    fn depth(&self) -> u32 {
        1024
    }

    fn next(&mut self) -> Result<Option<Taken<()>>, BrokenQueue> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Ok(None);
        };
        self.left.set(left);
        self.next += 8 * 7919;
        let request = Request::transfer(Operation::Read, Sector(self.next % SECTORS), 8);
        Ok(Some(Taken {
            token: (),
            request: Ok(request),
        }))
    }

    fn with_buffers<R>(&self, (): &(), use_buffers: impl FnOnce(&dyn GuestBuffers) -> R) -> R {
        use_buffers(&NoBuffers)
    }

    fn complete(&mut self, (): (), _: Outcome, _: Option<Lie>) -> Result<(), BrokenQueue> {
        self.completed.set(self.completed.get() + 1);
        Ok(())
    }

    fn publish(&mut self) -> Result<(), BrokenQueue> {
        Ok(())
    }

    fn wants_interrupt(&mut self) -> Result<bool, BrokenQueue> {
        Ok(true)
    }

    fn signal(&self) {}

    fn abandon(&mut self, (): ()) {}
}
