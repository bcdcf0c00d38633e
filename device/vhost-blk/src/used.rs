// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The used ring, in three steps: element, index, and what the driver wants to
//! hear of it. virtio-queue has the first two in one and knows only half of
//! the third.

use std::num::Wrapping;
use std::sync::atomic::{Ordering, fence};

use irqstorm_front_end::Near;
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use crate::wire::{
    AVAIL_ELEMENT_LEN, AVAIL_F_NO_INTERRUPT, RING_HEADER_LEN, RING_IDX_OFFSET, USED_ELEMENT_LEN,
};

/// The device's side of one split ring (Virtio 1.2, 2.7.8).
#[derive(Debug)]
pub(crate) struct UsedRing {
    used: GuestAddress,
    avail: GuestAddress,
    size: u16,
    event_idx: bool,
    /// Where the next element goes.
    written: Wrapping<u16>,
    /// The index that the driver sees.
    published: Wrapping<u16>,
    /// Elements written since the device has the ring.
    count: u64,
    /// How many of them the driver has read at least.
    read: u64,
    /// For each head, how many of them there were with the one that gave it
    /// back.
    given_back: Vec<Option<u64>>,
    /// Elements published since the driver's wish was last looked at.
    unasked: u32,
}

impl UsedRing {
    /// That of `queue`, from its next used index on. The size is not zero and
    /// the addresses are checked: `queue` was found valid.
    pub(crate) fn new(queue: &Queue) -> UsedRing {
        UsedRing {
            used: GuestAddress(queue.used_ring()),
            avail: GuestAddress(queue.avail_ring()),
            size: queue.size().max(1),
            event_idx: queue.event_idx_enabled(),
            written: Wrapping(queue.next_used()),
            published: Wrapping(queue.next_used()),
            count: 0,
            read: 0,
            given_back: vec![None; usize::from(queue.size())],
            unasked: 0,
        }
    }

    /// The index that the driver sees.
    pub(crate) fn published(&self) -> u16 {
        self.published.0
    }

    /// The driver used `head` again, so it has read the element that gave it
    /// back, and with it those before: nothing else tells how far it has read.
    pub(crate) fn came_back(&mut self, head: u16) {
        if let Some(Some(count)) = self.given_back.get(usize::from(head)) {
            self.read = self.read.max(*count);
        }
    }

    /// Elements that can be written before one may be lost that the driver has
    /// not read. As long as each head is given back once, there is room for
    /// every head that the device has: those not read are of other heads. What
    /// stood in the ring before the device had it is taken as read.
    pub(crate) fn room(&self) -> u16 {
        let unread = self.count.saturating_sub(self.read);
        let size = u64::from(self.size);
        u16::try_from(size.saturating_sub(unread)).unwrap_or(self.size)
    }

    /// Writes the element that gives `head` back, behind those already there.
    /// The driver does not see it: it looks no further than the index (2.7.14).
    pub(crate) fn write(
        &mut self,
        memory: &Near,
        head: u16,
        len: u32,
    ) -> Result<(), GuestMemoryError> {
        self.write_element(memory, u32::from(head), len)?;
        if let Some(count) = self.given_back.get_mut(usize::from(head)) {
            *count = Some(self.count);
        }
        Ok(())
    }

    /// Writes an element that gives nothing back, whatever its id says.
    pub(crate) fn write_element(
        &mut self,
        memory: &Near,
        id: u32,
        len: u32,
    ) -> Result<(), GuestMemoryError> {
        let slot = u64::from(self.written.0 % self.size);
        let at = at(self.used, RING_HEADER_LEN + slot * USED_ELEMENT_LEN)?;
        memory.write_words([id.to_le(), len.to_le()], at)?;
        self.written += 1;
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Shows the driver every element written so far.
    pub(crate) fn publish(&mut self, memory: &Near) -> Result<(), GuestMemoryError> {
        let more = (self.written - self.published).0;
        if more == 0 {
            return Ok(());
        }
        // Release: data, status and elements are visible before the index
        // that covers them (2.7.8.2).
        let at = at(self.used, RING_IDX_OFFSET)?;
        memory.store(self.written.0.to_le(), at, Ordering::Release)?;
        self.published = self.written;
        self.unasked = self.unasked.saturating_add(u32::from(more));
        Ok(())
    }

    /// Whether the driver wants an interrupt for what was published since it
    /// was last asked (2.7.7.2).
    pub(crate) fn wants_interrupt(&mut self, memory: &Near) -> Result<bool, GuestMemoryError> {
        let news = std::mem::take(&mut self.unasked);
        if news == 0 {
            return Ok(false);
        }
        // The index must be visible before the wish is read, or a driver that
        // looks at the index and then asks for an interrupt would be told
        // neither way. A store followed by a load needs the full fence.
        fence(Ordering::SeqCst);
        if !self.event_idx {
            let flags = memory
                .load(self.avail, Ordering::Relaxed)
                .map(u16::from_le)?;
            return Ok(flags & AVAIL_F_NO_INTERRUPT == 0);
        }
        let offset = RING_HEADER_LEN + u64::from(self.size) * AVAIL_ELEMENT_LEN;
        let used_event = memory
            .load(at(self.avail, offset)?, Ordering::Relaxed)
            .map(u16::from_le)?;
        Ok(passed(Wrapping(used_event), self.published, news))
    }
}

/// Whether the element at index `event` is among the last `news` before `now`.
fn passed(event: Wrapping<u16>, now: Wrapping<u16>, news: u32) -> bool {
    u32::from((now - event - Wrapping(1)).0) < news
}

fn at(ring: GuestAddress, offset: u64) -> Result<GuestAddress, GuestMemoryError> {
    let address = ring.0.checked_add(offset);
    address
        .map(GuestAddress)
        .ok_or(GuestMemoryError::GuestAddressOverflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_passed_by_the_element_at_its_index_and_no_other() {
        let passed = |event, now, news| passed(Wrapping(event), Wrapping(now), news);
        assert!(!passed(5, 5, 1), "element 5 is not published yet");
        assert!(passed(5, 6, 1), "element 5 is the news");
        assert!(!passed(5, 7, 1), "element 5 is old news");
        assert!(passed(5, 7, 2), "element 5 is among two");
    }

    #[test]
    fn the_wrap_of_the_index_passes_events_like_any_other_step() {
        let passed = |event, now, news| passed(Wrapping(event), Wrapping(now), news);
        assert!(passed(65535, 0, 1));
        assert!(!passed(0, 0, 1));
        assert!(passed(0, 1, 2));
        assert!(passed(65534, 1, 3));
        assert!(!passed(65533, 1, 3));
    }

    #[test]
    fn more_news_than_indices_pass_every_event() {
        assert!(passed(Wrapping(7), Wrapping(7), 65536));
        assert!(!passed(Wrapping(7), Wrapping(7), 65535));
    }
}
