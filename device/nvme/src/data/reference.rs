// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a data pointer describes, byte by byte and as slowly as the
//! specification reads: what everything else is held against.

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

const PAGE: u64 = 4096;

/// Descriptors that are followed at most: a bound of this device's own.
const MAX_DESCRIPTORS: usize = 4096;

/// The address of each byte in turn, or nothing if the pointer cannot be
/// followed, or leads where there is no memory.
pub(crate) type Described = Option<Vec<u64>>;

fn qword(memory: &GuestMemoryMmap, at: u64) -> Option<u64> {
    memory.read_obj(GuestAddress(at)).ok()
}

/// So many bytes from an address on, each of which is there.
fn bytes_from(memory: &GuestMemoryMmap, start: u64, len: u64) -> Described {
    let end = start.checked_add(len)?;
    let all_there = (start..end).all(|byte| memory.address_in_range(GuestAddress(byte)));
    all_there.then(|| (start..end).collect())
}

/// PRP entries (4.1.1).
pub(crate) fn prp(memory: &GuestMemoryMmap, (prp1, prp2): (u64, u64), len: u64) -> Described {
    if !prp1.is_multiple_of(4) {
        return None;
    }
    let first = len.min(PAGE - prp1 % PAGE);
    let mut bytes = bytes_from(memory, prp1, first)?;
    let pages = (len - first).div_ceil(PAGE);
    let entries = match pages {
        0 => Vec::new(),
        1 => vec![prp2],
        _ => prp_list(memory, prp2, pages)?,
    };
    for entry in entries {
        let left = len - bytes.len() as u64;
        if !entry.is_multiple_of(PAGE) {
            return None;
        }
        bytes.extend(bytes_from(memory, entry, left.min(PAGE))?);
    }
    Some(bytes)
}

/// One entry after the other; in the last place of a page is where the list
/// goes on, unless it is the last of all.
fn prp_list(memory: &GuestMemoryMmap, mut at: u64, pages: u64) -> Option<Vec<u64>> {
    if !at.is_multiple_of(8) {
        return None;
    }
    let mut entries = Vec::new();
    while (entries.len() as u64) < pages {
        let entry = qword(memory, at)?;
        let is_last_place = at % PAGE == PAGE - 8;
        if is_last_place && entries.len() as u64 + 1 < pages {
            if !entry.is_multiple_of(PAGE) {
                return None;
            }
            at = entry;
            continue;
        }
        entries.push(entry);
        at = at.wrapping_add(8);
    }
    Some(entries)
}

/// A descriptor of a scatter gather list, and what it leads to (4.1.2).
pub(crate) fn sgl(memory: &GuestMemoryMmap, descriptor: [u8; 16], len: u64) -> Described {
    let mut bytes = Vec::new();
    let mut seen = 0;
    let mut list = vec![Descriptor::read(descriptor)];
    while let Some((last, before)) = list.split_last() {
        for block in before.iter().chain((!last.leads_on()).then_some(last)) {
            bytes.extend(block.data(memory, len)?);
            if bytes.len() as u64 > len {
                return None;
            }
        }
        list = match last.leads_on() {
            true => last.segment(memory)?,
            false => Vec::new(),
        };
        seen += list.len();
        if seen > MAX_DESCRIPTORS {
            return None;
        }
    }
    (bytes.len() as u64 == len).then_some(bytes)
}

#[derive(Clone, Copy)]
struct Descriptor {
    address: u64,
    size: u64,
    kind: u8,
}

impl Descriptor {
    fn read(bytes: [u8; 16]) -> Descriptor {
        let [address, rest] = [0, 8].map(|at| {
            let half = bytes.iter().skip(at).take(8).rev();
            half.fold(0u64, |whole, &byte| whole << 8 | u64::from(byte))
        });
        Descriptor {
            address,
            size: rest & 0xffff_ffff,
            kind: bytes[15],
        }
    }

    fn leads_on(self) -> bool {
        matches!(self.kind, 0x20 | 0x30)
    }

    /// What it is, if it is a data block of no more than `most` bytes.
    fn data(self, memory: &GuestMemoryMmap, most: u64) -> Described {
        match (self.kind, self.size) {
            (0x00, 0) => Some(Vec::new()),
            (0x00, size) if size <= most => bytes_from(memory, self.address, size),
            _ => None,
        }
    }

    /// What a segment has: the last one leads on if and only if the segment is
    /// not the last.
    fn segment(self, memory: &GuestMemoryMmap) -> Option<Vec<Descriptor>> {
        if !self.size.is_multiple_of(16) || self.size > MAX_DESCRIPTORS as u64 * 16 {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(self.size).ok()?];
        memory
            .read_slice(&mut bytes, GuestAddress(self.address))
            .ok()?;
        let descriptors: Vec<Descriptor> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| Descriptor::read(bytes))
            .collect();
        let goes_on = descriptors.last()?.leads_on();
        (goes_on == (self.kind == 0x20)).then_some(descriptors)
    }
}
