// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Writes that leave nothing in the page cache, and what is in it.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};

use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev2};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// RWF_DONTCACHE of include/uapi/linux/fs.h.
const DONTCACHE: u32 = 0x80;

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;
const PAGE_BYTES: usize = 4096;

/// How an uncached write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uncached {
    /// It is in the page cache for as long as its writeback takes.
    Written,
    /// The file's kind knows no such writes on this kernel.
    Unsupported,
}

/// Writes all of the bytes at an offset, with RWF_DONTCACHE.
pub(crate) fn write(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<Uncached> {
    let flags = ReadWriteFlags::from_bits_retain(DONTCACHE);
    while !bytes.is_empty() {
        let count = match pwritev2(file, &[IoSlice::new(bytes)], offset, flags) {
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(Errno::OPNOTSUPP) => return Ok(Uncached::Unsupported),
            Err(e) => return Err(e.into()),
        };
        bytes = bytes.get(count..).unwrap_or_default();
        offset += u64::try_from(count).map_err(io::Error::other)?;
    }
    Ok(Uncached::Written)
}

/// Fills all of the buffer from an offset, with RWF_DONTCACHE, by a file whose
/// kind takes uncached writes: then it takes these as well.
pub(crate) fn read(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    let flags = ReadWriteFlags::from_bits_retain(DONTCACHE);
    while !buffer.is_empty() {
        let count = match preadv2(file, &mut [IoSliceMut::new(buffer)], offset, flags) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        };
        buffer = buffer.get_mut(count..).unwrap_or_default();
        offset += u64::try_from(count).map_err(io::Error::other)?;
    }
    Ok(())
}

/// Pages that the cache has of a file, from its begin. Not by cachestat(2),
/// which a small kernel is without.
pub(crate) fn resident(file: &File, len: u64) -> io::Result<u64> {
    let len = usize::try_from(len).map_err(io::Error::other)?;
    let (read, shared) = (ProtFlags::READ, MapFlags::SHARED);
    // SAFETY: a new mapping, of which nobody has an address yet; its pages are
    // never touched.
    let start = unsafe { mmap(std::ptr::null_mut(), len, read, shared, file, 0) }?;
    let mut pages = vec![0; len.div_ceil(PAGE_BYTES)];
    // SAFETY: the mapping is of `len` bytes, and there is a byte for each page.
    let asked = unsafe { libc::mincore(start, len, pages.as_mut_ptr()) };
    let refused = io::Error::last_os_error();
    // SAFETY: the mapping from above, which nobody else knows.
    unsafe { munmap(start, len) }?;
    match asked {
        0 => Ok(pages.iter().filter(|&page| page & 1 == 1).map(|_| 1).sum()),
        _ => Err(refused),
    }
}

/// Has the kernel drop every page of every cache that is clean.
pub(crate) fn drop_all() -> io::Result<()> {
    std::fs::write("/proc/sys/vm/drop_caches", "1")
}
