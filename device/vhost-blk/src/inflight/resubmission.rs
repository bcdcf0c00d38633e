// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Requests that the device had in a life before this one, taken again.
//!
//! Their heads need not be in the available ring any more: the driver may have
//! gone around it meanwhile. virtio-queue makes a chain from an available ring
//! and from nothing else. So they get one of their own, in a page that only
//! this device sees, at an address that no guest has memory at.

use std::sync::Arc;

use irqstorm_front_end::Near;
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT};
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryMmap, GuestRegionMmap, MemoryRegionAddress, MmapRegion,
};

/// Where the page is: the last 64 KiB of addresses, in which the ring of the
/// largest size has room.
const PAGE: GuestAddress = GuestAddress(0xffff_ffff_ffff_0000);

/// Heads to be taken again, in their order.
#[derive(Debug)]
pub(crate) struct Resubmission {
    ring: Queue,
    page: Arc<GuestRegionMmap>,
}

/// Requests that cannot be taken again.
#[derive(Debug, thiserror::Error)]
#[error("requests that were in flight cannot be taken again: {0}")]
pub(crate) struct ResubmissionError(String);

impl Resubmission {
    /// That of `heads`, whose descriptors are those of `ring`.
    pub(crate) fn new(ring: &Queue, heads: &[u16]) -> Result<Resubmission, ResubmissionError> {
        let mut state = ring.state();
        state.avail_ring = PAGE.0;
        state.next_avail = 0;
        let ring = Queue::try_from(state).map_err(because)?;
        let page = page_of(heads).map_err(because)?;
        Ok(Resubmission {
            ring,
            page: Arc::new(page),
        })
    }

    /// Guest memory with the page in it.
    pub(crate) fn memory(
        &self,
        guest: &GuestMemoryMmap,
    ) -> Result<GuestMemoryMmap, ResubmissionError> {
        guest.insert_region(Arc::clone(&self.page)).map_err(because)
    }

    /// The next chain; `memory` is what [`Resubmission::memory`] says.
    pub(crate) fn next<'a, 'm>(
        &mut self,
        memory: &'a Near<'m>,
    ) -> Result<Option<DescriptorChain<&'a Near<'m>>>, ResubmissionError> {
        Ok(self.ring.iter(memory).map_err(because)?.next())
    }
}

/// An available ring with all of `heads` in it: flags, index, and the heads
/// (Virtio 1.2, 2.7.6).
fn page_of(heads: &[u16]) -> Result<GuestRegionMmap, Box<dyn std::error::Error>> {
    let count = u16::try_from(heads.len())?;
    let words = [0, count].into_iter().chain(heads.iter().copied());
    let ring: Vec<u8> = words.flat_map(u16::to_le_bytes).collect();
    let mapping = MmapRegion::new(ring.len())?;
    let page = GuestRegionMmap::new(mapping, PAGE).ok_or("they are too many")?;
    page.write_slice(&ring, MemoryRegionAddress(0))?;
    Ok(page)
}

fn because(error: impl std::fmt::Display) -> ResubmissionError {
    ResubmissionError(error.to_string())
}
