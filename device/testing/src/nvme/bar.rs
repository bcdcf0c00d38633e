// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! BAR 0 as a VMM maps it: what the device lets be mapped is written as memory,
//! the rest over the socket.

use std::fs::File;
use std::sync::atomic::Ordering;

use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};

use super::Client;

/// What is told of a region without capabilities, and with the one that names
/// a single part that can be mapped.
const BARE: u32 = 32;
const WITH_PART: u32 = 64;

/// Flags: some of it can be mapped, and capabilities say what.
const MAPS: u32 = 1 << 2 | 1 << 3;

/// The part that is mapped.
#[derive(Debug)]
pub struct Mapped {
    offset: u64,
    memory: GuestMemoryMmap,
}

impl Mapped {
    /// Asks as QEMU does: first with room for no capability. None if nothing can
    /// be mapped.
    pub fn of(client: &mut Client) -> Option<Mapped> {
        let (bare, fd) = client.region_info(0, BARE);
        let word =
            |reply: &[u8], at: usize| u32::from_ne_bytes(reply[at..at + 4].try_into().unwrap());
        let long =
            |reply: &[u8], at: usize| u64::from_ne_bytes(reply[at..at + 8].try_into().unwrap());
        assert!(bare.len() == BARE as usize && fd.is_none());
        if word(&bare, 4) & MAPS == 0 {
            assert_eq!(word(&bare, 0), BARE);
            return None;
        }
        assert_eq!(word(&bare, 0), WITH_PART, "how much room it takes");
        let (whole, fd) = client.region_info(0, WITH_PART);
        assert_eq!(whole.len(), WITH_PART as usize);
        assert_eq!(whole[..32], bare[..]);
        assert_eq!(word(&whole, 12), BARE, "where the capabilities begin");
        assert_eq!(word(&whole, 32), 1 << 16 | 1, "parts to map, version 1");
        assert_eq!(
            (word(&whole, 36), word(&whole, 40)),
            (0, 1),
            "one, the last"
        );
        let (offset, size) = (long(&whole, 48), long(&whole, 56));
        assert_eq!((offset % 4096, size % 4096), (0, 0), "whole pages");
        assert!(offset + size <= long(&whole, 16), "within the region");
        let file = FileOffset::new(File::from(fd.unwrap()), long(&whole, 24) + offset);
        let size = usize::try_from(size).unwrap();
        let range = (GuestAddress(0), size, Some(file));
        let memory = GuestMemoryMmap::from_ranges_with_files([range]).unwrap();
        Some(Mapped { offset, memory })
    }

    fn at(&self, offset: u64) -> Option<GuestAddress> {
        offset.checked_sub(self.offset).map(GuestAddress)
    }

    /// Writes 32 bits, if they lie in it.
    pub fn write(&self, offset: u64, value: u32) -> bool {
        let at = self.at(offset);
        at.is_some_and(|at| self.memory.store(value, at, Ordering::Release).is_ok())
    }

    /// What was written there.
    pub fn read(&self, offset: u64) -> Option<u32> {
        self.memory.load(self.at(offset)?, Ordering::Acquire).ok()
    }
}
