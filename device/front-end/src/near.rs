// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Guest memory for a path on which every look counts.
//!
//! vm-memory searches the regions for each access, takes it for a run of pieces
//! that may lie in several, and looks twice for the end of even the shortest.
//! Nearly every access lies in one region, one of two that were found before:
//! these are tried first here, and all else left to vm-memory. What a ring
//! consists of is moved in words, since a copy of a few bytes is mostly the call
//! for it.
//!
//! What was found is kept as addresses of this process, beside the memory that
//! they belong to: a borrow of it could not be. That, and to fill memory with
//! zeroes, is what `unsafe` is needed for.

use std::cell::Cell;
use std::iter::FusedIterator;
use std::ptr;
use std::sync::atomic::Ordering;

use vm_memory::guest_memory::{GuestMemoryBackendSliceIterator, GuestMemorySliceIterator, Result};
use vm_memory::{
    Address, Bytes, GuestAddress, GuestMemory, GuestMemoryBackend, GuestMemoryLoadGuard,
    GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap, Permissions, VolatileMemory,
    VolatileSlice,
};

/// Guest memory as it is at a time, for some accesses.
#[derive(Debug)]
pub struct Near<'m> {
    memory: Source<'m>,
    /// Regions of it where accesses were: rings and data lie in two often
    /// enough.
    known: [Cell<Region>; 2],
    /// The one that makes room for the next.
    oldest: Cell<bool>,
}

/// Whose it is.
#[derive(Debug)]
enum Source<'m> {
    Lent(&'m GuestMemoryMmap),
    Kept(GuestMemoryLoadGuard<GuestMemoryMmap>),
}

/// All of one region, mapped from `host` on; none is one that has no bytes.
#[derive(Clone, Copy, Debug)]
struct Region {
    start: u64,
    host: *mut u8,
    len: u64,
}

// SAFETY: it is an address, and what it points to is shared with the guest
// anyway: whoever accesses it, on whatever thread, does so as with memory that
// changes under it.
unsafe impl Send for Region {}

impl Region {
    const NONE: Region = Region {
        start: 0,
        host: ptr::null_mut(),
        len: 0,
    };

    fn of(region: &GuestRegionMmap) -> Option<Region> {
        let bytes = region.as_volatile_slice().ok()?;
        Some(Region {
            start: region.start_addr().raw_value(),
            host: bytes.ptr_guard_mut().as_ptr(),
            len: region.len(),
        })
    }

    /// Where `count` bytes from `at` on are, if it has all of them.
    #[inline]
    fn part(&self, at: GuestAddress, count: usize) -> Option<*mut u8> {
        let offset = at.raw_value().checked_sub(self.start)?;
        let end = offset.checked_add(count as u64)?;
        if end > self.len {
            return None;
        }
        let offset = usize::try_from(offset).ok()?;
        Some(self.host.wrapping_add(offset))
    }
}

impl<'m> Near<'m> {
    /// The memory that there is now.
    pub fn new(memory: &'m GuestMemoryMmap) -> Near<'m> {
        Near::of(Source::Lent(memory))
    }

    /// The same of one that is kept with it.
    pub fn keep(memory: GuestMemoryLoadGuard<GuestMemoryMmap>) -> Near<'static> {
        Near::of(Source::Kept(memory))
    }

    fn of(memory: Source) -> Near {
        Near {
            memory,
            known: [const { Cell::new(Region::NONE) }; 2],
            oldest: Cell::new(false),
        }
    }

    /// The memory as vm-memory has it.
    pub fn memory(&self) -> &GuestMemoryMmap {
        match &self.memory {
            Source::Lent(memory) => memory,
            Source::Kept(memory) => memory,
        }
    }

