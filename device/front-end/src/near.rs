// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Guest memory for a path on which every look counts.
//!
//! vm-memory searches the regions for each access, takes it for a run of pieces
//! that may lie in several, and looks twice for the end of even the shortest.
//! Nearly every access lies in one region, one of the two before: these are
//! tried first here, and all else left to vm-memory. What a ring consists of
//! is moved in words, since a copy of a few bytes is mostly the call for it.

use std::cell::Cell;
use std::iter::FusedIterator;
use std::sync::atomic::Ordering;

use vm_memory::guest_memory::{GuestMemoryBackendSliceIterator, GuestMemorySliceIterator, Result};
use vm_memory::{
    Address, Bytes, GuestAddress, GuestMemory, GuestMemoryBackend, GuestMemoryMmap,
    GuestMemoryRegion, GuestRegionMmap, Permissions, VolatileSlice,
};

/// A snapshot of guest memory, for a few accesses.
#[derive(Debug)]
pub struct Near<'m> {
    memory: &'m GuestMemoryMmap,
    /// Where the last access was, and the last one elsewhere: rings and data
    /// lie in two regions often enough.
    last: Cell<Region<'m>>,
    before: Cell<Region<'m>>,
}

/// All of one region; none is one that has no bytes.
#[derive(Clone, Copy, Debug)]
struct Region<'m> {
    start: u64,
    bytes: Option<VolatileSlice<'m>>,
}

impl<'m> Region<'m> {
    const NONE: Region<'static> = Region {
        start: 0,
        bytes: None,
    };

    fn of(region: &'m GuestRegionMmap) -> Region<'m> {
        Region {
            start: region.start_addr().raw_value(),
            bytes: region.as_volatile_slice().ok(),
        }
    }

    /// All of `count` bytes, if it has them.
    #[inline]
    fn part(&self, at: GuestAddress, count: usize) -> Option<VolatileSlice<'m>> {
        let offset = at.raw_value().checked_sub(self.start)?;
        let offset = usize::try_from(offset).ok()?;
        self.bytes.as_ref()?.subslice(offset, count).ok()
    }
}

impl<'m> Near<'m> {
    /// The memory that there is now.
    pub fn new(memory: &'m GuestMemoryMmap) -> Near<'m> {
        Near {
            memory,
            last: Cell::new(Region::NONE),
            before: Cell::new(Region::NONE),
        }
    }

    /// The memory as vm-memory has it.
    pub fn memory(&self) -> &'m GuestMemoryMmap {
        self.memory
    }

    /// All of `count` bytes, if one region has them.
    #[inline]
    fn whole(&self, at: GuestAddress, count: usize) -> Option<VolatileSlice<'m>> {
        if let Some(slice) = self.last.get().part(at, count) {
            return Some(slice);
        }
        self.elsewhere(at, count)
    }

    fn elsewhere(&self, at: GuestAddress, count: usize) -> Option<VolatileSlice<'m>> {
        self.last.swap(&self.before);
        if let Some(slice) = self.last.get().part(at, count) {
            return Some(slice);
        }
        let region = Region::of(self.memory.find_region(at)?);
        self.last.set(region);
        region.part(at, count)
    }

    /// Sixteen bytes: a descriptor, or a request's header.
    #[inline]
    pub fn sixteen(&self, at: GuestAddress) -> Result<[u8; 16]> {
        if let Some(slice) = self.whole(at, 16)
            // Fails where the driver has not aligned them.
            && let Ok(low) = slice.load::<u64>(0, Ordering::Relaxed)
            && let Ok(high) = slice.load::<u64>(8, Ordering::Relaxed)
        {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&low.to_ne_bytes());
            bytes[8..].copy_from_slice(&high.to_ne_bytes());
            return Ok(bytes);
        }
        self.read_obj(at)
    }

    /// Writes one byte: a request's status.
    #[inline]
    pub fn write_byte(&self, byte: u8, at: GuestAddress) -> Result<()> {
        self.store(byte, at, Ordering::Relaxed)
    }

    /// Writes two words of 32 bits: an element of a ring.
    #[inline]
    pub fn write_words(&self, words: [u32; 2], at: GuestAddress) -> Result<()> {
        if let Some(slice) = self.whole(at, 8)
            && slice.store(words[0], 0, Ordering::Relaxed).is_ok()
            && slice.store(words[1], 4, Ordering::Relaxed).is_ok()
        {
            return Ok(());
        }
        self.write_obj(words, at)
    }
}

