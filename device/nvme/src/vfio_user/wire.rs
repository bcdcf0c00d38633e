// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Numbers and layouts of the protocol. All of it is in the host's order.

use rustix::io::Errno;

/// Bytes of a header.
pub(super) const HEADER_LEN: usize = 16;

/// The most data of one access: what the protocol assumes unless told
/// otherwise.
pub(super) const MAX_DATA: u32 = 1 << 20;

/// Bytes before the data of an access: offset, region, count.
pub(super) const ACCESS_LEN: usize = 16;

/// The longest message of a client.
pub(super) const MAX_MESSAGE: usize = HEADER_LEN + ACCESS_LEN + MAX_DATA as usize;

/// The protocol's version that is spoken here.
pub(super) const MAJOR: u16 = 0;
pub(super) const MINOR: u16 = 1;

/// Commands ("Commands").
pub(super) mod command {
    pub(in crate::vfio_user) const VERSION: u16 = 1;
    pub(in crate::vfio_user) const DMA_MAP: u16 = 2;
    pub(in crate::vfio_user) const DMA_UNMAP: u16 = 3;
    pub(in crate::vfio_user) const DEVICE_GET_INFO: u16 = 4;
    pub(in crate::vfio_user) const DEVICE_GET_REGION_INFO: u16 = 5;
    pub(in crate::vfio_user) const DEVICE_GET_IRQ_INFO: u16 = 7;
    pub(in crate::vfio_user) const DEVICE_SET_IRQS: u16 = 8;
    pub(in crate::vfio_user) const REGION_READ: u16 = 9;
    pub(in crate::vfio_user) const REGION_WRITE: u16 = 10;
    pub(in crate::vfio_user) const DEVICE_RESET: u16 = 13;
}

/// In a header's flags ("Header"): the type of the message, of which 0 is a
/// command, and what else it says.
pub(super) const TYPE_MASK: u32 = 0xf;
pub(super) const TYPE_REPLY: u32 = 0x1;
pub(super) const NO_REPLY: u32 = 1 << 4;
pub(super) const ERROR: u32 = 1 << 5;

/// A map can be written.
pub(super) const MAP_WRITABLE: u32 = 1 << 1;

/// An unmap is of everything (linux/vfio.h, VFIO_DMA_UNMAP_FLAG_ALL).
pub(super) const UNMAP_ALL: u32 = 1 << 1;

/// Of a device: it can be reset, it is one of PCI.
pub(super) const DEVICE_RESETS: u32 = 1 << 0;
pub(super) const DEVICE_IS_PCI: u32 = 1 << 1;

/// Regions and interrupts of a PCI device (linux/vfio.h).
pub(super) const REGIONS: u32 = 9;
pub(super) const REGION_BAR0: u32 = 0;
pub(super) const REGION_CONFIG: u32 = 7;
pub(super) const IRQS: u32 = 5;
pub(super) const IRQ_INTX: u32 = 0;
pub(super) const IRQ_MSIX: u32 = 2;

/// Of a region: it can be read, and written.
pub(super) const REGION_READS: u32 = 1 << 0;
pub(super) const REGION_WRITES: u32 = 1 << 1;

/// Of a region: some of it can be mapped, and capabilities follow that say what.
pub(super) const REGION_MAPS: u32 = 1 << 2;
pub(super) const REGION_CAPABILITIES: u32 = 1 << 3;

/// Bytes of what is told of a region, before its capabilities.
pub(super) const REGION_INFO_LEN: u32 = 32;

/// The capability that names the parts that can be mapped, its version, and its
/// bytes with one of them (struct vfio_region_info_cap_sparse_mmap).
pub(super) const CAPABILITY_SPARSE_MAP: u16 = 1;
pub(super) const SPARSE_MAP_VERSION: u16 = 1;
pub(super) const SPARSE_MAP_LEN: u32 = 32;

