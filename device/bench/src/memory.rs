// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Memory for data that the device can map.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};

/// Shared, and there as long as this value.
pub(crate) struct Memory {
    fd: OwnedFd,
    base: *mut c_void,
    len: usize,
}

impl Memory {
    pub(crate) fn new(len: usize) -> io::Result<Memory> {
        let fd = rustix::fs::memfd_create("buffers", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&fd, len as u64)?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a mapping at an address of the kernel's choosing touches no
        // other memory of this process.
        let base = unsafe { rustix::mm::mmap(ptr::null_mut(), len, access, flags, &fd, 0)? };
        Ok(Memory { fd, base, len })
    }

    pub(crate) fn address(&self) -> usize {
        self.base as usize
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Where the bytes from `offset` on are.
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        self.base.cast::<u8>().wrapping_add(offset)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no pointer into it is
        // used after it.
        let _ = unsafe { rustix::mm::munmap(self.base, self.len) };
    }
}