impl GuestMemory for Near<'_> {
    type PhysicalMemory = GuestMemoryMmap;
    type Bitmap = ();

    #[inline]
    fn check_range(&self, at: GuestAddress, count: usize, _: Permissions) -> bool {
        self.whole(at, count).is_some() || GuestMemoryBackend::check_range(self.memory, at, count)
    }

    #[inline]
    fn get_slices<'a>(
        &'a self,
        at: GuestAddress,
        count: usize,
        _: Permissions,
    ) -> Result<impl GuestMemorySliceIterator<'a, ()>> {
        Ok(match self.whole(at, count) {
            Some(slice) => Slices::One(Some(slice)),
            None => Slices::Several(GuestMemoryBackend::get_slices(self.memory, at, count)),
        })
    }
}

/// The pieces of an access.
enum Slices<'a> {
    One(Option<VolatileSlice<'a>>),
    Several(GuestMemoryBackendSliceIterator<'a, GuestMemoryMmap>),
}

impl<'a> Iterator for Slices<'a> {
    type Item = Result<VolatileSlice<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Slices::One(slice) => slice.take().map(Ok),
            Slices::Several(slices) => slices.next(),
        }
    }
}

impl FusedIterator for Slices<'_> {}

impl<'a> GuestMemorySliceIterator<'a, ()> for Slices<'a> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> GuestMemoryMmap {
        let regions = [
            (GuestAddress(0), 0x1000),
            (GuestAddress(0x1000), 0x1000),
            (GuestAddress(0x4000), 0x1000),
        ];
        GuestMemoryMmap::from_ranges(&regions).unwrap()
    }

    #[test]
    fn it_reaches_what_vm_memory_reaches_and_nothing_else() {
        let memory = memory();
        let near = Near::new(&memory);
        for start in [
            0,
            0xff8,
            0xfff,
            0x1000,
            0x1ff8,
            0x1fff,
            0x2000,
            0x3fff,
            0x4ff0,
            u64::MAX,
        ] {
            for len in [0, 1, 8, 16, 0x1000, 0x1001, 0x2000, 0x3000] {
                let at = GuestAddress(start);
                let reached = GuestMemory::check_range(&memory, at, len, Permissions::Read);
                let found = near.check_range(at, len, Permissions::Read);
                assert_eq!(found, reached, "{len:#x} bytes at {start:#x}");
                let mut buffer = vec![0; len];
                let read = near.read_slice(&mut buffer, at).is_ok();
                assert_eq!(read, reached, "{len:#x} bytes read at {start:#x}");
            }
        }
    }

    #[test]
    fn words_are_bytes_wherever_they_lie() {
        let memory = memory();
        for start in [0, 4, 5, 0xff0, 0xff8, 0xff9, 0xfff, 0x1ff0, 0x1ff8, 0x1fff] {
            let (near, at) = (Near::new(&memory), GuestAddress(start));
            let reached = |len| GuestMemory::check_range(&memory, at, len, Permissions::Write);
            let mut bytes = *b"abcdefghijklmnop";
            let written = memory.write_slice(&bytes, at).is_ok();
            assert_eq!(
                near.sixteen(at).ok(),
                written.then_some(bytes),
                "{start:#x}"
            );
            let words = [0x0403_0201_u32, 0x0807_0605].map(u32::to_le);
            assert_eq!(
                near.write_words(words, at).is_ok(),
                reached(8),
                "{start:#x}"
            );
            near.write_byte(9, at).unwrap();
            bytes[..8].copy_from_slice(&[9, 2, 3, 4, 5, 6, 7, 8]);
            if written {
                assert_eq!(near.sixteen(at).unwrap(), bytes, "{start:#x}");
            }
        }
    }

    #[test]
    fn what_is_written_over_the_border_of_two_regions_is_read_back() {
        let memory = memory();
        Near::new(&memory)
            .write_slice(b"abcdef", GuestAddress(0xffd))
            .unwrap();
        let mut found = [0; 6];
        memory.read_slice(&mut found, GuestAddress(0xffd)).unwrap();
        assert_eq!(&found, b"abcdef");
    }
}