/// Of an interrupt: it signals an eventfd, can be masked, masks itself.
pub(super) const IRQ_EVENTFD: u32 = 1 << 0;
pub(super) const IRQ_MASKABLE: u32 = 1 << 1;
pub(super) const IRQ_AUTOMASKED: u32 = 1 << 2;

/// What is set of interrupts: with which data, and which action.
pub(super) const SET_DATA_NONE: u32 = 1 << 0;
pub(super) const SET_DATA_BOOL: u32 = 1 << 1;
pub(super) const SET_DATA_EVENTFD: u32 = 1 << 2;
pub(super) const SET_ACTION_MASK: u32 = 1 << 3;
pub(super) const SET_ACTION_UNMASK: u32 = 1 << 4;
pub(super) const SET_ACTION_TRIGGER: u32 = 1 << 5;

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u16,
    pub(super) command: u16,
    /// Bytes of the whole message.
    pub(super) size: u32,
    pub(super) flags: u32,
}

impl Header {
    pub(super) fn read(bytes: &[u8; HEADER_LEN]) -> Header {
        let [i0, i1, c0, c1, s0, s1, s2, s3, f0, f1, f2, f3, ..] = *bytes;
        Header {
            id: u16::from_ne_bytes([i0, i1]),
            command: u16::from_ne_bytes([c0, c1]),
            size: u32::from_ne_bytes([s0, s1, s2, s3]),
            flags: u32::from_ne_bytes([f0, f1, f2, f3]),
        }
    }

    /// A reply to the message that this is the header of, followed by as much
    /// of a body: success, or an error.
    pub(super) fn reply(&self, body: usize, error: Option<Errno>) -> [u8; HEADER_LEN] {
        let size = u32::try_from(HEADER_LEN + body).unwrap_or(u32::MAX);
        let errno = error.map_or(0, |errno| errno.raw_os_error().unsigned_abs());
        let flags = match error {
            Some(_) => TYPE_REPLY | ERROR,
            None => TYPE_REPLY,
        };
        let mut bytes = [0; HEADER_LEN];
        let (ids, words) = bytes.split_at_mut(4);
        for (to, half) in ids.chunks_exact_mut(2).zip([self.id, self.command]) {
            to.copy_from_slice(&half.to_ne_bytes());
        }
        for (to, word) in words.chunks_exact_mut(4).zip([size, flags, errno]) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// A message's body, read from the front.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Errno> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Errno::INVAL)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Errno> {
        self.take().map(u16::from_ne_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Errno> {
        self.take().map(u32::from_ne_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Errno> {
        self.take().map(u64::from_ne_bytes)
    }

    /// What follows.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_names_its_message_and_says_how_it_went() {
        let mut bytes = [0; HEADER_LEN];
        bytes[..2].copy_from_slice(&7u16.to_ne_bytes());
        bytes[2..4].copy_from_slice(&9u16.to_ne_bytes());
        bytes[4..8].copy_from_slice(&32u32.to_ne_bytes());
        let header = Header::read(&bytes);
        let expected = Header {
            id: 7,
            command: 9,
            size: 32,
            flags: 0,
        };
        assert_eq!(header, expected);
        let reply = header.reply(4, Some(Errno::INVAL));
        assert_eq!(reply[..4], bytes[..4]);
        assert_eq!(reply[4..8], 20u32.to_ne_bytes());
        assert_eq!(reply[8..12], (TYPE_REPLY | ERROR).to_ne_bytes());
        assert_eq!(reply[12..], 22u32.to_ne_bytes());
    }

    #[test]
    fn fields_end_with_the_body() {
        let mut fields = Fields(&[1, 0, 0, 0, 2]);
        assert_eq!(fields.u32(), Ok(u32::from_ne_bytes([1, 0, 0, 0])));
        assert_eq!(fields.u16(), Err(Errno::INVAL));
        assert_eq!(fields.rest(), [2]);
    }
}
