// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Numbers of the wire that the bindings do not have in the type used here.
//! Sections are of Virtio 1.2.

use irqstorm_core::request::Status;
use virtio_bindings::bindings::virtio_blk;

/// Bytes of `struct virtio_blk_req` before the data: type, reserved, sector (5.2.6).
pub(crate) const HEADER_LEN: usize = 16;

/// Bytes of one `struct virtio_blk_discard_write_zeroes` (5.2.6).
pub(crate) const RANGE_LEN: usize = 16;

/// Bytes of the device's name as get id delivers it (5.2.6).
pub(crate) const ID_LEN: usize = virtio_blk::VIRTIO_BLK_ID_BYTES as usize;

/// The one flag of discard and write zeroes ranges (5.2.6).
pub(crate) const RANGE_FLAG_UNMAP: u32 = virtio_blk::VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

/// Bytes of one descriptor: address, length, flags, next (2.7.5).
pub(crate) const DESCRIPTOR_LEN: u64 = 16;

/// In a descriptor's flags: another follows it (2.7.5).
pub(crate) const DESC_F_NEXT: u16 = 1;

/// In a descriptor's flags: the device writes its buffer (2.7.5).
pub(crate) const DESC_F_WRITE: u16 = 2;

/// In a descriptor's flags: its buffer is a table of descriptors (2.7.5.3).
pub(crate) const DESC_F_INDIRECT: u16 = 4;

/// Bytes before the elements of either ring: flags and idx (2.7.6, 2.7.8).
pub(crate) const RING_HEADER_LEN: u64 = 4;

/// Where `idx` lies in either ring (2.7.6, 2.7.8).
pub(crate) const RING_IDX_OFFSET: u64 = 2;

/// Bytes of one element of the available ring (2.7.6).
pub(crate) const AVAIL_ELEMENT_LEN: u64 = 2;

/// Bytes of one element of the used ring: id and len, 32 bits each (2.7.8).
pub(crate) const USED_ELEMENT_LEN: u64 = 8;

/// In the available ring's flags: the driver wants no interrupts (2.7.7).
pub(crate) const AVAIL_F_NO_INTERRUPT: u16 = 1;

/// The status byte that ends a request (5.2.6).
pub(crate) fn status_byte(status: Status) -> u8 {
    let value = match status {
        Status::Ok => virtio_blk::VIRTIO_BLK_S_OK,
        // A driver has no way to take a request back.
        Status::IoError | Status::Aborted => virtio_blk::VIRTIO_BLK_S_IOERR,
        Status::Unsupported => virtio_blk::VIRTIO_BLK_S_UNSUPP,
    };
    let [byte, ..] = value.to_le_bytes();
    byte
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_the_byte_of_the_specification() {
        assert_eq!(status_byte(Status::Ok), 0);
        assert_eq!(status_byte(Status::IoError), 1);
        assert_eq!(status_byte(Status::Unsupported), 2);
    }
}
