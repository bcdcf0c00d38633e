// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Memory that data passes through: pages of one mapping, handed out in runs.

use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Bytes of a page: what O_DIRECT asks at most of where memory begins.
pub(crate) const PAGE: usize = 4096;

/// Pages that a word of the map has bits for.
const BITS: usize = u64::BITS as usize;

/// Pages one after the other that are somebody's. Not to be lost: only
/// [`Pool::give_back`] makes them anybody's again.
#[derive(Debug)]
pub(crate) struct Run {
    first: usize,
    pages: usize,
}

impl Run {
    /// Its bytes.
    pub(crate) fn len(&self) -> usize {
        self.pages * PAGE
    }
}

/// The pages, and which of them are free.
#[derive(Debug)]
pub(crate) struct Pool {
    start: NonNull<u8>,
    pages: usize,
    /// A bit for each page: whether it is free.
    free: Vec<u64>,
    left: usize,
    /// Whether the mapping outlives this value.
    leaked: bool,
}

// SAFETY: the mapping is this value's alone, and bound to no thread.
unsafe impl Send for Pool {}

impl Pool {
    /// So many pages, a multiple of 64. None takes memory before it is used.
    pub(crate) fn new(pages: usize) -> io::Result<Pool> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, where nothing else is.
        let start = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                pages * PAGE,
                protection,
                MapFlags::PRIVATE,
            )
        }?;
        Ok(Pool {
            start: NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?,
            pages,
            free: vec![u64::MAX; pages / BITS],
            left: pages,
            leaked: false,
        })
    }

    /// Pages that are free.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// All of its memory.
    pub(crate) fn whole(&self) -> libc::iovec {
        libc::iovec {
            iov_base: self.start.as_ptr().cast::<c_void>(),
            iov_len: self.pages * PAGE,
        }
    }

    fn is_free(&self, page: usize) -> bool {
        let word = self.free.get(page / BITS);
        word.is_some_and(|word| word >> (page % BITS) & 1 == 1)
    }

    /// The first free page from `page` on.
    fn next_free(&self, page: usize) -> Option<usize> {
        let first = page / BITS;
        let mut mask = u64::MAX << (page % BITS);
        for (index, word) in self.free.iter().enumerate().skip(first) {
            match word & mask {
                0 => mask = u64::MAX,
                bits => return Some(index * BITS + bits.trailing_zeros() as usize),
            }
        }
        None
    }

    /// The longest run, or the first of `most` pages.
    fn longest(&self, most: usize) -> Option<Run> {
        let mut best: Option<Run> = None;
        let mut page = 0;
        while let Some(first) = self.next_free(page) {
            let end = (first..self.pages.min(first + most)).find(|&page| !self.is_free(page));
            let pages = end.unwrap_or(self.pages.min(first + most)) - first;
            if best.as_ref().is_none_or(|best| best.pages < pages) {
                best = Some(Run { first, pages });
            }
            if pages == most {
                break;
            }
            page = first + pages;
        }
        best
    }

    /// A run of up to `most` pages, as long as there is one; none if there is
    /// not a page left. The first that fits: a disk that is kept busy with little
    /// has little memory, which caches hold.
    pub(crate) fn take(&mut self, most: usize) -> Option<Run> {
        if most == 0 {
            return None;
        }
        let run = self.longest(most)?;
        self.mark(&run, false);
        self.left -= run.pages;
        Some(run)
    }

    /// Takes back what was handed out.
    pub(crate) fn give_back(&mut self, run: Run) {
        self.mark(&run, true);
        self.left += run.pages;
    }

    fn mark(&mut self, run: &Run, free: bool) {
        for page in run.first..run.first + run.pages {
            let bit = 1 << (page % BITS);
            match free {
                true => self.free[page / BITS] |= bit,
                false => self.free[page / BITS] &= !bit,
            }
        }
    }

    /// Where a run begins.
    pub(crate) fn address(&self, run: &Run) -> *mut u8 {
        // SAFETY: a run lies within the mapping.
        unsafe { self.start.as_ptr().add(run.first * PAGE) }
    }

    /// The memory of a run.
    ///
    /// # Safety
    ///
    /// The kernel neither reads nor writes it.
    pub(crate) unsafe fn bytes(&mut self, run: &Run) -> &mut [u8] {
        // SAFETY: a run lies within the mapping, is nobody else's, and is
        // initialized, as anonymous memory is. The borrow is of all of the
        // pool, so that there is no other.
        unsafe { std::slice::from_raw_parts_mut(self.address(run), run.len()) }
    }

    /// Has the memory stay for ever: someone may still write into it.
    pub(crate) fn leak(&mut self) {
        self.leaked = true;
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !self.leaked {
            // SAFETY: the mapping is this value's, and nobody has a part of it.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), self.pages * PAGE) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a pool must never do: hand a page out twice.
    fn disjoint(runs: &[Run]) -> bool {
        let mut seen = [false; 128];
        let pages = runs.iter().flat_map(|run| run.first..run.first + run.pages);
        let mut twice = false;
        pages.for_each(|page| twice |= std::mem::replace(&mut seen[page], true));
        !twice
    }

    #[test]
    fn runs_are_as_long_as_there_is_room_and_nobodys_twice() {
        let mut pool = Pool::new(128).unwrap();
        let mut runs: Vec<Run> = [100, 20, 20].map(|most| pool.take(most).unwrap()).into();
        let lengths: Vec<usize> = runs.iter().map(Run::len).collect();
        assert_eq!(lengths, [100 * PAGE, 20 * PAGE, 8 * PAGE]);
        assert!(disjoint(&runs));
        assert!(pool.take(1).is_none());
        pool.give_back(runs.remove(1));
        runs.push(pool.take(1).unwrap());
        runs.push(pool.take(99).unwrap());
        assert_eq!(runs[3].len(), 19 * PAGE);
        assert!(disjoint(&runs));
        runs.into_iter().for_each(|run| pool.give_back(run));
        assert_eq!(pool.left(), 128);
        assert_eq!(pool.take(128).unwrap().len(), 128 * PAGE);
    }

    #[test]
    fn a_run_is_page_aligned_memory_of_its_own() {
        let mut pool = Pool::new(64).unwrap();
        let (one, other) = (pool.take(2).unwrap(), pool.take(3).unwrap());
        for (run, fill) in [(&one, 1), (&other, 2)] {
            assert_eq!(pool.address(run) as usize % PAGE, 0);
            // SAFETY: there is no kernel about.
            unsafe { pool.bytes(run) }.fill(fill);
        }
        // SAFETY: as before.
        assert!(unsafe { pool.bytes(&one) }.iter().all(|&byte| byte == 1));
        // SAFETY: as before.
        assert_eq!(unsafe { pool.bytes(&other) }, [2; 3 * PAGE]);
    }
}
