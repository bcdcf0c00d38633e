// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a controller looks like to the guest, as the daemon is asked for it.

use irqstorm_core::store::Geometry;
use irqstorm_front_end::Serial;

use crate::namespaces::Namespaces;

/// The most I/O queue pairs of a controller.
pub const MAX_QUEUES: u16 = 64;

/// The most entries of an I/O queue.
pub const MAX_QUEUE_SIZE: u16 = 4096;

/// The most namespaces of a disk: their ids are told in one page (5.17.2.3).
pub const MAX_NAMESPACES: u16 = 1024;

/// How the driver's doorbells come to the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DoorbellMode {
    /// As writes of registers, over the VMM's socket.
    Socket,
    /// So, until the driver keeps a shadow of them in its memory (doorbell
    /// buffers), which it is offered.
    #[default]
    Shadow,
    /// As memory of the BAR that the VMM maps: nobody is told of a write, so
    /// that the device has to look.
    Mapped,
}

/// The shape of the controller and its disk towards the guest.
#[derive(Clone, Debug)]
pub struct Options {
    /// I/O queue pairs, 1 to [`MAX_QUEUES`]. A driver may create fewer.
    pub queues: u16,
    /// The most entries of an I/O queue, 2 to [`MAX_QUEUE_SIZE`].
    pub max_queue_size: u16,
    /// The controller's serial number.
    pub serial: Serial,
    /// How doorbells come to the device.
    pub doorbells: DoorbellMode,
    /// Capacity, block size, and whether it is read-only: those of the store.
    pub geometry: Geometry,
    /// Namespaces that the disk is cut into, 1 to [`MAX_NAMESPACES`].
    pub namespaces: u16,
}

/// Options that make no controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// No queue, or more than there are vectors for.
    #[error("a controller of {0} queues: 1 to {MAX_QUEUES} are possible")]
    Queues(u16),
    /// A queue size that is none.
    #[error("queues of {0} entries: 2 to {MAX_QUEUE_SIZE} are possible")]
    QueueSize(u16),
    /// No namespace, or more than are told of at once.
    #[error("a disk of {0} namespaces: 1 to {MAX_NAMESPACES} are possible")]
    Namespaces(u16),
    /// Namespaces without a block.
    #[error("{0} namespaces of a disk that has fewer blocks")]
    Empty(u16),
    /// A block size that no driver takes.
    #[error("logical blocks of {0} bytes: 512, 1024, 2048 and 4096 are possible")]
    BlockSize(u32),
}

impl Options {
    /// As many queues as there can be, of up to 1024 entries.
    pub fn new(geometry: Geometry) -> Options {
        Options {
            queues: MAX_QUEUES,
            max_queue_size: 1024,
            serial: Serial::default(),
            doorbells: DoorbellMode::default(),
            geometry,
            namespaces: 1,
        }
    }

    /// Refuses what makes no controller.
    pub fn check(&self) -> Result<(), OptionsError> {
        if !(1..=MAX_QUEUES).contains(&self.queues) {
            return Err(OptionsError::Queues(self.queues));
        }
        if !(2..=MAX_QUEUE_SIZE).contains(&self.max_queue_size) {
            return Err(OptionsError::QueueSize(self.max_queue_size));
        }
        if !self.geometry.has_usable_blocks() {
            return Err(OptionsError::BlockSize(self.geometry.block_size));
        }
        if !(1..=MAX_NAMESPACES).contains(&self.namespaces) {
            return Err(OptionsError::Namespaces(self.namespaces));
        }
        if self.namespaces > 1 && self.cut().each().sectors == 0 {
            return Err(OptionsError::Empty(self.namespaces));
        }
        Ok(())
    }

    /// The disk in its namespaces.
    pub(crate) fn cut(&self) -> Namespaces {
        Namespaces::of(self.geometry, self.namespaces)
    }

    /// Interrupt vectors: one for the admin queue, one for each I/O queue.
    pub(crate) fn vectors(&self) -> u16 {
        self.queues + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_values_are_each_refused() {
        let options = Options::new(Geometry {
            sectors: 2049,
            block_size: 512,
            read_only: false,
        });
        assert_eq!(options.check(), Ok(()));
        let refused = |change: fn(&mut Options)| {
            let mut options = options.clone();
            change(&mut options);
            options.check().unwrap_err()
        };
        assert_eq!(refused(|o| o.queues = 0), OptionsError::Queues(0));
        assert_eq!(refused(|o| o.queues = 65), OptionsError::Queues(65));
        assert_eq!(
            refused(|o| o.max_queue_size = 1),
            OptionsError::QueueSize(1)
        );
        assert_eq!(
            refused(|o| o.geometry.block_size = 520),
            OptionsError::BlockSize(520)
        );
        assert_eq!(refused(|o| o.namespaces = 0), OptionsError::Namespaces(0));
        let many = refused(|o| o.namespaces = 1025);
        assert_eq!(many, OptionsError::Namespaces(1025));
        let empty = |o: &mut Options| (o.namespaces, o.geometry.sectors) = (3, 2);
        assert_eq!(refused(empty), OptionsError::Empty(3));
    }
}
