// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How well a latency that was asked for is kept: of the completion and of its
//! interrupt, with few and with many requests in flight, next to the peer's
//! `null-co` with `latency-ns`.
//!
//! The client looks at its rings all the time, so what it sees late is late,
//! and has each request come back in its own time: the first ones are spread
//! over the latency, and each is made again when it returns. What the driver's
//! kick takes to wake who serves is in these figures, for both sides; the
//! device's own, from planned to actual, stand beside them.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use irqstorm_core::control::{Precision, Quantiles, StatusReply};
use irqstorm_core::units::Nanos;
use serde::Serialize;

use crate::driver::{Driver, Shape, signals};
use crate::progress::Progress;
use crate::subject::{Setup, Store, Subject, Who};
use crate::{Plan, control, floor};

/// Requests in flight, each with the latency that they are to have: from a
/// thousand to ten thousand complete each second.
const CELLS: [(usize, Duration); 3] = [
    (1, Duration::from_millis(1)),
    (100, Duration::from_millis(10)),
    (10_000, Duration::from_secs(1)),
];

/// Requests of a queue: three descriptors of each fit into the largest ring.
const OF_A_QUEUE: usize = 341;
const RING: u16 = 1024;

/// How late something was, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Late {
    pub(crate) count: u64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
}

impl Late {
    fn of(histogram: &Histogram<u64>) -> Late {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Late {
            count: histogram.len(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
        }
    }
}

/// A cell's figures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) in_flight: usize,
    pub(crate) target_us: f64,
    /// What was late: the completion or the interrupt.
    pub(crate) what: &'static str,
    /// As the client sees it.
    pub(crate) device: Late,
    pub(crate) peer: Late,
    /// From planned to actual, as the device has it.
    pub(crate) own: Late,
    /// That to the machine's floor, which is a bare timer's wake-up after as long
    /// as from one completion to the next, and for an interrupt the write of an
    /// eventfd: at the median, and of 99 in 100.
    pub(crate) over_floor: [f64; 2],
}

impl Row {
    /// Device to peer, at the median, where both had any.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let both = self.device.count > 0 && self.peer.count > 0;
        both.then(|| self.device.p50_us / self.peer.p50_us)
    }
}

/// What a client saw.
struct Seen {
    completions: Histogram<u64>,
    interrupts: Histogram<u64>,
}

impl Seen {
    fn new() -> anyhow::Result<Seen> {
        let histogram = || Histogram::new_with_bounds(1, 10_000_000_000, 3);
        Ok(Seen {
            completions: histogram()?,
            interrupts: histogram()?,
        })
    }

    fn add(&mut self, other: &Seen) -> anyhow::Result<()> {
        self.completions.add(&other.completions)?;
        Ok(self.interrupts.add(&other.interrupts)?)
    }
}

pub(crate) fn run(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let progress = Progress::new("injection");
    let mut rows = Vec::new();
    for (number, (in_flight, target)) in CELLS.into_iter().enumerate() {
        progress.show(number, CELLS.len());
        rows.extend(measure(plan, in_flight, target)?);
    }
    Ok(rows)
}

fn measure(plan: &Plan, in_flight: usize, target: Duration) -> anyhow::Result<[Row; 2]> {
    let (mut device, mut peer) = (Seen::new()?, Seen::new()?);
    let gap = target.div_f64(in_flight as f64);
    let bare = floor::wakeups(gap, plan.time)?;
    let mut own = Precision::default();
    for _ in 0..plan.rounds {
        for (who, seen) in [(Who::Device, &mut device), (Who::Peer, &mut peer)] {
            let mut setup = Setup::plain(Store::Null, in_flight.div_ceil(OF_A_QUEUE));
            setup.latency = Some(target);
            let subject = Subject::start(who, &setup, &plan.device, &plan.stop)?;
            let shape = Shape {
                queues: setup.queues,
                ring: RING,
                most: in_flight,
            };
            let mut driver = Driver::connect(&subject.socket, shape, plan.stop.clone())?;
            seen.add(&driver.keep(in_flight, target, plan.time)?)?;
            if who == Who::Device {
                let status: StatusReply = control::ask(&subject.control(), "status")?;
                own = status.precision;
            }
        }
    }
    let row = |what, device, peer, own: Quantiles, write: Nanos| Row {
        in_flight,
        target_us: target.as_secs_f64() * 1e6,
        what,
        device: Late::of(device),
        peer: Late::of(peer),
        own: Late {
            count: own.count,
            p50_us: own.p50.0 as f64 / 1e3,
            p99_us: own.p99.0 as f64 / 1e3,
            p999_us: own.p999.0 as f64 / 1e3,
        },
        over_floor: [
            own.p50.0 as f64 / (bare.value_at_quantile(0.5) + write.0) as f64,
            own.p99.0 as f64 / (bare.value_at_quantile(0.99) + write.0) as f64,
        ],
    };
    Ok([
        row(
            "completion",
            &device.completions,
            &peer.completions,
            own.published,
            Nanos::ZERO,
        ),
        row(
            "interrupt",
            &device.interrupts,
            &peer.interrupts,
            own.signalled,
            own.floor.write_p50,
        ),
    ])
}

impl Driver {
    /// Keeps so many reads in flight, of which each is to take `target`, and
    /// measures for `time` once they go round, or for as long as that takes.
    fn keep(&mut self, in_flight: usize, target: Duration, time: Duration) -> anyhow::Result<Seen> {
        let mut seen = Seen::new()?;
        let queues = self.queues.len();
        for queue in &mut self.queues {
            queue.set_used_notif_enabled(true);
        }
        let start = Instant::now();
        let gap = target.div_f64(in_flight as f64);
        let (from, to) = (
            start + 2 * target,
            start + 2 * target + time.max(2 * target),
        );
        let mut made = 0;
        let mut awaited = vec![None; queues];
        loop {
            self.stop.check()?;
            let now = Instant::now();
            if now >= to {
                return Ok(seen);
            }
            while made < in_flight && now >= start + gap.mul_f64(made as f64) {
                self.submit(made % queues, made, false, now)?;
                self.kick(made % queues)?;
                made += 1;
            }
            for (queue, awaited) in awaited.iter_mut().enumerate() {
                if self.take_back(queue)? {
                    // One that has not come by now was left out: this client had
                    // read the completion already.
                    let counts = (now >= from).then_some(&mut seen);
                    *awaited = self.note(queue, target, counts)?;
                }
                if let Some(due) = *awaited
                    && signals(&self.calls[queue])? > 0
                {
                    seen.interrupts.saturating_record(late(due));
                    *awaited = None;
                }
            }
        }
    }

    /// Makes the same requests again that have come back, and notes how late they
    /// are if it counts: says then when the first was due, and with it the
    /// interrupt.
    fn note(
        &mut self,
        queue: usize,
        target: Duration,
        seen: Option<&mut Seen>,
    ) -> anyhow::Result<Option<Instant>> {
        let mut first = None;
        if let Some(seen) = seen {
            for due in self.done.iter().map(|&tag| self.begun[tag] + target) {
                seen.completions.saturating_record(late(due));
                first.get_or_insert(due);
            }
        }
        let now = Instant::now();
        for index in 0..self.done.len() {
            let tag = self.done[index];
            self.submit(queue, tag, false, now)?;
        }
        self.kick(queue)?;
        Ok(first)
    }
}

/// How long ago something was due, in nanoseconds.
fn late(due: Instant) -> u64 {
    u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
