// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One ring's part of a region: the heads that the device has.
//!
//! A kill can come between any two stores. What each order of stores is good
//! for is said where it is made; [`Ledger::open`] draws the conclusions.

use std::num::Wrapping;
use std::sync::Arc;

use super::layout::{
    DESC_NUM_AT, LAST_BATCH_HEAD_AT, USED_IDX_AT, VERSION, VERSION_AT, counter_at, inflight_at,
    next_at,
};
use super::region::Region;

/// A ledger that the ring cannot be kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LedgerError {
    /// The region has none for this ring.
    #[error("the region of requests in flight has no part for it")]
    NoPart,
    /// It has too few entries.
    #[error("its part of the region of requests in flight has {has} entries, not {needs}")]
    TooSmall {
        /// Entries that there are.
        has: u16,
        /// Entries of the ring.
        needs: u16,
    },
    /// It was written by something that is not understood.
    #[error("its part of the region of requests in flight has version {0}, not {VERSION}")]
    Version(u16),
}

/// The heads of one ring that the device has.
#[derive(Debug)]
pub(crate) struct Ledger {
    region: Arc<Region>,
    /// Where its part of the region begins.
    base: usize,
    /// Entries that count: those of the ring.
    size: u16,
    /// As how manieth the next head is taken.
    counter: u64,
}

/// What a ledger says of the life before this one.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) ledger: Ledger,
    /// The heads that the device had, in the order in which it took them.
    pub(crate) heads: Vec<u16>,
    /// Whether there was a life before this one.
    pub(crate) resumed: bool,
}

impl Ledger {
    /// That of ring `number`, which has `size` entries and whose used index
    /// is `used`: settled, and ready to be written.
    pub(crate) fn open(
        region: &Arc<Region>,
        number: u16,
        size: u16,
        used: u16,
    ) -> Result<Opened, LedgerError> {
        let has = region.size();
        if size > has {
            return Err(LedgerError::TooSmall { has, needs: size });
        }
        let mut ledger = Ledger {
            base: region.ring(number).ok_or(LedgerError::NoPart)?,
            region: Arc::clone(region),
            size,
            counter: 0,
        };
        let resumed = match ledger.load(VERSION_AT) {
            0 => false,
            VERSION => true,
            other => return Err(LedgerError::Version(other)),
        };
        if resumed {
            ledger.settle(used);
        } else {
            ledger.begin(used);
        }
        let heads = ledger.heads_in_order();
        Ok(Opened {
            ledger,
            heads,
            resumed,
        })
    }

    /// Nothing is in flight.
    fn begin(&self, used: u16) {
        (0..self.size).for_each(|head| self.strike(head));
        self.store(DESC_NUM_AT, self.region.size());
        self.store(USED_IDX_AT, used);
        self.store(VERSION_AT, VERSION);
    }

    /// The last batch may have become visible with its heads not struck off,
    /// or not all of them: it is as large as the used index has gone further
    /// than is written here.
    fn settle(&self, used: u16) {
        let batch = (Wrapping(used) - Wrapping(self.load(USED_IDX_AT))).0;
        if batch > self.size {
            // No batch is that large: the ring has begun anew since, and what
            // was in flight before went with the old one.
            tracing::warn!("requests in flight of another ring are forgotten");
            return self.begin(used);
        }
        let mut head = self.load(LAST_BATCH_HEAD_AT);
        for _ in 0..batch {
            if head >= self.size {
                break;
            }
            self.strike(head);
            head = self.load(next_at(head));
        }
        self.store(USED_IDX_AT, used);
    }

    fn heads_in_order(&mut self) -> Vec<u16> {
        let inflight = |head: &u16| self.load::<u8>(inflight_at(*head)) == 1;
        let counted = |head| (self.load::<u64>(counter_at(head)), head);
        let mut heads: Vec<(u64, u16)> = (0..self.size).filter(inflight).map(counted).collect();
        heads.sort_unstable();
        self.counter = heads.last().map_or(0, |&(last, _)| last.wrapping_add(1));
        heads.into_iter().map(|(_, head)| head).collect()
    }

    /// The device has taken `head`. Counted first: a head that is in flight
    /// has its place in the order.
    pub(crate) fn take(&mut self, head: u16) {
        if head < self.size {
            self.store(counter_at(head), self.counter);
            self.store(inflight_at(head), 1u8);
            self.counter = self.counter.wrapping_add(1);
        }
    }

    /// The completion of `head` is written and not visible yet: it belongs to
    /// the batch that will be. Linked before it is the last, so that the
    /// list is whole at any time.
    pub(crate) fn complete(&self, head: u16) {
        if head < self.size {
            self.store(next_at(head), self.load::<u16>(LAST_BATCH_HEAD_AT));
            self.store(LAST_BATCH_HEAD_AT, head);
        }
    }

    /// The completions of `heads` are visible, up to the used index `used`.
    /// Struck off before the index is written here: until then the batch is
    /// found by the difference.
    pub(crate) fn publish(&self, heads: &[u16], used: u16) {
        for &head in heads {
            if head < self.size {
                self.strike(head);
            }
        }
        self.store(USED_IDX_AT, used);
    }

    /// From now on the ring says nothing about the ledger, nor the other way.
    pub(crate) fn give_up(&self) {
        self.store(VERSION_AT, 0u16);
    }

    fn strike(&self, head: u16) {
        self.store(inflight_at(head), 0u8);
    }

    fn store<T: vm_memory::AtomicAccess>(&self, at: usize, value: T) {
        self.region.store(self.base + at, value);
    }

    fn load<T: vm_memory::AtomicAccess + Default>(&self, at: usize) -> T {
        self.region.load(self.base + at)
    }
}

#[cfg(test)]
mod tests;
