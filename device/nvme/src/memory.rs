// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The guest's memory, as its VMM maps and unmaps it.
//!
//! A map that comes with an fd is reached; one without is known and not
//! reached. Maps without an fd are usual for ROM and for the memory of other
//! devices; RAM comes without one when it is not shared.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use irqstorm_front_end::Memory;
use rustix::fs::FileType;
use rustix::io::Errno;
use vm_memory::{
    FileOffset, GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap,
    GuestRegionMmap, MmapRegion,
};

/// The most maps at once: what the protocol assumes unless told otherwise.
const MAX_MAPS: usize = 65_535;

/// One map, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DmaMap {
    pub(crate) address: u64,
    pub(crate) size: u64,
    /// Where in the fd's file it begins.
    pub(crate) offset: u64,
    pub(crate) writable: bool,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    size: u64,
    writable: bool,
    reached: bool,
}

/// Every map of a connection.
pub(crate) struct DmaMaps {
    memory: Memory,
    known: BTreeMap<u64, Known>,
}

impl DmaMaps {
    /// None.
    pub(crate) fn new() -> DmaMaps {
        DmaMaps {
            memory: GuestMemoryAtomic::new(GuestMemoryMmap::new()),
            known: BTreeMap::new(),
        }
    }

    /// The memory that is reached, now and later.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether memory that a guest could use was mapped, and none of it can be
    /// reached.
    pub(crate) fn shares_nothing(&self) -> bool {
        let mut usable = self
            .known
            .values()
            .filter(|known| known.writable)
            .peekable();
        usable.peek().is_some() && !usable.any(|known| known.reached)
    }

    /// Adds a map. What is read-only is not reached: a disk has nothing to
    /// write there.
    pub(crate) fn map(&mut self, map: DmaMap, fd: Option<OwnedFd>) -> Result<(), Errno> {
        let end = map.address.checked_add(map.size).ok_or(Errno::INVAL)?;
        if map.size == 0 {
            return Err(Errno::INVAL);
        }
        if self.known.len() >= MAX_MAPS {
            return Err(Errno::NOSPC);
        }
        let before = self.known.range(..end).next_back();
        if before.is_some_and(|(&address, known)| address.saturating_add(known.size) > map.address)
        {
            return Err(Errno::EXIST);
        }
        let fd = fd.filter(|_| map.writable);
        let reached = fd.is_some();
        if let Some(fd) = fd {
            let region = region(map, fd)?;
            let memory = self.memory.memory().insert_region(Arc::new(region));
            self.replace(memory.map_err(|_| Errno::INVAL)?);
        }
        let known = Known {
            size: map.size,
            writable: map.writable,
            reached,
        };
        self.known.insert(map.address, known);
        Ok(())
    }

    /// Takes back exactly one map.
    pub(crate) fn unmap(&mut self, address: u64, size: u64) -> Result<(), Errno> {
        match self.known.get(&address) {
            Some(known) if known.size == size => {}
            _ => return Err(Errno::NOENT),
        }
        if let Some(Known { reached: true, .. }) = self.known.remove(&address) {
            let memory = self.memory.memory();
            let removed = memory.remove_region(GuestAddress(address), size);
            let (memory, _) = removed.map_err(|_| Errno::INVAL)?;
            self.replace(memory);
        }
        Ok(())
    }

    /// Takes back all of them.
    pub(crate) fn unmap_all(&mut self) {
        self.known.clear();
        self.replace(GuestMemoryMmap::new());
    }

    fn replace(&self, memory: GuestMemoryMmap) {
        // Poisoned by a panic between two whole values: either is one.
        match self.memory.lock() {
            Ok(guard) => guard.replace(memory),
            Err(poisoned) => poisoned.into_inner().replace(memory),
        }
    }
}

/// Refuses what lies behind the end of a file: to touch it would be fatal.
fn check_len(map: DmaMap, fd: &OwnedFd) -> Result<(), Errno> {
    let stat = rustix::fs::fstat(fd)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let len = u64::try_from(stat.st_size).map_err(|_| Errno::INVAL)?;
    match map.offset.checked_add(map.size) {
        Some(end) if end <= len => Ok(()),
        _ => Err(Errno::INVAL),
    }
}

