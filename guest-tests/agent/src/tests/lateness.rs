// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! An ordinary task of a CPU that wants to run every few milliseconds, and how
//! late it is. It is noted for each of these instants, so that the time counts
//! and not the luck of the sample.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Stop, fail};
use crate::guest::cpu;

/// Between two instants at which the task wants to run.
pub(super) const PERIOD: Duration = Duration::from_millis(4);

/// How late a task was, for each instant at which it wanted to run.
pub(super) struct Lateness(Vec<Duration>);

impl Lateness {
    /// Samples on the CPU while `work` goes on.
    pub(super) fn beside(
        cpu: u32,
        work: impl FnOnce() -> Result<(), Stop>,
    ) -> Result<Lateness, Stop> {
        let stop = Arc::new(AtomicBool::new(false));
        let sampler = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || sample(cpu, &stop))
        };
        let worked = work();
        stop.store(true, Ordering::Release);
        let samples = match sampler.join() {
            Ok(samples) => samples?,
            Err(_) => return fail("the thread that samples panicked"),
        };
        worked?;
        let mut lateness = Lateness(samples);
        lateness.0.sort_unstable();
        Ok(lateness)
    }

    /// So many percent of the instants were at most so late.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let index = (self.0.len() * percent / 100).min(last);
        self.0.get(index).copied().unwrap_or_default()
    }
}

fn sample(cpu: u32, stop: &AtomicBool) -> Result<Vec<Duration>, Stop> {
    pin(cpu)?;
    let mut samples = Vec::new();
    let mut wanted = Instant::now() + PERIOD;
    while !stop.load(Ordering::Acquire) {
        thread::sleep(wanted.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        // All instants that went by meanwhile have waited for this one.
        while wanted <= now {
            samples.push(now - wanted);
            wanted += PERIOD;
        }
    }
    Ok(samples)
}

/// Keeps the calling thread on a CPU.
pub(super) fn pin(cpu: u32) -> Result<(), Stop> {
    cpu::pin(cpu).map_err(|e| Stop::Fail(format!("keep a thread on CPU {cpu}: {e}")))
}
