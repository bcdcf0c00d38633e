// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where what lies in BAR 0 (NVMe over PCIe Transport 1.0, 3.1.1).
//!
//! Doorbells begin at 1000h, tail and head of each queue in turn. They follow
//! each other closely, or, where the guest is to write those of I/O queues
//! without anyone being told, a queue's two have a page of their own: what is
//! mapped is whole pages, and the admin doorbells are not among them.

use crate::options::{DoorbellMode, MAX_QUEUES};

/// Doorbells begin here (3.1.2).
pub(crate) const DOORBELLS_OFFSET: u64 = 0x1000;

/// What is mapped into a guest begins and ends with a page.
const PAGE: u64 = 0x1000;

/// CAP.DSTRD of doorbells of which each has half a page: 4 << 9 bytes.
const HALF_PAGE: u32 = 9;

/// A doorbell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bell {
    /// The tail of a submission queue.
    Tail(u16),
    /// The head of a completion queue.
    Head(u16),
}

/// What is at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A register, by its offset.
    Register(u64),
    /// A doorbell, which there may or may not be.
    Doorbell(Bell),
    /// Pending bits, from this byte on.
    Pending(u64),
    /// Nothing of ours.
    Nothing,
}

/// A part of the BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// The BAR of one controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    stride_exponent: u32,
}

impl Layout {
    /// That of a controller whose doorbells are written so.
    pub(crate) const fn of(mode: DoorbellMode) -> Layout {
        Layout {
            stride_exponent: match mode {
                DoorbellMode::Socket | DoorbellMode::Shadow => 0,
                DoorbellMode::Mapped => HALF_PAGE,
            },
        }
    }

    /// CAP.DSTRD: the bytes from one doorbell to the next are 4, shifted by so
    /// much (3.1.3.1).
    pub(crate) fn stride_exponent(self) -> u32 {
        self.stride_exponent
    }

    fn stride(self) -> u64 {
        4 << self.stride_exponent
    }

    /// Doorbells by their numbers, those of the admin queues and then those of
    /// I/O queues.
    pub(crate) fn io_numbers(self) -> std::ops::Range<u32> {
        2..(u32::from(MAX_QUEUES) + 1) * 2
    }

    /// Where a doorbell lies.
    pub(crate) fn doorbell(self, number: u32) -> u64 {
        DOORBELLS_OFFSET + u64::from(number) * self.stride()
    }

    /// Where those of I/O queues lie, if each has pages of its own.
    pub(crate) fn io_doorbells(self) -> Area {
        let numbers = self.io_numbers();
        let offset = self.doorbell(numbers.start);
        let size = self.doorbell(numbers.end) - offset;
        Area { offset, size }
    }

    /// The MSI-X table, which the VMM keeps: 16 bytes a vector. It is the first
    /// page behind the doorbells.
    pub(crate) fn table(self) -> u64 {
        self.doorbell(self.io_numbers().end).next_multiple_of(PAGE)
    }

    /// The pending bits, one a vector.
    pub(crate) fn pending(self) -> u64 {
        self.table() + PAGE
    }

    /// Bytes of the BAR.
    pub(crate) fn len(self) -> u64 {
        (self.pending() + PAGE).next_power_of_two()
    }

    /// What is at an offset. Doorbells lie at multiples of the stride, and
    /// between them is nothing.
    pub(crate) fn place(self, offset: u64) -> Place {
        if offset < DOORBELLS_OFFSET {
            return Place::Register(offset);
        }
        if offset < self.table() {
            let from_first = offset - DOORBELLS_OFFSET;
            if from_first % self.stride() >= 4 {
                return Place::Nothing;
            }
            let number = from_first / self.stride();
            let queue = u16::try_from(number / 2).unwrap_or(u16::MAX);
            return Place::Doorbell(match number % 2 {
                0 => Bell::Tail(queue),
                _ => Bell::Head(queue),
            });
        }
        match offset.checked_sub(self.pending()) {
            Some(from) => Place::Pending(from),
            None => Place::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doorbells_alternate_between_tails_and_heads() {
        let layout = Layout::of(DoorbellMode::Shadow);
        let of = |offset| layout.place(offset);
        assert_eq!(of(0x14), Place::Register(0x14));
        assert_eq!(of(0x1000), Place::Doorbell(Bell::Tail(0)));
        assert_eq!(of(0x1004), Place::Doorbell(Bell::Head(0)));
        assert_eq!(of(0x1200), Place::Doorbell(Bell::Tail(64)));
        assert_eq!(of(0x1fff), Place::Doorbell(Bell::Head(511)));
        assert_eq!(of(0x2000), Place::Nothing);
        assert_eq!(of(0x3008), Place::Pending(8));
        assert_eq!(layout.len(), 0x4000);
    }

    #[test]
    fn mapped_doorbells_have_whole_pages_and_the_admin_queues_none_of_them() {
        let layout = Layout::of(DoorbellMode::Mapped);
        let of = |offset| layout.place(offset);
        assert_eq!(of(0x1000), Place::Doorbell(Bell::Tail(0)));
        assert_eq!(of(0x1004), Place::Nothing);
        assert_eq!(of(0x1800), Place::Doorbell(Bell::Head(0)));
        assert_eq!(of(0x2000), Place::Doorbell(Bell::Tail(1)));
        assert_eq!(of(0x4_1800), Place::Doorbell(Bell::Head(64)));
        let area = Area {
            offset: 0x2000,
            size: 0x4_0000,
        };
        assert_eq!(layout.io_doorbells(), area);
        assert_eq!(layout.table(), 0x4_2000, "no page of the table is mapped");
        assert_eq!(of(0x4_3008), Place::Pending(8));
        assert_eq!(layout.len(), 0x8_0000);
    }
}
