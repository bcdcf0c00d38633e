// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What one ring has in flight: its ledger, and what is to be taken again.

use std::sync::Arc;

use irqstorm_core::request::QueueId;
use irqstorm_front_end::Near;
use virtio_queue::{DescriptorChain, Queue, QueueT};

use super::ledger::{Ledger, LedgerError, Opened};
use super::region::Region;
use super::resubmission::{Resubmission, ResubmissionError};

/// A ring that cannot go on where it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InFlightError {
    /// Its ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Its requests cannot be taken again.
    #[error(transparent)]
    Resubmission(#[from] ResubmissionError),
}

/// A ring's requests in flight, where they outlive the device.
#[derive(Debug)]
pub(crate) struct InFlight {
    ledger: Ledger,
    again: Option<Resubmission>,
    next_avail: Option<u16>,
}

impl InFlight {
    /// What `region` says of `ring`.
    pub(crate) fn open(
        region: &Arc<Region>,
        id: QueueId,
        ring: &Queue,
    ) -> Result<InFlight, InFlightError> {
        let used = ring.next_used();
        let Opened {
            ledger,
            heads,
            resumed,
        } = Ledger::open(region, id.0, ring.size(), used)?;
        // Every request taken was used or is in flight. There are no more
        // heads than entries, and of these no more than 2^15.
        let taken = u16::try_from(heads.len()).unwrap_or(0);
        let again = match heads.as_slice() {
            [] => None,
            heads => Some(Resubmission::new(ring, heads)?),
        };
        if again.is_some() {
            tracing::info!(
                queue = id.0,
                taken,
                "takes requests again that were in flight"
            );
        }
        Ok(InFlight {
            ledger,
            again,
            next_avail: resumed.then(|| used.wrapping_add(taken)),
        })
    }

    /// Where the ring goes on, if it was served before.
    pub(crate) fn next_avail(&self) -> Option<u16> {
        self.next_avail
    }

    /// What is written down of it from now on.
    pub(crate) fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Whether there may be chains to be taken again.
    pub(crate) fn has_more(&self) -> bool {
        self.again.is_some()
    }

    /// Hands the next chain that is to be taken again to `take`, if there is
    /// one left.
    pub(crate) fn take_again<R>(
        &mut self,
        guest: &Near,
        take: impl FnOnce(DescriptorChain<&Near>) -> R,
    ) -> Result<Option<R>, ResubmissionError> {
        let Some(again) = &mut self.again else {
            return Ok(None);
        };
        let memory = again.memory(guest.memory())?;
        let taken = again.next(&Near::new(&memory))?.map(take);
        if taken.is_none() {
            self.again = None;
        }
        Ok(taken)
    }
}
