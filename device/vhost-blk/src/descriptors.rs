// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The descriptors of one chain, one after the other, in a ring's table or in
//! one of their own (Virtio 1.2, 2.7.5).
//!
//! virtio-queue has the same, but takes each descriptor for a run of bytes that
//! may lie in several regions, and makes a chain from an available ring and
//! from nothing else.

use irqstorm_front_end::Near;
use vm_memory::GuestAddress;

use crate::wire::{DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE, DESCRIPTOR_LEN};

/// One descriptor (2.7.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// Where its buffer is.
    pub(crate) start: GuestAddress,
    /// Bytes of its buffer.
    pub(crate) len: u32,
    flags: u16,
    next: u16,
}

impl Descriptor {
    fn parse(bytes: [u8; 16]) -> Descriptor {
        let [a @ .., l0, l1, l2, l3, f0, f1, n0, n1] = bytes;
        Descriptor {
            start: GuestAddress(u64::from_le_bytes(a)),
            len: u32::from_le_bytes([l0, l1, l2, l3]),
            flags: u16::from_le_bytes([f0, f1]),
            next: u16::from_le_bytes([n0, n1]),
        }
    }

    /// Whether the device writes its buffer, rather than reads it.
    pub(crate) fn is_writable(&self) -> bool {
        self.flags & DESC_F_WRITE != 0
    }

    /// Whether another follows it.
    pub(crate) fn has_next(&self) -> bool {
        self.flags & DESC_F_NEXT != 0
    }
}

/// What is left of a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptors {
    table: GuestAddress,
    /// Descriptors of the table.
    len: u32,
    next: u32,
    /// How many may still come: a chain is no longer than its table.
    left: u32,
    /// Bytes that there may still be: a chain has at most 2^32 (2.7.5.2).
    room: u32,
    indirect: bool,
}

impl Descriptors {
    /// Those of the chain that begins at `head`, in a ring's table.
    pub(crate) fn of(table: GuestAddress, len: u16, head: u16) -> Descriptors {
        Descriptors {
            table,
            len: len.into(),
            next: head.into(),
            left: len.into(),
            room: u32::MAX,
            indirect: false,
        }
    }

    /// The next one; `None` at the end, and where the chain cannot be followed.
    #[inline]
    pub(crate) fn next(&mut self, memory: &Near) -> Option<Descriptor> {
        let mut descriptor = self.read(memory)?;
        if descriptor.flags & DESC_F_INDIRECT != 0 {
            self.enter(&descriptor)?;
            descriptor = self.read(memory)?;
            if descriptor.flags & DESC_F_INDIRECT != 0 {
                // A table within a table (2.7.5.3.1).
                return None;
            }
        }
        self.room = self.room.checked_sub(descriptor.len)?;
        match descriptor.has_next() {
            true => {
                self.next = descriptor.next.into();
                self.left -= 1;
            }
            false => self.left = 0,
        }
        Some(descriptor)
    }

    fn read(&self, memory: &Near) -> Option<Descriptor> {
        let bytes = memory.sixteen(self.place()?).ok()?;
        Some(Descriptor::parse(bytes))
    }

    /// Where the next one is.
    fn place(&self) -> Option<GuestAddress> {
        if self.left == 0 || self.next >= self.len {
            return None;
        }
        let offset = u64::from(self.next) * DESCRIPTOR_LEN;
        self.table.0.checked_add(offset).map(GuestAddress)
    }

    /// Has the processor fetch the next one, which is wanted soon.
    pub(crate) fn touch(&self, memory: &Near) {
        if let Some(place) = self.place() {
            memory.touch(place);
        }
    }

    /// The same for what the next one refers to: a request's header, or a table.
    pub(crate) fn touch_buffer(&self, memory: &Near) {
        if let Some(descriptor) = self.read(memory) {
            memory.touch(descriptor.start);
        }
    }

    /// Goes on in the table that `descriptor` refers to (2.7.5.3).
    fn enter(&mut self, descriptor: &Descriptor) -> Option<()> {
        let bytes = u64::from(descriptor.len);
        let count = u16::try_from(bytes / DESCRIPTOR_LEN).ok()?;
        if self.indirect || !bytes.is_multiple_of(DESCRIPTOR_LEN) {
            return None;
        }
        self.table = descriptor.start;
        self.len = count.into();
        self.next = 0;
        self.left = self.len;
        self.indirect = true;
        Some(())
    }
}
