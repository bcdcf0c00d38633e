// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What one ring has in flight: its ledger, and what is to be taken again.

use std::collections::VecDeque;
use std::sync::Arc;

use irqstorm_core::request::QueueId;
use virtio_queue::{Queue, QueueT};

use super::ledger::{Ledger, LedgerError, Opened};
use super::region::Region;

/// A ring that cannot go on where it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InFlightError {
    /// Its ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A ring's requests in flight, where they outlive the device.
#[derive(Debug)]
pub(crate) struct InFlight {
    ledger: Ledger,
    /// Heads that the device had in a life before this one, in their order.
    /// They need not be in the available ring any more: the driver may have
    /// gone around it meanwhile.
    again: VecDeque<u16>,
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
        if taken > 0 {
            tracing::info!(
                queue = id.0,
                taken,
                "takes requests again that were in flight"
            );
        }
        Ok(InFlight {
            ledger,
            again: heads.into(),
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

    /// Whether there are heads to be taken again.
    pub(crate) fn has_more(&self) -> bool {
        !self.again.is_empty()
    }

    /// The next head that is to be taken again.
    pub(crate) fn take_again(&mut self) -> Option<u16> {
        self.again.pop_front()
    }
}
