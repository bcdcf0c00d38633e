// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a disk looks like to the guest, as the daemon is asked for it.

use irqstorm_core::store::Geometry;
use irqstorm_front_end::Serial;

use crate::config_vector::ConfigChange;
use crate::features::{Disk, Features};

/// The most queues that a disk can have: ring indices are one byte in
/// vhost-user's fd messages.
const MAX_QUEUES: u16 = 256;

/// The largest ring: what QEMU accepts for `queue-size`.
const MAX_QUEUE_SIZE: u16 = 1024;

/// Data segments offered by default: those of QEMU's default ring of 128,
/// less the header and the status. The device is not told the ring's size
/// before the driver reads the config.
const DEFAULT_SEG_MAX: u32 = 126;

/// The shape of the disk towards the guest.
#[derive(Clone, Debug)]
pub struct Options {
    /// Queues, 1 to 256. A front-end may use fewer.
    pub queues: u16,
    /// The largest ring accepted, a power of two up to 1024.
    pub max_queue_size: u16,
    /// What get id answers, and the guest shows as the disk's serial.
    pub serial: Serial,
    /// Capacity, block size, and whether it is read-only: those of the store.
    pub geometry: Geometry,
    /// Physical blocks and preferred sizes.
    pub topology: Topology,
    /// The most data segments of a request.
    pub seg_max: u32,
    /// The most bytes of a data segment; not offered if absent.
    pub size_max: Option<u32>,
    /// How the interrupt of the configuration vector is brought about.
    pub config_change: ConfigChange,
    /// Features not offered although the device has them.
    pub withheld: Features,
}

/// Topology as the config space has it (Virtio 1.2, 5.2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Logical blocks in a physical one, as a power of two.
    pub physical_block_exp: u8,
    /// Offset of the first aligned logical block.
    pub alignment_offset: u8,
    /// Preferred smallest I/O, in logical blocks; zero says nothing.
    pub min_io_size: u16,
    /// Preferred I/O, in logical blocks; zero says nothing.
    pub opt_io_size: u32,
}

/// Options that make no disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// No queue, or more than can be named.
    #[error("a disk of {0} queues: 1 to 256 are possible")]
    Queues(u16),
    /// A ring size that the split ring does not have.
    #[error("rings of {0} elements: a power of two from 2 to 1024 is possible")]
    QueueSize(u16),
    /// A block size that no driver takes.
    #[error("logical blocks of {0} bytes: 512, 1024, 2048 and 4096 are possible")]
    BlockSize(u32),
    /// No data segment, or more than the largest ring carries.
    #[error("requests of {0} data segments: 1 to 1022 are possible")]
    SegMax(u32),
    /// Segments smaller than what a driver must be able to use.
    #[error("data segments of {0} bytes: a multiple of the block size, 4096 or more, is possible")]
    SizeMax(u32),
}

impl Options {
    /// One queue, rings up to 1024, every feature that `geometry` allows.
    pub fn new(geometry: Geometry) -> Options {
        Options {
            queues: 1,
            max_queue_size: MAX_QUEUE_SIZE,
            serial: Serial::default(),
            geometry,
            topology: Topology::default(),
            seg_max: DEFAULT_SEG_MAX,
            size_max: None,
            config_change: ConfigChange::default(),
            withheld: Features::NONE,
        }
    }

    /// Refuses what makes no disk.
    pub fn check(&self) -> Result<(), OptionsError> {
        let block_size = self.geometry.block_size;
        if !(1..=MAX_QUEUES).contains(&self.queues) {
            return Err(OptionsError::Queues(self.queues));
        }
        if !(2..=MAX_QUEUE_SIZE).contains(&self.max_queue_size)
            || !self.max_queue_size.is_power_of_two()
        {
            return Err(OptionsError::QueueSize(self.max_queue_size));
        }
        if !self.geometry.has_usable_blocks() {
            return Err(OptionsError::BlockSize(block_size));
        }
        if !(1..=u32::from(MAX_QUEUE_SIZE) - 2).contains(&self.seg_max) {
            return Err(OptionsError::SegMax(self.seg_max));
        }
        match self.size_max {
            Some(size) if size < 4096 || size % block_size != 0 => Err(OptionsError::SizeMax(size)),
            _ => Ok(()),
        }
    }

    /// The features of such a disk.
    pub(crate) fn offered(&self) -> Features {
        let disk = Disk {
            queues: self.queues,
            read_only: self.geometry.read_only,
            limits_segment_size: self.size_max.is_some(),
        };
        Features::offered(disk, self.withheld)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options::new(Geometry {
            sectors: 2049,
            block_size: 512,
            read_only: false,
        })
    }

    #[test]
    fn the_defaults_make_a_disk() {
        assert_eq!(options().check(), Ok(()));
    }

    #[test]
    fn impossible_values_are_each_refused() {
        let refused = |change: fn(&mut Options)| {
            let mut options = options();
            change(&mut options);
            options.check().unwrap_err()
        };
        assert_eq!(refused(|o| o.queues = 0), OptionsError::Queues(0));
        assert_eq!(refused(|o| o.queues = 257), OptionsError::Queues(257));
        assert_eq!(
            refused(|o| o.max_queue_size = 100),
            OptionsError::QueueSize(100)
        );
        assert_eq!(
            refused(|o| o.max_queue_size = 2048),
            OptionsError::QueueSize(2048)
        );
        assert_eq!(
            refused(|o| o.geometry.block_size = 520),
            OptionsError::BlockSize(520)
        );
        assert_eq!(refused(|o| o.seg_max = 0), OptionsError::SegMax(0));
        assert_eq!(
            refused(|o| o.size_max = Some(512)),
            OptionsError::SizeMax(512)
        );
    }
}