    /// All of `count` bytes, if one region has them.
    #[inline]
    fn whole(&self, at: GuestAddress, count: usize) -> Option<VolatileSlice<'_>> {
        let mut known = self.known.iter();
        let found = known.find_map(|region| region.get().part(at, count));
        let host = found.or_else(|| self.find(at, count))?;
        // SAFETY: these bytes are mapped: they are part of a region of the
        // memory, which is there as long as this value is, and so as long as
        // the slice.
        Some(unsafe { VolatileSlice::new(host, count) })
    }

    #[inline(never)]
    fn find(&self, at: GuestAddress, count: usize) -> Option<*mut u8> {
        let region = Region::of(self.memory().find_region(at)?)?;
        let oldest = self.oldest.replace(!self.oldest.get());
        self.known[usize::from(oldest)].set(region);
        region.part(at, count)
    }

    /// Fills `count` bytes with zeroes.
    #[inline]
    pub fn fill_zero(&self, at: GuestAddress, count: usize) -> Result<()> {
        for slice in self.get_slices(at, count, Permissions::Write)? {
            let slice = slice?;
            let guard = slice.ptr_guard_mut();
            // SAFETY: the slice is memory of the guest, mapped and writable,
            // which nothing in this process has a reference to.
            unsafe { ptr::write_bytes(guard.as_ptr(), 0, guard.len()) };
        }
        Ok(())
    }

    /// Has the processor fetch the line of a byte that is wanted soon: the
    /// driver has just written it on another CPU. Without it, if there is none.
    #[inline]
    pub fn touch(&self, at: GuestAddress) {
        if let Some(slice) = self.whole(at, 1) {
            fetch(slice.ptr_guard().as_ptr());
        }
    }

    /// Sixteen bytes: a descriptor, or a request's header.
    #[inline]
    pub fn sixteen(&self, at: GuestAddress) -> Result<[u8; 16]> {
        if let Some(slice) = self.whole(at, 16)
            && let Ok(low) = slice.get_ref::<u64>(0)
            && let Ok(high) = slice.get_ref::<u64>(8)
        {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&low.load().to_ne_bytes());
            bytes[8..].copy_from_slice(&high.load().to_ne_bytes());
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
            && let Ok(first) = slice.get_ref::<u32>(0)
            && let Ok(second) = slice.get_ref::<u32>(4)
        {
            first.store(words[0]);
            second.store(words[1]);
            return Ok(());
        }
        self.write_obj(words, at)
    }
}

/// A hint, for which nothing waits: a load would be waited for, if not here
/// then some hundred instructions further.
#[inline]
fn fetch(byte: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it reads nothing, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(byte.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = byte;
}

impl GuestMemory for Near<'_> {
    type PhysicalMemory = GuestMemoryMmap;
    type Bitmap = ();

    #[inline]
    fn check_range(&self, at: GuestAddress, count: usize, _: Permissions) -> bool {
        self.whole(at, count).is_some() || GuestMemoryBackend::check_range(self.memory(), at, count)
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
            None => Slices::Several(GuestMemoryBackend::get_slices(self.memory(), at, count)),
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
    use vm_memory::{GuestAddressSpace, GuestMemoryAtomic};

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
    fn zeroes_fill_what_was_asked_for_over_regions_and_nothing_else() {
        let memory = memory();
        let near = Near::new(&memory);
        let all = [7; 0x2000];
        near.write_slice(&all, GuestAddress(0)).unwrap();
        near.fill_zero(GuestAddress(0xffd), 6).unwrap();
        let mut found = all;
        near.read_slice(&mut found, GuestAddress(0)).unwrap();
        let mut expected = all;
        expected[0xffd..0x1003].fill(0);
        assert!(found == expected);
        assert!(near.fill_zero(GuestAddress(0x1fff), 2).is_err());
        assert!(near.fill_zero(GuestAddress(0x3000), 1).is_err());
    }

    #[test]
    fn what_is_kept_outlives_its_replacement() {
        let atomic = GuestMemoryAtomic::new(memory());
        let near = Near::keep(atomic.memory());
        near.write_byte(9, GuestAddress(5)).unwrap();
        atomic.lock().unwrap().replace(self::memory());
        assert_eq!(near.read_obj::<u8>(GuestAddress(5)).unwrap(), 9);
        let now = Near::keep(atomic.memory());
        assert_eq!(now.read_obj::<u8>(GuestAddress(5)).unwrap(), 0);
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
