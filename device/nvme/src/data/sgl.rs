// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Scatter gather lists (4.1.2): where a command's data lies, in pieces of any
//! length. Bit buckets and data by key are not supported, and SGLS says so.

use irqstorm_front_end::Segments;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap, Permissions};

use super::found::Found;
use crate::wire::StatusCode;

/// Bytes of a descriptor (Figure 113).
pub(crate) const DESCRIPTOR_LEN: usize = 16;

/// Descriptors that one command is followed over, segments among them: more
/// than a driver makes of the largest transfer.
const MAX_DESCRIPTORS: u64 = 4096;

/// SGL descriptor types (Figure 114), all with sub type 0: an address.
const DATA_BLOCK: u8 = 0x00;
const SEGMENT: u8 = 0x20;
const LAST_SEGMENT: u8 = 0x30;

#[derive(Clone, Copy, Debug)]
struct Descriptor {
    address: u64,
    len: u64,
    kind: u8,
}

impl Descriptor {
    fn read(bytes: &[u8; DESCRIPTOR_LEN]) -> Descriptor {
        let [
            a0,
            a1,
            a2,
            a3,
            a4,
            a5,
            a6,
            a7,
            l0,
            l1,
            l2,
            l3,
            _,
            _,
            _,
            kind,
        ] = *bytes;
        Descriptor {
            address: u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
            len: u32::from_le_bytes([l0, l1, l2, l3]).into(),
            kind,
        }
    }
}

/// The `len` bytes that a command's descriptor describes, by itself or through
/// the segments that it leads to, all of them in guest memory.
pub(crate) fn walk(
    memory: &GuestMemoryMmap,
    access: Permissions,
    descriptor: &[u8; DESCRIPTOR_LEN],
    len: u64,
) -> Result<Segments, StatusCode> {
    let mut walk = Walk {
        found: Found::new(memory, access),
        described: 0,
        room: MAX_DESCRIPTORS,
    };
    let mut next = walk.take(Descriptor::read(descriptor))?;
    while let Some(segment) = next {
        next = walk.segment(segment)?;
    }
    match walk.described == len {
        true => walk.found.all(),
        false => Err(StatusCode::SGL_LENGTH),
    }
}

struct Walk<'a> {
    found: Found<'a>,
    described: u64,
    /// Descriptors that may still be read.
    room: u64,
}

