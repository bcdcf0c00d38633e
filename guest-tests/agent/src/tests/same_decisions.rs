// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The same seed, the same requests: the same decisions, at whatever time they
//! come and whatever other queues do.
//!
//! Each read is let through, ends with an I/O error or is called unsupported,
//! by chance: the guest sees which by the error that it gets. The device tells
//! the rest of what it decided, as the event of each request's arrival: rule,
//! latency, interrupt, fault. The same reads are made three times under one
//! seed and once under another. The second time they are made in another rhythm
//! while a neighbour reads on another queue, and the third time another
//! scenario was in force in between; fates and decisions must be the same for
//! each n-th read. Under another seed 64 fates agree by chance once in more
//! than 10^24 times. The device counts as many failures as the guest sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use irqstorm_core::event::What;
use irqstorm_core::plan::Plan;

use super::sides;
use super::{Bench, Stop, fail};
use crate::guest::queue::Queue;

const CHANCE: &str = "\
latency = { uniform = { min = '0us', max = '300us' } }
[[rule]]
probability = '40%'
fault = 'io-error'
[[rule]]
probability = '50%'
fault = 'unsupported'
";

const READS: u64 = 64;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let queue = sides::open(bench, 0)?;
    let other = sides::open(bench, 1)?;
    queue
        .pin()
        .map_err(|e| format!("go back to queue 0: {e}"))?;
    // A scenario takes seeds up to 2^63.
    let seed = bench.seed >> 2;
    bench.device()?.subscribe(&["arrived"])?;
    let calm = meet(bench, &queue, seed, Duration::ZERO)?;
    let disturbed = {
        let neighbour = Neighbour::start(other);
        let met = meet(bench, &queue, seed, Duration::from_millis(3))?;
        bench.figure("reads of a neighbour meanwhile", neighbour.stop());
        met
    };
    let different = meet(bench, &queue, seed + 1, Duration::ZERO)?;
    let again = meet(bench, &queue, seed, Duration::ZERO)?;
    bench.device()?.subscribe(&[])?;
    calm.is_met_again("next to a neighbour", &disturbed)?;
    calm.is_met_again("once more", &again)?;
    if different.fates == calm.fates {
        return fail(format!("two seeds, and for both {} came", calm.fates));
    }
    let count = |fate: char| calm.fates.chars().filter(|&c| c == fate).count() as u64;
    bench.figure("reads of each seed", READS);
    bench.figure("decisions the same each time", calm.plans.len() as u64);
    bench.figure("let through", count('.'));
    bench.figure("ended with an error", count('e'));
    bench.figure("called unsupported", count('u'));
    Ok(())
}

/// What some reads met under a seed.
struct Met {
    /// A letter for each, as the guest saw it.
    fates: String,
    /// What the device decided about each.
    plans: Vec<Plan>,
}

impl Met {
    fn is_met_again(&self, how: &str, found: &Met) -> Result<(), Stop> {
        if found.fates != self.fates {
            return fail(format!(
                "one seed, and {how} {} came for {}",
                found.fates, self.fates
            ));
        }
        let mut pairs = self.plans.iter().zip(&found.plans);
        match pairs.position(|(one, other)| one != other) {
            None => Ok(()),
            Some(nth) => fail(format!(
                "one seed, and {how} read {nth} was decided otherwise"
            )),
        }
    }
}

/// Makes the reads under a seed.
fn meet(bench: &mut Bench, queue: &Queue, seed: u64, pause: Duration) -> Result<Met, Stop> {
    bench.scenario(&format!("seed = {seed}\n{CHANCE}"))?;
    let before = sides::written(bench, queue)?;
    let mut fates = String::new();
    for n in 0..READS {
        thread::sleep(pause * u32::try_from(n % 3).unwrap_or(0));
        fates.push(fate(queue.read(n))?);
    }
    let device = sides::written(bench, queue)?.since(&before);
    let failed = fates.chars().filter(|&fate| fate != '.').count() as u64;
    sides::exactly("requests of the device", device.requests, READS)?;
    sides::exactly("failures seen, against the device's", failed, device.failed)?;
    let plans = decisions(bench, queue)?;
    Ok(Met { fates, plans })
}

/// What the device decided about the reads, in their order.
fn decisions(bench: &mut Bench, queue: &Queue) -> Result<Vec<Plan>, Stop> {
    let mut plans = Vec::new();
    sides::wait_until("the device's decisions", || {
        for event in bench.device()?.events()? {
            let What::Arrived {
                queue: of,
                nth,
                plan,
                ..
            } = event.what
            else {
                continue;
            };
            if of.0 == queue.id {
                sides::exactly("the number of a request", nth, plans.len() as u64)?;
                plans.push(plan);
            }
        }
        Ok(plans.len() as u64 == READS)
    })?;
    Ok(plans)
}

fn fate(read: std::io::Result<()>) -> Result<char, Stop> {
    use rustix::io::Errno;
    let Err(error) = read else {
        return Ok('.');
    };
    match Errno::from_io_error(&error) {
        Some(Errno::IO) => Ok('e'),
        Some(Errno::OPNOTSUPP) => Ok('u'),
        _ => fail(format!("a read ended with {error}")),
    }
}

/// A thread that reads on another queue until it is stopped.
struct Neighbour {
    stop: Arc<AtomicBool>,
    reads: thread::JoinHandle<u64>,
}

impl Neighbour {
    fn start(queue: Arc<Queue>) -> Neighbour {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let reads = thread::spawn(move || {
            let pinned = queue.pin();
            let mut reads = 0;
            while pinned.is_ok() && !until.load(Ordering::Relaxed) {
                // Errors are what it is there for as well.
                let _ = queue.read(reads);
                reads += 1;
            }
            reads
        });
        Neighbour { stop, reads }
    }

    /// How many reads it made.
    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.reads.join().unwrap_or(0)
    }
}
