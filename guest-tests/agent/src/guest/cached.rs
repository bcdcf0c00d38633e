// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Writes that leave nothing in the page cache, and what is in it.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;

use rustix::io::{Errno, ReadWriteFlags, pwritev2};

/// RWF_DONTCACHE of include/uapi/linux/fs.h.
const DONTCACHE: u32 = 0x80;

/// cachestat(2), on every architecture.
const CACHESTAT: libc::c_long = 451;

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;

/// `struct cachestat_range`.
#[repr(C)]
struct Range {
    offset: u64,
    len: u64,
}

/// `struct cachestat`: pages.
#[repr(C)]
#[derive(Default)]
struct Stat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

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

/// Pages that the cache has of a file, from its begin.
pub(crate) fn resident(file: &File, len: u64) -> io::Result<u64> {
    let range = Range { offset: 0, len };
    let mut stat = Stat::default();
    // SAFETY: both structures are as the call wants them, and outlive it.
    let asked = unsafe {
        libc::syscall(
            CACHESTAT,
            file.as_raw_fd(),
            std::ptr::from_ref(&range),
            std::ptr::from_mut(&mut stat),
            0,
        )
    };
    match asked {
        0 => Ok(stat.cached),
        _ => Err(io::Error::last_os_error()),
    }
}
