// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Requests as fast as they go: the cells of the table, measured one after the
//! other, the two sides of each by turns.

use std::time::Duration;

use serde::Serialize;

use crate::driver::{Driver, Load, Shape};
use crate::progress::Progress;
use crate::subject::{Disk, Setup, Store, Subject, Waits, Who};
use crate::syscalls::Syscalls;
use crate::{Plan, middle};

/// Before the first measurement of each: caches are warm, and memory is there.
const WARM_UP: Duration = Duration::from_millis(100);

/// Queues that each side offers, and for three descriptors of each of 128
/// requests room in each ring.
const SHAPE: Shape = Shape {
    queues: 4,
    ring: 512,
    most: 4 * 128,
};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    store: Store,
    waits: Waits,
    load: Load,
}

/// One side of a cell.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Side {
    /// Requests a second.
    pub(crate) iops: f64,
    /// Latency at its median and 99th percentile, in microseconds.
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Processor time of the program for each request, in microseconds.
    pub(crate) cpu_us: f64,
    /// The share of the time in which the client waited for it.
    pub(crate) waited: f64,
}

/// A cell's figures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) store: &'static str,
    /// How each side reads and writes its file, if it has one.
    pub(crate) device_io: Option<&'static str>,
    pub(crate) peer_io: Option<&'static str>,
    pub(crate) operation: &'static str,
    pub(crate) waits: &'static str,
    pub(crate) queues: usize,
    pub(crate) depth: usize,
    pub(crate) device: Side,
    pub(crate) peer: Side,
    /// System calls for each request, where they can be counted.
    pub(crate) device_calls: Option<f64>,
    pub(crate) peer_calls: Option<f64>,
    /// Device to peer: the middle one of the rounds'.
    pub(crate) iops_ratio: f64,
    pub(crate) p50_ratio: f64,
    pub(crate) cpu_ratio: f64,
}

/// Every combination, in the order of the table.
pub(crate) fn cells(stores: &[Store], waits: &[Waits], queues: &[u8], depths: &[u8]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &store in stores {
        for &waits in waits {
            for writes in [false, true] {
                for &queues in queues {
                    for &depth in depths {
                        let load = Load {
                            writes,
                            polls: waits == Waits::Polling,
                            queues: usize::from(queues),
                            depth: usize::from(depth),
                        };
                        cells.push(Cell { store, waits, load });
                    }
                }
            }
        }
    }
    cells
}

/// Both sides of what is measured, in the same state.
struct Pair {
    of: (Store, Waits),
    device: (Subject, Driver),
    peer: (Subject, Driver),
    // Gone after those that use it.
    _disk: Option<Disk>,
}

impl Pair {
    fn start(plan: &Plan, store: Store, waits: Waits) -> anyhow::Result<Pair> {
        let disk = Disk::make(store, &plan.folder)?;
        let side = |who| -> anyhow::Result<(Subject, Driver)> {
            let mut setup = Setup::plain(store, SHAPE.queues).on(disk.as_ref());
            setup.waits = waits;
            setup.file_io.clone_from(&plan.file_io);
            let subject = Subject::start(who, &setup, &plan.device, &plan.stop)?;
            let driver = Driver::connect(&subject.socket, SHAPE, plan.stop.clone())?;
            Ok((subject, driver))
        };
        Ok(Pair {
            of: (store, waits),
            device: side(Who::Device)?,
            peer: side(Who::Peer)?,
            _disk: disk,
        })
    }
}

pub(crate) fn run(plan: &Plan, cells: &[Cell]) -> anyhow::Result<Vec<Row>> {
    let mut pair: Option<Pair> = None;
    let progress = Progress::new("requests");
    let mut rows = Vec::new();
    for (number, cell) in cells.iter().enumerate() {
        progress.show(number, cells.len());
        let of = (cell.store, cell.waits);
        let both = match pair.take_if(|pair| pair.of == of) {
            Some(both) => both,
            None => {
                // The one before is gone first: it may poll.
                pair = None;
                Pair::start(plan, of.0, of.1)?
            }
        };
        let both = pair.insert(both);
        rows.push(measure(plan, cell, both)?);
    }
    Ok(rows)
}

fn measure(plan: &Plan, cell: &Cell, both: &mut Pair) -> anyhow::Result<Row> {
    let device_calls = warm_up(&mut both.device, cell.load)?;
    let peer_calls = warm_up(&mut both.peer, cell.load)?;
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let device = side(&mut both.device, cell.load, plan.time)?;
        let peer = side(&mut both.peer, cell.load, plan.time)?;
        rounds.push((device, peer));
    }
    let ratio = |of: fn(&Side) -> f64| middle(rounds.iter().map(|(d, p)| of(d) / of(p)).collect());
    let (iops_ratio, p50_ratio) = (ratio(|side| side.iops), ratio(|side| side.p50_us));
    let cpu_ratio = ratio(|side| side.cpu_us);
    rounds.sort_by(|(a, _), (b, _)| a.iops.total_cmp(&b.iops));
    let device = rounds[rounds.len() / 2].0;
    rounds.sort_by(|(_, a), (_, b)| a.iops.total_cmp(&b.iops));
    let peer = rounds[rounds.len() / 2].1;
    Ok(Row {
        store: cell.store.name(),
        device_io: both.device.0.io,
        peer_io: both.peer.0.io,
        operation: if cell.load.writes { "write" } else { "read" },
        waits: cell.waits.name(),
        queues: cell.load.queues,
        depth: cell.load.depth,
        device,
        peer,
        device_calls,
        peer_calls,
        iops_ratio,
        p50_ratio,
        cpu_ratio,
    })
}

/// Before the first measurement of each; counts system calls, which to be
/// counted makes slower, so that none are while anything is timed.
fn warm_up(of: &mut (Subject, Driver), load: Load) -> anyhow::Result<Option<f64>> {
    let (subject, driver) = of;
    driver.run(load, WARM_UP)?;
    let syscalls = Syscalls::of(subject.pid());
    let measured = driver.run(load, WARM_UP)?;
    let calls = syscalls.and_then(|mut syscalls| syscalls.count());
    Ok(calls.map(|calls| calls as f64 / measured.requests.max(1) as f64))
}

fn side(of: &mut (Subject, Driver), load: Load, time: Duration) -> anyhow::Result<Side> {
    let (subject, driver) = of;
    let before = subject.cpu()?;
    let measured = driver.run(load, time)?;
    let cpu = subject.cpu()?.saturating_sub(before);
    let requests = measured.requests.max(1) as f64;
    let micros = |quantile| measured.latency.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Side {
        iops: requests / measured.time.as_secs_f64(),
        p50_us: micros(0.5),
        p99_us: micros(0.99),
        cpu_us: cpu.as_secs_f64() * 1e6 / requests,
        waited: measured.waited,
    })
}
