// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The disk cut into namespaces, all of one size: the n-th of N has the n-th
//! part of the sectors (3.2.1). What an even cut leaves over belongs to none.

use irqstorm_core::request::SECTOR_SIZE;
use irqstorm_core::store::Geometry;

use crate::wire::StatusCode;

/// Stands for all namespaces, where that has a meaning (3.2.1.2).
pub(crate) const ALL: u32 = u32::MAX;

/// The namespaces of one controller. Their ids go from 1 to their number, and
/// every one is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Namespaces {
    count: u32,
    each: Geometry,
}

impl Namespaces {
    /// So many of a disk's; 1 at least.
    pub(crate) fn of(disk: Geometry, count: u16) -> Namespaces {
        let block_sectors = u64::from(disk.block_size) / SECTOR_SIZE;
        let blocks = disk.sectors / block_sectors / u64::from(count);
        let each = match count {
            1 => disk,
            _ => Geometry {
                sectors: blocks * block_sectors,
                ..disk
            },
        };
        Namespaces {
            count: count.into(),
            each,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// What each of them looks like.
    pub(crate) fn each(&self) -> Geometry {
        self.each
    }

    /// Refuses an id that no namespace has, the one that stands for all
    /// included.
    pub(crate) fn check(&self, id: u32) -> Result<(), StatusCode> {
        match (1..=self.count).contains(&id) {
            true => Ok(()),
            false => Err(StatusCode::INVALID_NAMESPACE),
        }
    }

    /// The same for a command that may mean all of them.
    pub(crate) fn check_or_all(&self, id: u32) -> Result<(), StatusCode> {
        match id {
            ALL => Ok(()),
            id => self.check(id),
        }
    }

    /// The first sector of a namespace on the disk.
    pub(crate) fn base(&self, id: u32) -> Result<u64, StatusCode> {
        self.check(id)?;
        Ok(u64::from(id - 1) * self.each.sectors)
    }

    /// The ids above one, in order.
    pub(crate) fn above(&self, id: u32) -> impl Iterator<Item = u32> {
        id.saturating_add(1).max(1)..=self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(sectors: u64, block_size: u32) -> Geometry {
        Geometry {
            sectors,
            block_size,
            read_only: false,
        }
    }

    #[test]
    fn a_disk_is_cut_evenly_and_into_whole_blocks() {
        let three = Namespaces::of(disk(1000, 4096), 3);
        assert_eq!(three.each().sectors, 41 * 8);
        assert_eq!(three.base(1), Ok(0));
        assert_eq!(three.base(3), Ok(2 * 41 * 8));
        let whole = Namespaces::of(disk(1001, 512), 1);
        assert_eq!(whole.each().sectors, 1001);
    }

    #[test]
    fn ids_that_no_namespace_has_are_refused() {
        let two = Namespaces::of(disk(1000, 512), 2);
        let invalid = Err(StatusCode::INVALID_NAMESPACE);
        for id in [0, 3, ALL - 1, ALL] {
            assert_eq!(two.check(id), invalid, "{id:#x}");
        }
        assert_eq!(two.check_or_all(ALL), Ok(()));
        assert_eq!(two.check_or_all(0), invalid);
        assert_eq!(two.above(0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(two.above(1).collect::<Vec<_>>(), [2]);
        assert_eq!(two.above(ALL).count(), 0);
    }
}
