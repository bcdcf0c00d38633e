// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Memory that the device can map.

use std::ffi::c_void;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};

/// The driver's data buffers, shared with the device.
pub(crate) struct Memory {
    fd: OwnedFd,
    base: *mut c_void,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and this value
// is its only owner.
unsafe impl Send for Memory {}

impl Memory {
    pub(crate) fn new(len: usize) -> Memory {
        let fd = rustix::fs::memfd_create("buffers", MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&fd, len as u64).unwrap();
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a mapping at an address of the kernel's choosing touches no
        // other memory of this process.
        let base = unsafe {
            rustix::mm::mmap(ptr::null_mut(), len, access, MapFlags::SHARED, &fd, 0).unwrap()
        };
        Memory { fd, base, len }
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

    pub(crate) fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len));
        self.base.cast::<u8>().wrapping_add(offset)
    }

    pub(crate) fn put(&self, offset: usize, bytes: &[u8]) {
        let to = self.at(offset, bytes.len());
        // SAFETY: `at` has seen to it that all of it lies in the mapping, which
        // overlaps nothing that a reference of this process can point to.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    pub(crate) fn get(&self, offset: usize, len: usize) -> Vec<u8> {
        let from = self.at(offset, len);
        let mut bytes = vec![0; len];
        // SAFETY: as for `put`.
        unsafe { ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), len) };
        bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no pointer into it is
        // used after it.
        unsafe { rustix::mm::munmap(self.base, self.len).unwrap() };
    }
}
