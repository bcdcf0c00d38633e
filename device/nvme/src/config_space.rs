// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The PCI configuration space (PCI Express Base 5.0, 7.5; NVMe over PCIe
//! Transport 1.0, 3.1).
//!
//! The VMM emulates what concerns addresses and routing, and passes the rest
//! on. Each byte has a mask of the bits that the guest can change.

use crate::bar::Layout;

/// Bytes of the space.
pub(crate) const CONFIG_LEN: usize = 256;

/// Vendor and device. The vendor is the one that emulators use; it is no
/// product's, so that no driver makes exceptions for it (Linux does for the
/// controller of QEMU's own).
pub(crate) const VENDOR_ID: u16 = 0x1234;
const DEVICE_ID: u16 = 0x4e56;

/// Mass storage, non-volatile memory, NVM Express I/O controller.
const CLASS: u32 = 0x01_08_02;

/// Status: there is a list of capabilities.
const STATUS_CAPABILITIES: u16 = 1 << 4;

/// Command: memory space, bus master, parity, SERR and interrupt disable can
/// be changed.
const COMMAND_MASK: u16 = 0x0546;

/// BAR 0 is 64 bits wide, of memory that is not prefetchable.
const BAR_MEMORY_64: u32 = 0x4;

const CAP_PM: u8 = 0x40;
const CAP_MSIX: u8 = 0x50;
const CAP_PCIE: u8 = 0x60;

/// Capability ids.
const ID_PM: u8 = 0x01;
const ID_PCIE: u8 = 0x10;
const ID_MSIX: u8 = 0x11;

/// Device control of the PCI Express capability, and the bit in its upper
/// byte that resets the function.
const DEVICE_CONTROL: u8 = CAP_PCIE + 8;
const INITIATE_RESET: u8 = 0x80;

/// What a write asks for beyond the bits that it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Nothing.
    Nothing,
    /// A reset of the function (PCI Express Base 5.0, 6.6.2).
    FunctionReset,
}

/// The space of one device.
pub(crate) struct ConfigSpace {
    bytes: [u8; CONFIG_LEN],
    writable: [u8; CONFIG_LEN],
}

impl ConfigSpace {
    /// With so many MSI-X vectors, 1 to 2048, and a BAR 0 that looks so.
    pub(crate) fn new(vectors: u16, bar: Layout) -> ConfigSpace {
        let mut space = ConfigSpace {
            bytes: [0; CONFIG_LEN],
            writable: [0; CONFIG_LEN],
        };
        space.header(bar);
        space.power_management();
        space.msix(vectors, bar);
        space.pci_express();
        space
    }

    fn put(&mut self, at: u8, bytes: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(at.into()).zip(bytes) {
            *to = *from;
        }
    }

    fn allow(&mut self, at: u8, mask: &[u8]) {
        for (to, from) in self.writable.iter_mut().skip(at.into()).zip(mask) {
            *to = *from;
        }
    }

    fn header(&mut self, bar: Layout) {
        self.put(0x00, &VENDOR_ID.to_le_bytes());
        self.put(0x02, &DEVICE_ID.to_le_bytes());
        self.allow(0x04, &COMMAND_MASK.to_le_bytes());
        self.put(0x06, &STATUS_CAPABILITIES.to_le_bytes());
        // Revision 0 in the lowest byte.
        self.put(0x08, &(CLASS << 8).to_le_bytes());
        self.put(0x10, &BAR_MEMORY_64.to_le_bytes());
        let bar_mask = !(bar.len() - 1);
        self.allow(0x10, &bar_mask.to_le_bytes());
        self.put(0x2c, &VENDOR_ID.to_le_bytes());
        self.put(0x2e, &DEVICE_ID.to_le_bytes());
        self.put(0x34, &[CAP_PM]);
        // Interrupt line, and pin A.
        self.allow(0x3c, &[0xff]);
        self.put(0x3d, &[1]);
    }

    /// Version 3; D0 and D3hot, nothing else (7.5.2).
    fn power_management(&mut self) {
        self.put(CAP_PM, &[ID_PM, CAP_MSIX, 0x03, 0x00]);
        // No soft reset from D3hot to D0.
        self.put(CAP_PM + 4, &[0x08, 0x00]);
        self.allow(CAP_PM + 4, &[0x03]);
    }

