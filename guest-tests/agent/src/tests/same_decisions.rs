// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The same seed, the same requests: the same decisions, at whatever time they
//! come and whatever other queues do.
//!
//! Each read is let through, ends with an I/O error or is called unsupported,
//! by chance: the guest sees which by the error that it gets. The same reads
//! are made three times under one seed and once under another. The second time
//! they are made in another rhythm while a neighbour reads on another queue,
//! and must meet the same fate in the same order; the third time another
//! scenario was in force in between. Under another seed 64 fates agree by
//! chance once in more than 10^24 times. The device counts as many failures as
//! the guest sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

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
    let calm = fates(bench, &queue, seed, Duration::ZERO)?;
    let disturbed = {
        let neighbour = Neighbour::start(other);
        let fates = fates(bench, &queue, seed, Duration::from_millis(3))?;
        bench.figure("reads of a neighbour meanwhile", neighbour.stop());
        fates
    };
    let different = fates(bench, &queue, seed + 1, Duration::ZERO)?;
    let again = fates(bench, &queue, seed, Duration::ZERO)?;
    for (name, found) in [("next to a neighbour", &disturbed), ("once more", &again)] {
        if *found != calm {
            return fail(format!("one seed, and {name} {found} came for {calm}"));
        }
    }
    if different == calm {
        return fail(format!("two seeds, and for both {calm} came"));
    }
    let count = |fate: char| calm.chars().filter(|&c| c == fate).count() as u64;
    bench.figure("reads of each seed", READS);
    bench.figure("let through", count('.'));
    bench.figure("ended with an error", count('e'));
    bench.figure("called unsupported", count('u'));
    Ok(())
}

/// What becomes of some reads under a seed, a letter for each.
fn fates(bench: &mut Bench, queue: &Queue, seed: u64, pause: Duration) -> Result<String, Stop> {
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
    Ok(fates)
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