fn region(map: DmaMap, fd: OwnedFd) -> Result<GuestRegionMmap, Errno> {
    check_len(map, &fd)?;
    let size = usize::try_from(map.size).map_err(|_| Errno::INVAL)?;
    let file = FileOffset::new(File::from(fd), map.offset);
    let mapped = MmapRegion::from_file(file, size).map_err(|error| {
        tracing::warn!("cannot map guest memory at {:#x}: {error}", map.address);
        Errno::INVAL
    })?;
    GuestRegionMmap::new(mapped, GuestAddress(map.address)).ok_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::{Bytes, GuestMemoryBackend};

    const RAM: DmaMap = DmaMap {
        address: 0x10_0000,
        size: 0x2000,
        offset: 0x1000,
        writable: true,
    };

    fn file(len: u64) -> Option<OwnedFd> {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        Some(file.into())
    }

    #[test]
    fn what_is_mapped_with_an_fd_is_reached_until_it_is_unmapped() {
        let mut maps = DmaMaps::new();
        maps.map(RAM, file(0x3000)).unwrap();
        let memory = maps.memory().clone();
        let at = GuestAddress(RAM.address + 0x1ffc);
        memory.memory().write_obj(7u32, at).unwrap();
        assert_eq!(memory.memory().read_obj::<u32>(at).unwrap(), 7);
        assert_eq!(maps.unmap(RAM.address, 0x1000), Err(Errno::NOENT));
        assert_eq!(maps.unmap(RAM.address, RAM.size), Ok(()));
        assert!(memory.memory().read_obj::<u32>(at).is_err());
        assert_eq!(maps.unmap(RAM.address, RAM.size), Err(Errno::NOENT));
        maps.map(RAM, file(0x3000)).unwrap();
        maps.unmap_all();
        assert_eq!(memory.memory().num_regions(), 0);
    }

    #[test]
    fn overlaps_nothing_and_what_a_file_does_not_have_are_refused() {
        let mut maps = DmaMaps::new();
        maps.map(RAM, file(0x3000)).unwrap();
        for (address, size) in [
            (RAM.address, RAM.size),
            (RAM.address - 0x1000, 0x1001),
            (RAM.address + 0x1fff, 1),
            (0, u64::MAX),
        ] {
            let map = DmaMap {
                address,
                size,
                ..RAM
            };
            assert_eq!(maps.map(map, None), Err(Errno::EXIST), "{address:#x}");
        }
        for map in [
            DmaMap {
                size: 0,
                address: 0,
                ..RAM
            },
            DmaMap {
                address: u64::MAX,
                ..RAM
            },
            DmaMap {
                address: 0,
                offset: 0x2000,
                ..RAM
            },
            DmaMap {
                address: 0,
                offset: u64::MAX,
                ..RAM
            },
        ] {
            assert_eq!(maps.map(map, file(0x3000)), Err(Errno::INVAL), "{map:?}");
        }
        assert_eq!(maps.memory().memory().num_regions(), 1);
    }

    #[test]
    fn rom_and_what_has_no_fd_is_known_and_not_reached() {
        let mut maps = DmaMaps::new();
        assert!(!maps.shares_nothing(), "nothing is mapped");
        let rom = DmaMap {
            writable: false,
            ..RAM
        };
        maps.map(rom, file(0x3000)).unwrap();
        assert!(!maps.shares_nothing(), "there is only ROM");
        maps.map(DmaMap { address: 0, ..RAM }, None).unwrap();
        assert!(maps.shares_nothing());
        assert_eq!(maps.memory().memory().num_regions(), 0);
        maps.map(
            DmaMap {
                address: 0x40_0000,
                ..RAM
            },
            file(0x3000),
        )
        .unwrap();
        assert!(!maps.shares_nothing());
        maps.unmap(RAM.address, RAM.size).unwrap();
        assert_eq!(maps.memory().memory().num_regions(), 1);
    }
}
