// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The shadow of the doorbells that a driver keeps in its own memory (5.8,
//! doorbell buffer configuration).
//!
//! With a shadow a driver writes the register only when the shadow passes the
//! event index that the controller has left; the register is then no more than
//! a kick, and may come when the shadow's value was seen long ago. The event
//! index is moved only before the controller goes to sleep: as long as it polls
//! nobody has to wake it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// No shadow: no page of a driver's begins there.
const NONE: u64 = u64::MAX;

#[derive(Debug)]
struct Pages {
    doorbells: AtomicU64,
    event_indices: AtomicU64,
}

/// The shadow of all I/O doorbells of a controller; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Shadow(Arc<Pages>);

impl Shadow {
    /// There is none.
    pub(crate) fn none() -> Shadow {
        Shadow(Arc::new(Pages {
            doorbells: AtomicU64::new(NONE),
            event_indices: AtomicU64::new(NONE),
        }))
    }

    /// The driver keeps its doorbells here from now on.
    pub(crate) fn configure(&self, doorbells: GuestAddress, event_indices: GuestAddress) {
        let pages = &self.0;
        pages
            .event_indices
            .store(event_indices.0, Ordering::Release);
        pages.doorbells.store(doorbells.0, Ordering::Release);
    }

    /// Whether the driver does.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.doorbells.load(Ordering::Acquire) != NONE
    }

    /// No more.
    pub(crate) fn forget(&self) {
        self.0.doorbells.store(NONE, Ordering::Release);
    }

    fn at(page: &AtomicU64, doorbell: u32) -> Option<GuestAddress> {
        let page = page.load(Ordering::Acquire);
        let at = page.checked_add(u64::from(doorbell) * 4)?;
        (page != NONE).then_some(GuestAddress(at))
    }

    /// What the driver says of a doorbell, if it keeps it where there is memory.
    pub(crate) fn get(&self, doorbell: u32, memory: &GuestMemoryMmap) -> Option<u32> {
        let at = Shadow::at(&self.0.doorbells, doorbell)?;
        memory.load(at, Ordering::Acquire).ok().map(u32::from_le)
    }

    /// Asks to be woken once the driver goes past `seen`. Whoever goes to sleep
    /// after this looks once more first.
    pub(crate) fn wake_after(&self, doorbell: u32, memory: &GuestMemoryMmap, seen: u32) {
        let doorbells = Shadow::at(&self.0.doorbells, doorbell);
        let index = Shadow::at(&self.0.event_indices, doorbell);
        if let (Some(_), Some(at)) = (doorbells, index) {
            // A page that is gone wakes nobody, which is its driver's loss.
            let _ = memory.store(seen.to_le(), at, Ordering::Release);
            // The index is there before the doorbell is looked at again.
            fence(Ordering::SeqCst);
        }
    }
}