    /// Table and pending bits in BAR 0 (7.7.2).
    fn msix(&mut self, vectors: u16, bar: Layout) {
        self.put(CAP_MSIX, &[ID_MSIX, CAP_PCIE]);
        self.put(CAP_MSIX + 2, &(vectors - 1).to_le_bytes());
        // Function mask and enable.
        self.allow(CAP_MSIX + 3, &[0xc0]);
        self.put(CAP_MSIX + 4, &bar.table().to_le_bytes()[..4]);
        self.put(CAP_MSIX + 8, &bar.pending().to_le_bytes()[..4]);
    }

    /// Version 2, an endpoint that can be reset by itself (7.5.3).
    fn pci_express(&mut self) {
        self.put(CAP_PCIE, &[ID_PCIE, 0x00, 0x02, 0x00]);
        // Role-based errors, function level reset.
        let device_capabilities: u32 = 1 << 15 | 1 << 28;
        self.put(CAP_PCIE + 4, &device_capabilities.to_le_bytes());
        self.allow(DEVICE_CONTROL, &[0xff, 0x7f]);
        // 2.5 GT/s, one lane: what a link that does not exist has.
        let link: u32 = 1 | 1 << 4;
        self.put(CAP_PCIE + 0x0c, &link.to_le_bytes());
        self.put(CAP_PCIE + 0x12, &0x0011u16.to_le_bytes());
    }

    /// Fills `into` from `offset` on; zeroes beyond the end.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.bytes.iter().skip(offset).copied();
        for (to, from) in into.iter_mut().zip(bytes.chain(std::iter::repeat(0))) {
            *to = from;
        }
    }

    /// Changes what the guest can change.
    pub(crate) fn write(&mut self, offset: u64, from: &[u8]) -> Asked {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.bytes.iter_mut().zip(&self.writable).skip(offset);
        for ((byte, &mask), &value) in bytes.zip(from) {
            *byte = *byte & !mask | value & mask;
        }
        let control = usize::from(DEVICE_CONTROL + 1).checked_sub(offset);
        let control = control.and_then(|at| from.get(at));
        match control {
            Some(&value) if value & INITIATE_RESET != 0 => Asked::FunctionReset,
            _ => Asked::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::DoorbellMode;

    const BAR: Layout = Layout::of(DoorbellMode::Shadow);

    fn read<const N: usize>(space: &ConfigSpace, offset: u8) -> [u8; N] {
        let mut bytes = [0xee; N];
        space.read(offset.into(), &mut bytes);
        bytes
    }

    #[test]
    fn every_capability_is_found_by_following_the_list() {
        let space = ConfigSpace::new(65, BAR);
        let mut found = Vec::new();
        let [mut at] = read(&space, 0x34);
        while at != 0 {
            let [id, next] = read(&space, at);
            found.push(id);
            at = next;
        }
        assert_eq!(found, [ID_PM, ID_MSIX, ID_PCIE]);
        assert_eq!(u16::from_le_bytes(read(&space, CAP_MSIX + 2)), 64);
        assert_eq!(read(&space, 0x09), [0x02, 0x08, 0x01]);
    }

    #[test]
    fn only_what_can_be_changed_changes() {
        let mut space = ConfigSpace::new(1, BAR);
        let before: [u8; 256] = read(&space, 0);
        assert_eq!(space.write(0, &[0xff; 0x69]), Asked::Nothing);
        assert_eq!(space.write(0x6a, &[0xff; 0x96]), Asked::Nothing);
        let after: [u8; 256] = read(&space, 0);
        for at in 0..256 {
            let changed = after[at] ^ before[at];
            assert_eq!(changed & !space.writable[at], 0, "{at:#x}");
        }
        assert_eq!(read(&space, 0x10), [0x04, 0xc0, 0xff, 0xff]);
        assert_eq!(read(&space, 0xff), [0, 0], "and nothing beyond");
    }

    #[test]
    fn the_bit_that_resets_the_function_asks_for_it_and_reads_as_zero() {
        let mut space = ConfigSpace::new(1, BAR);
        let offset = u64::from(DEVICE_CONTROL);
        assert_eq!(space.write(offset, &[0x10, 0x80]), Asked::FunctionReset);
        assert_eq!(read(&space, DEVICE_CONTROL), [0x10, 0x00]);
        assert_eq!(space.write(offset, &[0x10, 0x28]), Asked::Nothing);
    }
}
