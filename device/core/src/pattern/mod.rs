// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The decisions: what becomes of a request that has just arrived.

mod latency;
mod scripted;

use rand::Rng;

use crate::plan::Plan;
use crate::request::{Operation, QueueId, RequestId, Sector};
use crate::units::Nanos;

pub use scripted::Scripted;

/// What a decision may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The request's number.
    pub request: RequestId,
    /// Its queue.
    pub queue: QueueId,
    /// Its kind.
    pub operation: Operation,
    /// Where on the disk.
    pub sector: Sector,
    /// Data bytes.
    pub bytes: u64,
    /// When it was taken from the queue.
    pub at: Nanos,
}

/// Plans completions. The same arrivals and the same generator give the same
/// plans: no other source of randomness or time may be used.
pub trait Pattern: Send {
    /// Plans one; called once for each request, in the order of arrival.
    fn plan(&mut self, arrival: &Arrival, rng: &mut dyn Rng) -> Plan;
}
