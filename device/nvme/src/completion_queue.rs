// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A completion queue in two steps: the entry is written with the phase that
//! the slot has already, so that the driver does not see it; to publish it is
//! to turn that phase.
//!
//! A queue can be full, since nothing but a doorbell says how far the driver
//! has read: what does not fit waits, in order, for that doorbell. Several
//! submission queues can share one; entries become visible in the order in
//! which they were written, since a driver stops at the first that is not.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use irqstorm_core::units::Nanos;
use vm_memory::{Bytes, GuestAddress, GuestMemoryError, GuestMemoryMmap};

use crate::coalescing::Coalescing;
use crate::doorbell::Doorbell;
use crate::interrupts::Interrupts;
use crate::wire::{CQE_LEN, Completion};

/// What a completion queue is created with.
#[derive(Clone, Debug)]
pub(crate) struct CompletionQueueSetup {
    pub(crate) base: GuestAddress,
    /// Entries: 2 at least.
    pub(crate) size: u16,
    /// Its interrupt vector, if its interrupts are enabled.
    pub(crate) vector: Option<u16>,
    pub(crate) interrupts: Interrupts,
    pub(crate) coalescing: Coalescing,
    /// How far the driver has read.
    pub(crate) head: Doorbell,
}

/// A completion queue; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct CompletionQueue {
    ring: Arc<Mutex<Ring>>,
    head: Doorbell,
}

#[derive(Debug)]
struct Ring {
    setup: CompletionQueueSetup,
    /// The slot of the next entry, and the phase that shows it.
    tail: u16,
    phase: bool,
    /// Slots written and not shown yet, with their status and phase.
    hidden: Vec<(u16, u16)>,
    /// Entries that did not fit.
    waiting: VecDeque<Completion>,
    /// Entries shown since the driver's wish was last looked at.
    unasked: u32,
    /// The slot after the last entry that an interrupt told of.
    told: u16,
    /// Whether someone waits for the driver to read.
    awaited: bool,
}

