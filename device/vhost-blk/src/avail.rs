// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The available ring: which heads the driver has made available, and whether
//! it is to kick for more.
//!
//! The index is looked at only once all heads up to the one seen last are
//! taken: while the driver adds requests, its cache line is the driver's, and
//! each look costs the way there and back. virtio-queue looks for each head.

use std::num::Wrapping;
use std::sync::atomic::Ordering;

use irqstorm_front_end::Near;
use virtio_queue::{Error, Queue, QueueT};
use vm_memory::{Bytes, GuestAddress};

use crate::wire::{AVAIL_ELEMENT_LEN, RING_HEADER_LEN};

/// The device's view of one available ring (Virtio 1.2, 2.7.6).
#[derive(Debug)]
pub(crate) struct AvailRing {
    /// Where it is, and up to where its heads are taken.
    ring: Queue,
    /// Up to where the driver is known to have made heads available.
    seen: Wrapping<u16>,
    /// Whether the driver is asked to kick; known only without EVENT_IDX.
    kicks_wanted: bool,
    /// Whether the device looks for requests by itself.
    polled: bool,
}

impl AvailRing {
    /// That of `ring`, which was found valid, from its next available index on.
    pub(crate) fn new(ring: Queue) -> AvailRing {
        AvailRing {
            seen: Wrapping(ring.next_avail()),
            ring,
            kicks_wanted: true,
            polled: false,
        }
    }

    /// Entries of the ring.
    pub(crate) fn size(&self) -> u16 {
        self.ring.size()
    }

    /// Where the descriptors are that the heads are of.
    pub(crate) fn table(&self) -> GuestAddress {
        GuestAddress(self.ring.desc_table())
    }

    /// The index of the head that is taken next.
    pub(crate) fn next_index(&self) -> u16 {
        self.ring.next_avail()
    }

    /// The device looks for heads by itself, or no longer.
    pub(crate) fn set_polled(&mut self, polled: bool) {
        self.polled = polled;
    }

    /// Heads that are known of and not taken yet.
    pub(crate) fn known(&self) -> u16 {
        (self.seen - Wrapping(self.ring.next_avail())).0
    }

    /// Looks for heads; whether there is one. If not, the driver is asked to
    /// kick for the next, unless the device looks for it by itself.
    pub(crate) fn look(&mut self, memory: &Near) -> Result<bool, Error> {
        // Twice: something may have come between the look and the wish.
        for _ in 0..2 {
            if self.see(memory)? {
                if std::mem::take(&mut self.kicks_wanted) {
                    self.ring.disable_notification(memory)?;
                }
                return Ok(true);
            }
            if self.polled {
                return Ok(false);
            }
            self.kicks_wanted = true;
            if !self.ring.enable_notification(memory)? {
                return Ok(false);
            }
        }
        // The index said there was a head, and then did not.
        Err(Error::InvalidAvailRingIndex)
    }

    /// Acquire: what the driver wrote before the index is seen with it.
    fn see(&mut self, memory: &Near) -> Result<bool, Error> {
        let index = self.ring.avail_idx(memory, Ordering::Acquire)?;
        let next = Wrapping(self.ring.next_avail());
        // No driver has more heads outstanding than the ring has entries.
        if (index - next).0 > self.ring.size() {
            return Err(Error::InvalidAvailRingIndex);
        }
        self.seen = index;
        Ok(index != next)
    }

    /// Takes the next head that is known of.
    pub(crate) fn take(&mut self, memory: &Near) -> Result<u16, Error> {
        let next = self.ring.next_avail();
        let head = self.head(next, memory)?;
        self.ring.set_next_avail(next.wrapping_add(1));
        Ok(head)
    }

    /// The head so many after the next, if it is known of and can be read.
    pub(crate) fn ahead(&self, by: u16, memory: &Near) -> Option<u16> {
        let next = Wrapping(self.ring.next_avail());
        (by < self.known()).then(|| self.head((next + Wrapping(by)).0, memory).ok())?
    }

    fn head(&self, index: u16, memory: &Near) -> Result<u16, Error> {
        let slot = u64::from(index & self.ring.size().wrapping_sub(1));
        let offset = RING_HEADER_LEN + slot * AVAIL_ELEMENT_LEN;
        let address = self.ring.avail_ring().checked_add(offset);
        let address = address.map(GuestAddress).ok_or(Error::AddressOverflow)?;
        let head: u16 = memory
            .load(address, Ordering::Relaxed)
            .map_err(Error::GuestMemory)?;
        Ok(u16::from_le(head))
    }
}
