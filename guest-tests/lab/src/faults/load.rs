// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The guest at work: its test `endurance`, with times at which something may
//! happen.

use std::time::{Duration, Instant};

use irqstorm_agent::protocol::{Finished, ToAgent, ToLab, Verdict, endurance};

use super::row::Row;
use crate::failure::Failure;
use crate::guest::Received;
use crate::session::Session;

/// The test that works.
pub(crate) const TEST: &str = "endurance";

/// How long a load works before it comes to its end.
const WORK: Duration = Duration::from_secs(4);

/// One that has not ended by then hangs: its own patience with a bio, and room.
const LIMIT: Duration = Duration::from_secs(180);

/// The least and the most time from one fault to the next.
const GAP_MS: (u64, u64) = (200, 900);

/// A load under way.
pub(super) struct Load {
    begun: Instant,
    ended: Option<Result<Finished, String>>,
}

impl Load {
    /// Has the guest work for a while.
    pub(super) fn begin(session: &mut Session) -> Result<Load, Failure> {
        Load::with(session, endurance::MS, &WORK.as_millis().to_string())
    }

    /// Has the guest work until its disk was unplugged and has come back.
    pub(super) fn until_replugged(session: &mut Session) -> Result<Load, Failure> {
        Load::with(session, endurance::UNPLUG, "1")
    }

    /// Under the scenario, which a boot has put out of force.
    fn with(session: &mut Session, name: &str, value: &str) -> Result<Load, Failure> {
        session.bench().set_scenario()?;
        let order = ToAgent::Run {
            test: TEST.to_owned(),
            seed: session.record().seed,
            params: [(name.to_owned(), value.to_owned())].into(),
        };
        let told = session.bench().present_guest()?.tell(&order);
        Ok(Load {
            begun: Instant::now(),
            ended: told.err().map(Err),
        })
    }

    /// Waits until the n-th fault is to happen; `false` if the load comes to its
    /// end before.
    pub(super) fn until_next(&mut self, session: &mut Session, nth: u32) -> Result<bool, Failure> {
        let at = Instant::now() + gap(session.record().seed, nth);
        if at > self.begun + WORK {
            return Ok(false);
        }
        self.follow(session, at)?;
        Ok(self.ended.is_none())
    }

    /// Waits until it has ended, and counts what became of its bios.
    pub(super) fn end(mut self, session: &mut Session, row: &mut Row) -> Result<(), Failure> {
        self.follow(session, self.begun + LIMIT)?;
        match self.ended {
            Some(Ok(finished)) => row.add(&finished),
            Some(Err(lost)) => row.end(lost),
            None => row.end(format!("the load hangs for {} s", LIMIT.as_secs())),
        }
        if row.reason.is_some() {
            session.bench().distrust_guest();
        }
        Ok(())
    }

    fn follow(&mut self, session: &mut Session, until: Instant) -> Result<(), Failure> {
        while self.ended.is_none() {
            match session.bench().present_guest()?.receive(until)? {
                Received::TimedOut => return Ok(()),
                Received::Ended(reason) => self.ended = Some(Err(reason)),
                Received::Said(said) => match *said {
                    ToLab::Finished(finished) if finished.test == TEST => {
                        self.ended = Some(Ok(finished));
                    }
                    ToLab::Broken { reason } => self.ended = Some(Err(reason)),
                    _ => {}
                },
            }
        }
        Ok(())
    }
}

/// Spread over the range, the same for the same seed.
fn gap(seed: u64, nth: u32) -> Duration {
    // The 64-bit golden ratio: neighbours come out far apart.
    let scrambled = (seed ^ u64::from(nth)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let (least, most) = GAP_MS;
    Duration::from_millis(least + scrambled % (most - least))
}

/// Whether all has been well so far.
pub(super) fn passed(finished: &Finished) -> bool {
    finished.verdict == Verdict::Pass
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_lie_in_their_range_and_differ() {
        let gaps: Vec<Duration> = (0..50).map(|nth| gap(7, nth)).collect();
        let (least, most) = GAP_MS;
        let range = Duration::from_millis(least)..Duration::from_millis(most);
        assert!(gaps.iter().all(|gap| range.contains(gap)), "{gaps:?}");
        assert!(gaps.windows(2).all(|pair| pair[0] != pair[1]), "{gaps:?}");
    }
}
