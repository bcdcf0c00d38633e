// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A vfio-user server: one connection's messages, turned into calls of a
//! [`Device`] (QEMU's docs/interop/vfio-user.rst, protocol 0.1).
//!
//! Every message is read to its end by the length in its header, and answered
//! unless it asks for no answer; what a device refuses is answered with an
//! errno. A message that cannot be believed, one that is longer than any or no
//! message of a client, ends the connection.
//!
//! What this does not do: the server sends no messages of its own (memory is
//! reached through fds alone), and there is no migration.

mod message;
mod session;
mod wire;

#[cfg(test)]
mod random;

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::bar::Area;
use crate::memory::DmaMap;

pub(crate) use session::serve;

/// What a client does to an interrupt.
#[derive(Debug)]
pub(crate) enum IrqAction {
    /// Gives it an eventfd to be signalled through, or takes it away.
    Assign(Option<File>),
    /// Raises it itself.
    Trigger,
    /// Masks it.
    Mask,
    /// Unmasks it.
    Unmask,
}

/// The kinds of interrupts, by their index (linux/vfio.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IrqKind {
    /// The pin.
    Intx,
    /// MSI-X vectors.
    Msix,
}

/// A region of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    /// Base address register 0.
    Bar0,
    /// The configuration space.
    Config,
}

/// What is served.
pub(crate) trait Device {
    /// The client asks what the device is; memory has been mapped before.
    fn start(&mut self) -> Result<(), Errno>;

    /// Maps guest memory.
    fn map(&mut self, map: DmaMap, fd: Option<OwnedFd>) -> Result<(), Errno>;

    /// Unmaps what was mapped so. No reference is left when this returns.
    fn unmap(&mut self, address: u64, size: u64) -> Result<(), Errno>;

    /// Unmaps everything.
    fn unmap_all(&mut self);

    /// Bytes of a region.
    fn region_len(&self, region: Region) -> u64;

    /// The part of a region that the client may map, whole pages, and the file
    /// that has it at the same offset.
    fn mapped(&self, _: Region) -> Option<(Area, BorrowedFd<'_>)> {
        None
    }

    /// What is readable when the device has something to do that no message
    /// asks for.
    fn wake(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Does that.
    fn woken(&mut self) {}

    /// Reads a region; all of `into` lies in it.
    fn read(&mut self, region: Region, offset: u64, into: &mut [u8]);

    /// Writes a region; all of `from` lies in it.
    fn write(&mut self, region: Region, offset: u64, from: &[u8]);

    /// How many interrupts of a kind there are.
    fn irq_count(&self, kind: IrqKind) -> u32;

    /// Does something to one of them.
    fn irq(&mut self, kind: IrqKind, index: u32, action: IrqAction);

    /// Takes the eventfds of all of a kind away: it is not used any more.
    fn disable_irqs(&mut self, kind: IrqKind);

    /// Resets the device as its function's reset does.
    fn reset(&mut self);
}
