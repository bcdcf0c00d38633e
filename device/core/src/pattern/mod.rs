// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The decisions: what becomes of a request that has just arrived.
//!
//! A decision depends on the seed, on the request's queue, on how many came
//! before it there, and on what it is: on nothing else. So the same arrivals on
//! a queue get the same decisions whatever the time is and whatever other
//! queues do.

mod replay;
mod scripted;

use std::convert::Infallible;

use rand::{Rng, SeedableRng, TryRng};
use rand_chacha::ChaCha8Rng;

use crate::filter::Traits;
use crate::plan::Plan;
use crate::request::{QueueId, RequestId};
use crate::units::Nanos;

pub use replay::{Recorded, Replay, ReplayError, UNRECORDED_PLAIN};
pub use scripted::Scripted;

/// What a decision may depend on, and what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The request's number over the device's life.
    pub request: RequestId,
    /// Its number on its queue under this scenario, from 0.
    pub nth: u64,
    /// What it is.
    pub traits: Traits,
    /// When the queue was looked into and it was found.
    pub at: Nanos,
}

/// Plans completions. The same arrivals give the same plans: no other source
/// of randomness, and no time, may be used.
pub trait Pattern: Send {
    /// Plans one; called once for each request, in the order of arrival, each
    /// with a generator of its own.
    fn plan(&mut self, arrival: &Arrival, rng: &mut dyn Rng) -> Plan;
}

/// What a generator is for: requests and windows draw from streams that never
/// meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Request,
    Window,
}

/// Where random numbers come from: a stream of its own for each request, cut
/// from one seed. It is set up by the first draw, which most requests never
/// make.
#[derive(Clone, Debug)]
pub struct Draws {
    seed: u64,
    stream: u64,
    rng: Option<ChaCha8Rng>,
}

/// Queues take the stream's upper bits: 2^47 requests of each.
const QUEUE_SHIFT: u32 = 47;

impl Draws {
    #[inline]
    fn new(seed: u64, purpose: Purpose, queue: QueueId, nth: u64) -> Draws {
        let purpose = u64::from(purpose == Purpose::Window) << 63;
        let nth = nth & ((1 << QUEUE_SHIFT) - 1);
        Draws {
            seed,
            stream: purpose | u64::from(queue.0) << QUEUE_SHIFT | nth,
            rng: None,
        }
    }

    /// The stream of a queue's n-th request.
    #[inline]
    pub fn of_request(seed: u64, queue: QueueId, nth: u64) -> Draws {
        Draws::new(seed, Purpose::Request, queue, nth)
    }

    /// The stream of a queue's n-th window of gathered completions.
    pub fn of_window(seed: u64, queue: QueueId, nth: u64) -> Draws {
        Draws::new(seed, Purpose::Window, queue, nth)
    }

    fn rng(&mut self) -> &mut ChaCha8Rng {
        self.rng.get_or_insert_with(|| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(self.stream);
            rng
        })
    }
}

impl TryRng for Draws {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.rng().try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.rng().try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.rng().try_fill_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_and_window_draws_from_a_stream_of_its_own() {
        let mut first: Vec<u64> = Vec::new();
        for queue in [0, 1, 255, u16::MAX] {
            for nth in [0, 1, 2, 1 << 40] {
                for mut draws in [
                    Draws::of_request(7, QueueId(queue), nth),
                    Draws::of_window(7, QueueId(queue), nth),
                ] {
                    first.push(draws.next_u64());
                }
            }
        }
        let all = first.len();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), all);
    }
}
