// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The shared memory of a connection's rings.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;

use rustix::fs::{MemfdFlags, SealFlags};
use vm_memory::mmap::MmapRegionError;
use vm_memory::{AtomicAccess, Bytes, FileOffset, MmapRegion, VolatileMemory};

use super::layout::stride;

/// A region that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegionError {
    /// The kernel made no memory for it.
    #[error("make {0} bytes of shared memory for requests in flight: {1}")]
    Make(usize, #[source] io::Error),
    /// Its size is not that of so many rings.
    #[error("{rings} rings of {size} entries have no room in a region of {len} bytes")]
    Room {
        /// How many rings it is said to have.
        rings: u16,
        /// Of how many entries each.
        size: u16,
        /// How large it is.
        len: u64,
    },
    /// Someone could make it smaller while it is in use.
    #[error("the region of requests in flight is not sealed against shrinking")]
    NotSealed,
    /// It cannot be mapped.
    #[error("map the region of requests in flight: {0}")]
    Map(#[from] MmapRegionError),
    /// Its fd cannot be asked about.
    #[error("look at the region of requests in flight: {0}")]
    Look(#[source] io::Error),
}

/// A region of so many rings of so many entries each.
#[derive(Debug)]
pub(crate) struct Region {
    file: File,
    map: MmapRegion,
    rings: u16,
    size: u16,
}

/// As the messages about a region describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes, and where in the file they begin.
    pub(crate) len: u64,
    pub(crate) offset: u64,
    /// How many rings, and of how many entries each.
    pub(crate) rings: u16,
    pub(crate) size: u16,
}

impl Region {
    /// A new one, all zeroes, of a size that no one can change.
    pub(crate) fn new(rings: u16, size: u16) -> Result<Region, RegionError> {
        let len = stride(size) * usize::from(rings);
        let make = || {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = rustix::fs::memfd_create("inflight", flags)?;
            rustix::fs::ftruncate(&file, len as u64)?;
            let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
            rustix::fs::fcntl_add_seals(&file, seals)?;
            Ok(File::from(file))
        };
        let file = make().map_err(|e: rustix::io::Errno| RegionError::Make(len, e.into()))?;
        let shape = Shape {
            len: len as u64,
            offset: 0,
            rings,
            size,
        };
        Region::open(file, shape)
    }

    /// One that there is already.
    pub(crate) fn open(file: File, shape: Shape) -> Result<Region, RegionError> {
        let Shape { rings, size, .. } = shape;
        let len = stride(size) * usize::from(rings);
        let held = file.metadata().map_err(RegionError::Look)?.len();
        let end = shape.offset.checked_add(shape.len);
        if len == 0 || shape.len < len as u64 || end.is_none_or(|end| end > held) {
            let len = held.min(shape.len);
            return Err(RegionError::Room { rings, size, len });
        }
        // Memory that goes away while it is mapped is a signal that kills.
        let seals = rustix::fs::fcntl_get_seals(&file).unwrap_or(SealFlags::empty());
        if !seals.contains(SealFlags::SHRINK) {
            return Err(RegionError::NotSealed);
        }
        let mapped = file.try_clone().map_err(RegionError::Look)?;
        let map = MmapRegion::from_file(FileOffset::new(mapped, shape.offset), len)?;
        Ok(Region {
            file,
            map,
            rings,
            size,
        })
    }

    /// How large it is, for the front-end to hand it back.
    pub(crate) fn shape(&self) -> Shape {
        Shape {
            len: self.map.len() as u64,
            offset: 0,
            rings: self.rings,
            size: self.size,
        }
    }

    /// The file, for the front-end to keep.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Entries of each ring.
    pub(super) fn size(&self) -> u16 {
        self.size
    }

    /// Where a ring's part begins.
    pub(super) fn ring(&self, ring: u16) -> Option<usize> {
        (ring < self.rings).then(|| stride(self.size) * usize::from(ring))
    }

    /// Writes a field; a kill never lets a later one be seen without it.
    pub(super) fn store<T: AtomicAccess>(&self, at: usize, value: T) {
        let stored = self
            .map
            .as_volatile_slice()
            .store(value, at, Ordering::Release);
        debug_assert!(stored.is_ok(), "fields lie within the region");
    }

    /// Reads a field.
    pub(super) fn load<T: AtomicAccess + Default>(&self, at: usize) -> T {
        let loaded = self.map.as_volatile_slice().load(at, Ordering::Acquire);
        debug_assert!(loaded.is_ok(), "fields lie within the region");
        loaded.unwrap_or_default()
    }
}
