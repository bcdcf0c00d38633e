// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Doorbells in memory that is shared with the VMM, which maps it into the
//! guest's BAR: the guest writes them, and nobody is told.
//!
//! The memory is as long as the BAR, so that an offset is the same in both; only
//! the pages of I/O doorbells are ever mapped. The admin doorbells lie in a page
//! before them and are written through the VMM: a thread waits for those.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};

use crate::bar::{Area, Layout};

/// The pages; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct MappedPages {
    file: Arc<File>,
    /// The same, mapped here; addresses are offsets in the BAR.
    memory: GuestMemoryMmap,
    layout: Layout,
}

impl MappedPages {
    /// Zeroed ones.
    pub(crate) fn new(layout: Layout) -> io::Result<MappedPages> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create("irqstorm-doorbells", flags)?);
        ftruncate(&file, layout.len())?;
        // Who has the fd must not be able to take what is mapped away.
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let len = usize::try_from(layout.len()).map_err(io::Error::other)?;
        let offset = Some(FileOffset::new(file.try_clone()?, 0));
        let range = (GuestAddress(0), len, offset);
        Ok(MappedPages {
            memory: GuestMemoryMmap::from_ranges_with_files([range]).map_err(io::Error::other)?,
            file: Arc::new(file),
            layout,
        })
    }

    /// Which part of the BAR they are, and the file that has it at the same
    /// offset.
    pub(crate) fn area(&self) -> (Area, BorrowedFd<'_>) {
        (self.layout.io_doorbells(), self.file.as_fd())
    }

    fn at(&self, doorbell: u32) -> GuestAddress {
        GuestAddress(self.layout.doorbell(doorbell))
    }

    /// What a doorbell was written with.
    pub(crate) fn get(&self, doorbell: u32) -> u32 {
        // All doorbells that there are lie in the file.
        let value = self.memory.load(self.at(doorbell), Ordering::Acquire);
        value.map_or(0, u32::from_le)
    }

    /// Writes it, as the guest would.
    pub(crate) fn set(&self, doorbell: u32, value: u32) {
        let at = self.at(doorbell);
        let _ = self.memory.store(value.to_le(), at, Ordering::Release);
    }

    /// Zeroes all of them.
    pub(crate) fn clear(&self) {
        self.layout
            .io_numbers()
            .for_each(|doorbell| self.set(doorbell, 0));
    }
}