impl Walk<'_> {
    /// Takes a descriptor: data, or a segment to go on with.
    fn take(&mut self, descriptor: Descriptor) -> Result<Option<Descriptor>, StatusCode> {
        match descriptor.kind {
            DATA_BLOCK => {
                self.found.add(descriptor.address, descriptor.len)?;
                self.described += descriptor.len;
                Ok(None)
            }
            SEGMENT | LAST_SEGMENT => Ok(Some(descriptor)),
            _ => Err(StatusCode::SGL_TYPE),
        }
    }

    /// Reads a segment, and says which one follows. Only the last descriptor of
    /// one that is not the last may lead on, and has to.
    fn segment(&mut self, segment: Descriptor) -> Result<Option<Descriptor>, StatusCode> {
        let count = segment.len / DESCRIPTOR_LEN as u64;
        if count == 0 || !segment.len.is_multiple_of(DESCRIPTOR_LEN as u64) {
            return Err(StatusCode::SGL_SEGMENT);
        }
        self.room = self.room.checked_sub(count).ok_or(StatusCode::SGL_COUNT)?;
        let len = usize::try_from(segment.len).map_err(|_| StatusCode::SGL_COUNT)?;
        let mut bytes = vec![0; len];
        self.found
            .memory()
            .read_slice(&mut bytes, GuestAddress(segment.address))
            .map_err(|_| StatusCode::DATA_TRANSFER)?;
        let mut next = None;
        for descriptor in bytes.as_chunks().0 {
            if next.is_some() {
                return Err(StatusCode::SGL_SEGMENT);
            }
            next = self.take(Descriptor::read(descriptor))?;
        }
        match next.is_some() == (segment.kind == SEGMENT) {
            true => Ok(next),
            false => Err(StatusCode::SGL_SEGMENT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: u8 = 0x10;

    fn memory() -> GuestMemoryMmap {
        GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x4_0000)]).unwrap()
    }

    fn descriptor((address, len, kind): (u64, u32, u8)) -> [u8; DESCRIPTOR_LEN] {
        let mut bytes = [0; DESCRIPTOR_LEN];
        bytes[..8].copy_from_slice(&address.to_le_bytes());
        bytes[8..12].copy_from_slice(&len.to_le_bytes());
        bytes[15] = kind;
        bytes
    }

    fn put(memory: &GuestMemoryMmap, at: u64, list: &[(u64, u32, u8)]) {
        let bytes: Vec<u8> = list.iter().flat_map(|&d| descriptor(d)).collect();
        memory.write_slice(&bytes, GuestAddress(at)).unwrap();
    }

    fn walked(
        memory: &GuestMemoryMmap,
        first: (u64, u32, u8),
        len: u64,
    ) -> Result<Vec<(u64, u32)>, StatusCode> {
        let segments = walk(memory, Permissions::Read, &descriptor(first), len)?;
        Ok(segments.iter().map(|s| (s.start().0, s.len())).collect())
    }

    #[test]
    fn one_block_and_lists_of_them_are_followed_to_their_end() {
        let memory = memory();
        let one = walked(&memory, (0x2001, 512, DATA_BLOCK), 512);
        assert_eq!(one, Ok(vec![(0x2001, 512)]));
        put(
            &memory,
            0x8000,
            &[
                (0x2000, 100, DATA_BLOCK),
                (0x7000, 0, DATA_BLOCK),
                (0x9010, 32, LAST_SEGMENT),
            ],
        );
        put(
            &memory,
            0x9010,
            &[(0x3000, 300, DATA_BLOCK), (0x312c, 112, DATA_BLOCK)],
        );
        let many = walked(&memory, (0x8000, 48, SEGMENT), 512);
        assert_eq!(many, Ok(vec![(0x2000, 100), (0x3000, 412)]));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let memory = memory();
        put(
            &memory,
            0x8000,
            &[(0x9000, 16, LAST_SEGMENT), (0x2000, 512, DATA_BLOCK)],
        );
        put(&memory, 0x9000, &[(0x9000, 16, SEGMENT)]);
        for (first, status) in [
            ((0x2000, 511, DATA_BLOCK), StatusCode::SGL_LENGTH),
            ((0x2000, 513, DATA_BLOCK), StatusCode::SGL_LENGTH),
            ((0x2000, 512, BUCKET), StatusCode::SGL_TYPE),
            ((0x2000, 512, DATA_BLOCK | 1), StatusCode::SGL_TYPE),
            ((0x8000, 0, LAST_SEGMENT), StatusCode::SGL_SEGMENT),
            ((0x8000, 24, LAST_SEGMENT), StatusCode::SGL_SEGMENT),
            // A segment within one, a last one that leads on, one that does not.
            ((0x8000, 32, SEGMENT), StatusCode::SGL_SEGMENT),
            ((0x8000, 16, LAST_SEGMENT), StatusCode::SGL_SEGMENT),
            ((0x8010, 16, SEGMENT), StatusCode::SGL_SEGMENT),
            // A ring, and more than anybody needs.
            ((0x9000, 16, SEGMENT), StatusCode::SGL_COUNT),
            ((0x8000, !15, LAST_SEGMENT), StatusCode::SGL_COUNT),
            ((0x3_fff0, 32, LAST_SEGMENT), StatusCode::DATA_TRANSFER),
            ((0x3_ff00, 512, DATA_BLOCK), StatusCode::DATA_TRANSFER),
            ((u64::MAX, 512, DATA_BLOCK), StatusCode::DATA_TRANSFER),
        ] {
            assert_eq!(walked(&memory, first, 512), Err(status), "{first:x?}");
        }
    }
}
