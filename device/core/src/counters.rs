// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a queue did so far.
//!
//! These are what the device *wrote*. What the guest got is in its
//! /proc/interrupts: eventfd writes merge on the way.

use serde::{Deserialize, Serialize};

/// Counts of one queue, or sums over queues. They only grow while a device
/// runs, reconnections included; `held` and `in_flight` are levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Requests taken from the ring.
    pub requests: u64,
    /// Requests taken and not yet completed, held ones included.
    pub in_flight: u64,
    /// Of these, the ones waiting for a release.
    pub held: u64,
    /// Completions written into the ring.
    pub completed: u64,
    /// Of these, the ones with an error status.
    pub failed: u64,
    /// Requests given up because their connection went.
    pub abandoned: u64,
    /// Times that completions were made visible.
    pub published: u64,
    /// Times that the driver was asked whether it wants an interrupt and did.
    pub wanted: u64,
    /// Interrupts written for completions.
    pub signalled: u64,
    /// Publications that ended in no interrupt since the driver wanted none.
    pub suppressed: u64,
    /// Interrupts written with no completion behind them.
    pub spurious: u64,
}

impl Counters {
    /// Adds another queue's counts to these.
    pub fn add(&mut self, other: &Counters) {
        self.requests += other.requests;
        self.in_flight += other.in_flight;
        self.held += other.held;
        self.completed += other.completed;
        self.failed += other.failed;
        self.abandoned += other.abandoned;
        self.published += other.published;
        self.wanted += other.wanted;
        self.signalled += other.signalled;
        self.suppressed += other.suppressed;
        self.spurious += other.spurious;
    }
}
