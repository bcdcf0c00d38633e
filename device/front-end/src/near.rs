// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Guest memory for a path on which every look counts.
//!
//! vm-memory searches the regions for each access, takes it for a run of pieces
//! that may lie in several, and looks twice for the end of even the shortest.
//! Nearly every access lies in one region, the one of the access before: that
//! is tried first here, and all else left to vm-memory.

use std::cell::Cell;
use std::iter::FusedIterator;

use vm_memory::guest_memory::{GuestMemoryBackendSliceIterator, GuestMemorySliceIterator, Result};
use vm_memory::{
    Address, GuestAddress, GuestMemory, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion,
    GuestRegionMmap, MemoryRegionAddress, Permissions, VolatileSlice,
};

/// A snapshot of guest memory, for a few accesses.
#[derive(Debug)]
pub struct Near<'m> {
    memory: &'m GuestMemoryMmap,
    /// Where the last access was.
    last: Cell<Option<&'m GuestRegionMmap>>,
}

impl<'m> Near<'m> {
    /// The memory that there is now.
    pub fn new(memory: &'m GuestMemoryMmap) -> Near<'m> {
        Near {
            memory,
            last: Cell::new(None),
        }
    }

    /// The memory as vm-memory has it.
    pub fn memory(&self) -> &'m GuestMemoryMmap {
        self.memory
    }

    /// All of `count` bytes, if one region has them.
    #[inline]
    fn whole(&self, at: GuestAddress, count: usize) -> Option<VolatileSlice<'m>> {
        let within = |region: &'m GuestRegionMmap| {
            let offset = at.checked_offset_from(region.start_addr())?;
            region.get_slice(MemoryRegionAddress(offset), count).ok()
        };
        if let Some(slice) = self.last.get().and_then(within) {
            return Some(slice);
        }
        let region = self.memory.find_region(at)?;
        self.last.set(Some(region));
        within(region)
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
    use vm_memory::Bytes;

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
