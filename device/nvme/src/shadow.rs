// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where a queue's doorbell is read from: what was written to its register, or
//! the shadow that the driver keeps in its own memory (5.8, doorbell buffer
//! configuration).
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

    /// No more.
    pub(crate) fn forget(&self) {
        self.0.doorbells.store(NONE, Ordering::Release);
    }

    fn at(page: &AtomicU64, doorbell: u32) -> Option<GuestAddress> {
        let page = page.load(Ordering::Acquire);
        let at = page.checked_add(u64::from(doorbell) * 4)?;
        (page != NONE).then_some(GuestAddress(at))
    }
}

/// One doorbell of one queue.
#[derive(Clone, Debug)]
pub(crate) struct Doorbell {
    register: Arc<std::sync::atomic::AtomicU32>,
    shadow: Shadow,
    /// Its place among all doorbells.
    number: u32,
}

impl Doorbell {
    /// The tail of submission queue `id`.
    pub(crate) fn tail(id: u16, shadow: &Shadow) -> Doorbell {
        Doorbell::new(u32::from(id) * 2, shadow)
    }

    /// The head of completion queue `id`.
    pub(crate) fn head(id: u16, shadow: &Shadow) -> Doorbell {
        Doorbell::new(u32::from(id) * 2 + 1, shadow)
    }

    fn new(number: u32, shadow: &Shadow) -> Doorbell {
        Doorbell {
            register: Arc::default(),
            shadow: shadow.clone(),
            number,
        }
    }

    /// The register was written.
    pub(crate) fn ring(&self, value: u16) {
        self.register.store(value.into(), Ordering::Release);
    }

    /// What was last written to the register.
    pub(crate) fn register(&self) -> u32 {
        self.register.load(Ordering::Acquire)
    }

    /// What the driver says. A shadow that is not there says nothing new.
    pub(crate) fn get(&self, memory: &GuestMemoryMmap) -> u32 {
        match Shadow::at(&self.shadow.0.doorbells, self.number) {
            None => self.register(),
            Some(at) => memory
                .load(at, Ordering::Acquire)
                .map_or_else(|_| self.register(), u32::from_le),
        }
    }

    /// Asks to be woken once the driver goes past `seen`. Whoever goes to sleep
    /// after this looks once more first.
    pub(crate) fn wake_after(&self, memory: &GuestMemoryMmap, seen: u32) {
        let doorbells = Shadow::at(&self.shadow.0.doorbells, self.number);
        let index = Shadow::at(&self.shadow.0.event_indices, self.number);
        if let (Some(_), Some(at)) = (doorbells, index) {
            // A page that is gone wakes nobody, which is its driver's loss.
            let _ = memory.store(seen.to_le(), at, Ordering::Release);
            // The index is there before the doorbell is looked at again.
            fence(Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> GuestMemoryMmap {
        GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x3000)]).unwrap()
    }

    #[test]
    fn a_shadow_takes_the_registers_place_until_it_is_forgotten() {
        let (memory, shadow) = (memory(), Shadow::none());
        let (tail, head) = (Doorbell::tail(3, &shadow), Doorbell::head(3, &shadow));
        tail.ring(5);
        assert_eq!((tail.get(&memory), head.get(&memory)), (5, 0));
        shadow.configure(GuestAddress(0x1000), GuestAddress(0x2000));
        memory.write_obj(7u32, GuestAddress(0x1000 + 24)).unwrap();
        memory.write_obj(9u32, GuestAddress(0x1000 + 28)).unwrap();
        assert_eq!((tail.get(&memory), head.get(&memory)), (7, 9));
        tail.wake_after(&memory, 7);
        let index: u32 = memory.read_obj(GuestAddress(0x2000 + 24)).unwrap();
        assert_eq!(index, 7);
        tail.ring(8);
        assert_eq!(tail.get(&memory), 7, "the register is a kick");
        shadow.forget();
        assert_eq!(tail.get(&memory), 8);
        head.wake_after(&memory, 1);
        let index: u32 = memory.read_obj(GuestAddress(0x2000 + 28)).unwrap();
        assert_eq!(index, 0);
    }

    #[test]
    fn a_shadow_outside_guest_memory_says_nothing_new() {
        let (memory, shadow) = (memory(), Shadow::none());
        let tail = Doorbell::tail(1, &shadow);
        tail.ring(4);
        shadow.configure(GuestAddress(0x2ffc), GuestAddress(u64::MAX - 4));
        assert_eq!(tail.get(&memory), 4);
        tail.wake_after(&memory, 4);
    }
}
