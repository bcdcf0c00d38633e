// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Memory for the data of a vhost-user client, which the device can map.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};

/// Shared, populated, and there as long as this value.
#[derive(Debug)]
pub struct SharedMemory {
    fd: OwnedFd,
    base: *mut c_void,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and this value
// is its only owner.
unsafe impl Send for SharedMemory {}

impl SharedMemory {
    /// Zeroes, so many bytes.
    pub fn new(len: usize) -> io::Result<SharedMemory> {
        let fd = rustix::fs::memfd_create("buffers", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&fd, len as u64)?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a mapping at an address of the kernel's choosing touches no
        // other memory of this process.
        let base = unsafe { rustix::mm::mmap(ptr::null_mut(), len, access, flags, &fd, 0)? };
        Ok(SharedMemory { fd, base, len })
    }

    /// Where it is in this process.
    pub fn address(&self) -> usize {
        self.base as usize
    }

    /// Its bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The memfd, to be mapped from its start on.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Where the `len` bytes from `offset` on are.
    ///
    /// # Panics
    /// If not all of them lie in it.
    pub fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len));
        self.base.cast::<u8>().wrapping_add(offset)
    }

    /// Writes bytes at an offset; panics as [`Self::at`] does.
    pub fn put(&self, offset: usize, bytes: &[u8]) {
        let to = self.at(offset, bytes.len());
        // SAFETY: `at` has seen to it that all of it lies in the mapping, which
        // overlaps nothing that a reference of this process can point to.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// Reads so many bytes at an offset; panics as [`Self::at`] does.
    pub fn get(&self, offset: usize, len: usize) -> Vec<u8> {
        let from = self.at(offset, len);
        let mut bytes = vec![0; len];
        // SAFETY: as for `put`.
        unsafe { ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), len) };
        bytes
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no pointer into it is
        // used after it.
        let _ = unsafe { rustix::mm::munmap(self.base, self.len) };
    }
}
