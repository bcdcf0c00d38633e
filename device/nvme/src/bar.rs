// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where what lies in BAR 0 (NVMe over PCIe Transport 1.0, 3.1.1).

/// Bytes of the BAR.
pub(crate) const BAR_LEN: u64 = 0x4000;

/// Doorbells begin here, in a page of their own: 4 bytes each, tail and head
/// of each queue in turn, with a stride of 0 (3.1.2).
pub(crate) const DOORBELLS_OFFSET: u64 = 0x1000;

/// The MSI-X table, which the VMM keeps: 16 bytes a vector.
pub(crate) const TABLE_OFFSET: u64 = 0x2000;

/// The pending bits, one a vector.
pub(crate) const PBA_OFFSET: u64 = 0x3000;

/// A doorbell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doorbell {
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
    Doorbell(Doorbell),
    /// Pending bits, from this byte on.
    Pending(u64),
    /// Nothing of ours.
    Nothing,
}

impl Place {
    pub(crate) fn of(offset: u64) -> Place {
        match offset {
            0..DOORBELLS_OFFSET => Place::Register(offset),
            DOORBELLS_OFFSET..TABLE_OFFSET => {
                let number = (offset - DOORBELLS_OFFSET) / 4;
                let queue = u16::try_from(number / 2).unwrap_or(u16::MAX);
                Place::Doorbell(match number % 2 {
                    0 => Doorbell::Tail(queue),
                    _ => Doorbell::Head(queue),
                })
            }
            PBA_OFFSET.. => Place::Pending(offset - PBA_OFFSET),
            _ => Place::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doorbells_alternate_between_tails_and_heads() {
        let of = Place::of;
        assert_eq!(of(0x14), Place::Register(0x14));
        assert_eq!(of(0x1000), Place::Doorbell(Doorbell::Tail(0)));
        assert_eq!(of(0x1004), Place::Doorbell(Doorbell::Head(0)));
        assert_eq!(of(0x1200), Place::Doorbell(Doorbell::Tail(64)));
        assert_eq!(of(0x1fff), Place::Doorbell(Doorbell::Head(511)));
        assert_eq!(of(0x2000), Place::Nothing);
        assert_eq!(of(0x3008), Place::Pending(8));
    }
}