impl CompletionQueue {
    pub(crate) fn new(setup: CompletionQueueSetup) -> CompletionQueue {
        let head = setup.head.clone();
        let ring = Ring {
            setup,
            tail: 0,
            phase: true,
            hidden: Vec::new(),
            waiting: VecDeque::new(),
            unasked: 0,
            told: 0,
            awaited: false,
        };
        CompletionQueue {
            ring: Arc::new(Mutex::new(ring)),
            head,
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Entries.
    pub(crate) fn size(&self) -> u16 {
        self.ring().setup.size
    }

    /// The driver has read so far; it has to be within the queue.
    pub(crate) fn ring_doorbell(&self, head: u16) {
        self.head.ring(head);
    }

    /// Asks to be woken once the driver has read more; whoever waits for that
    /// looks once more after this.
    pub(crate) fn wake_when_read(&self, memory: &GuestMemoryMmap) {
        self.head.wake_after(memory, self.head.get(memory));
    }

    /// The slot of the next entry.
    #[cfg(test)]
    pub(crate) fn tail(&self) -> u16 {
        self.ring().tail
    }

    /// Whether entries wait for room.
    pub(crate) fn is_congested(&self) -> bool {
        !self.ring().waiting.is_empty()
    }

    /// Whether someone is to look once the driver has read more: for room, or
    /// for what its interrupt told it of.
    pub(crate) fn is_awaited(&self) -> bool {
        let ring = self.ring();
        ring.awaited || !ring.waiting.is_empty()
    }

    /// Whether the driver has yet to read what its last interrupt told it of;
    /// then someone waits until it has, and is to be woken unless he looks all
    /// the time.
    pub(crate) fn is_yet_to_read(&self, memory: &GuestMemoryMmap, polled: bool) -> bool {
        let mut ring = self.ring();
        ring.awaited = ring.is_yet_to_read(memory);
        if ring.awaited && !polled {
            self.wake_when_read(memory);
            ring.awaited = ring.is_yet_to_read(memory);
        }
        ring.awaited
    }

    /// Entries that can be written with none waiting.
    pub(crate) fn room(&self, memory: &GuestMemoryMmap) -> u16 {
        let ring = self.ring();
        match ring.waiting.is_empty() {
            true => ring.room(memory),
            false => 0,
        }
    }

    /// Writes an entry that the driver does not see yet.
    pub(crate) fn write(
        &self,
        memory: &GuestMemoryMmap,
        entry: Completion,
    ) -> Result<(), GuestMemoryError> {
        let mut ring = self.ring();
        if ring.waiting.is_empty() && ring.room(memory) > 0 {
            return ring.put(memory, entry);
        }
        ring.waiting.push_back(entry);
        Ok(())
    }

    /// Shows the driver every entry written so far, and of those that wait as
    /// many as fit.
    pub(crate) fn publish(&self, memory: &GuestMemoryMmap) -> Result<(), GuestMemoryError> {
        let mut ring = self.ring();
        while ring.room(memory) > 0
            && let Some(entry) = ring.waiting.pop_front()
        {
            ring.put(memory, entry)?;
        }
        ring.show(memory)
    }

    /// Until when the interrupt for what was shown may wait for more on its
    /// vector, if it may.
    pub(crate) fn coalesces_until(&self, now: Nanos) -> Option<Nanos> {
        let mut ring = self.ring();
        let vector = ring.setup.vector?;
        let news = std::mem::take(&mut ring.unasked);
        ring.setup.coalescing.wait_until(vector, news, now)
    }

    /// Whether the driver has read all that was shown.
    pub(crate) fn is_read(&self, memory: &GuestMemoryMmap) -> bool {
        self.ring().unread(memory) == 0
    }

    /// Whether the driver wants an interrupt for what was shown since this was
    /// last asked.
    pub(crate) fn wants_interrupt(&self) -> bool {
        let mut ring = self.ring();
        let news = std::mem::take(&mut ring.unasked) > 0;
        let Some(vector) = ring.setup.vector else {
            return false;
        };
        ring.setup.coalescing.settle(vector) || news
    }

    /// Raises the interrupt, if there is one.
    pub(crate) fn signal(&self) {
        let mut ring = self.ring();
        ring.told = ring.shown();
        if let Some(vector) = ring.setup.vector {
            ring.setup.coalescing.settle(vector);
            ring.setup.interrupts.signal(vector, ring.has_unread());
        }
    }

    /// Whether an interrupt could tell of entries that the driver has not read.
    pub(crate) fn has_unread(&self) -> bool {
        let ring = self.ring();
        ring.setup.vector.is_some() && ring.has_unread()
    }
}

impl Ring {
    /// A queue with one free slot is full (3.3.1.2).
    fn room(&self, memory: &GuestMemoryMmap) -> u16 {
        let used = self.ahead(self.tail, self.setup.head.get(memory));
        u16::try_from(u32::from(self.setup.size) - 1 - used).unwrap_or(0)
    }

    /// Entries from a head to a slot.
    fn ahead(&self, slot: u16, head: u32) -> u32 {
        let size = u32::from(self.setup.size);
        (u32::from(slot) + size - head) % size
    }

    /// The slot after the last entry that was shown.
    fn shown(&self) -> u16 {
        let hidden = u16::try_from(self.hidden.len()).unwrap_or(0);
        match self.tail.checked_sub(hidden) {
            Some(shown) => shown,
            None => self.setup.size - (hidden - self.tail),
        }
    }

    /// Entries that were shown and not read.
    fn unread(&self, memory: &GuestMemoryMmap) -> u32 {
        self.ahead(self.shown(), self.setup.head.get(memory))
    }

    /// Whether the driver has not come as far as its last interrupt told it.
    fn is_yet_to_read(&self, memory: &GuestMemoryMmap) -> bool {
        let told = self.ahead(self.told, self.setup.head.get(memory));
        (1..=self.unread(memory)).contains(&told)
    }

    /// Whether there are entries that were shown and not read, as far as the
    /// doorbell's register says.
    fn has_unread(&self) -> bool {
        self.ahead(self.shown(), self.setup.head.register()) > 0
    }

    fn slot(&self, slot: u16) -> Result<GuestAddress, GuestMemoryError> {
        let offset = u64::from(slot) * CQE_LEN as u64;
        let address = self.setup.base.0.checked_add(offset);
        address
            .map(GuestAddress)
            .ok_or(GuestMemoryError::GuestAddressOverflow)
    }

    fn put(&mut self, memory: &GuestMemoryMmap, entry: Completion) -> Result<(), GuestMemoryError> {
        memory.write_slice(&entry.bytes(!self.phase), self.slot(self.tail)?)?;
        self.hidden
            .push((self.tail, entry.status_and_phase(self.phase)));
        self.tail += 1;
        if self.tail >= self.setup.size {
            self.tail = 0;
            self.phase = !self.phase;
        }
        Ok(())
    }

    fn show(&mut self, memory: &GuestMemoryMmap) -> Result<(), GuestMemoryError> {
        for (slot, status) in std::mem::take(&mut self.hidden) {
            let at = self.slot(slot)?.0 + Completion::STATUS_OFFSET;
            // Release: data and the entry's other fields are visible before
            // the phase that says so (4.6).
            memory.store(status.to_le(), GuestAddress(at), Ordering::Release)?;
            self.unasked = self.unasked.saturating_add(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bar::Layout;
    use crate::doorbell::Doorbells;
    use crate::options::DoorbellMode;
    use crate::wire::StatusCode;

    const BASE: u64 = 0x1000;

    fn memory() -> GuestMemoryMmap {
        GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x4000)]).unwrap()
    }

    fn queue(size: u16) -> CompletionQueue {
        let mode = DoorbellMode::Socket;
        let doorbells = Doorbells::new(mode, Layout::of(mode)).unwrap();
        CompletionQueue::new(CompletionQueueSetup {
            base: GuestAddress(BASE),
            size,
            vector: Some(0),
            interrupts: Interrupts::new(1),
            coalescing: Coalescing::new(1),
            head: doorbells.head(1, size),
        })
    }

    fn entry(command_id: u16) -> Completion {
        Completion {
            result: 0,
            sq_head: 0,
            sq_id: 1,
            command_id,
            status: StatusCode::SUCCESS,
        }
    }

    /// Command and phase of a slot.
    fn slot(memory: &GuestMemoryMmap, slot: u64) -> (u16, bool) {
        let at = BASE + slot * CQE_LEN as u64;
        let read = |at| memory.read_obj::<u16>(GuestAddress(at)).unwrap();
        (read(at + 12), read(at + 14) & 1 != 0)
    }

    #[test]
    fn an_entry_is_written_whole_and_its_phase_turned_when_it_is_published() {
        let (memory, queue) = (memory(), queue(4));
        queue.write(&memory, entry(7)).unwrap();
        queue.write(&memory, entry(8)).unwrap();
        assert_eq!(
            [slot(&memory, 0), slot(&memory, 1)],
            [(7, false), (8, false)]
        );
        assert!(!queue.wants_interrupt());
        queue.publish(&memory).unwrap();
        assert_eq!([slot(&memory, 0), slot(&memory, 1)], [(7, true), (8, true)]);
        assert!(queue.wants_interrupt());
        assert!(!queue.wants_interrupt(), "nothing new");
    }

    #[test]
    fn the_phase_turns_with_every_round() {
        let (memory, queue) = (memory(), queue(3));
        for id in 0..12u16 {
            let (at, shown) = (u64::from(id % 3), id / 3 % 2 == 0);
            queue.write(&memory, entry(id)).unwrap();
            assert_eq!(slot(&memory, at), (id, !shown));
            queue.publish(&memory).unwrap();
            assert_eq!(slot(&memory, at), (id, shown));
            queue.ring_doorbell((id + 1) % 3);
        }
    }

    #[test]
    fn what_does_not_fit_waits_for_the_doorbell_and_overwrites_nothing() {
        let (memory, queue) = (memory(), queue(3));
        for id in 0..5 {
            queue.write(&memory, entry(id)).unwrap();
        }
        queue.publish(&memory).unwrap();
        assert!(queue.is_congested());
        assert_eq!(queue.room(&memory), 0);
        assert_eq!([slot(&memory, 0), slot(&memory, 1)], [(0, true), (1, true)]);
        assert_eq!(slot(&memory, 2), (0, false), "untouched");
        queue.ring_doorbell(1);
        queue.publish(&memory).unwrap();
        assert_eq!([slot(&memory, 2), slot(&memory, 0)], [(2, true), (0, true)]);
        queue.ring_doorbell(0);
        queue.publish(&memory).unwrap();
        assert_eq!(
            [slot(&memory, 0), slot(&memory, 1)],
            [(3, false), (4, false)]
        );
        assert!(!queue.is_congested());
    }

    #[test]
    fn a_queue_outside_guest_memory_says_so() {
        let (memory, queue) = (memory(), queue(2));
        queue.ring().setup.base = GuestAddress(u64::MAX - 8);
        queue.write(&memory, entry(0)).unwrap_err();
    }
}
