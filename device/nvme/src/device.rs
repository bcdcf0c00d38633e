// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The PCI function around the controller, as the VMM sees it over vfio-user:
//! configuration space, BAR 0, interrupts and the guest's memory.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use irqstorm_front_end::sharing;
use rustix::io::Errno;
use vm_memory::GuestAddressSpace;

use crate::bar::{Area, Layout, Place};
use crate::config_space::{Asked, CONFIG_LEN, ConfigSpace};
use crate::controller::{Controller, Parts};
use crate::doorbell::Doorbells;
use crate::interrupts::Interrupts;
use crate::mapped::MappedPages;
use crate::memory::{DmaMap, DmaMaps};
use crate::vfio_user::{Device, IrqAction, IrqKind, Region};

/// The function of one connection.
pub(crate) struct Function {
    memory: DmaMaps,
    interrupts: Interrupts,
    config: ConfigSpace,
    controller: Controller,
    bar: Layout,
    doorbells: Doorbells,
}

impl Function {
    /// Fails if there is no memory to be had for the doorbells.
    pub(crate) fn new(parts: Parts) -> io::Result<Function> {
        let vectors = parts.options.vectors();
        let memory = DmaMaps::new();
        let interrupts = Interrupts::new(vectors);
        let bar = Layout::of(parts.options.doorbells);
        let doorbells = Doorbells::new(parts.options.doorbells, bar)?;
        Ok(Function {
            config: ConfigSpace::new(vectors, bar),
            controller: Controller::new(
                parts,
                memory.memory().clone(),
                interrupts.clone(),
                doorbells.clone(),
            ),
            memory,
            interrupts,
            bar,
            doorbells,
        })
    }

    /// Pending bits from one byte on.
    fn read_pending(&self, from: u64, into: &mut [u8]) {
        for (byte, at) in into.iter_mut().zip(from..) {
            let first = u32::try_from(at.saturating_mul(8)).unwrap_or(u32::MAX);
            *byte = (0..8).fold(0, |bits, bit| {
                let pending = self.interrupts.is_pending(first.saturating_add(bit));
                bits | u8::from(pending) << bit
            });
        }
    }

    fn write_bar(&mut self, offset: u64, value: u32) {
        match self.bar.place(offset) {
            Place::Register(at) => self.controller.write_register(at, value),
            Place::Doorbell(doorbell) => self.controller.ring(doorbell, value),
            // The VMM keeps the table, and nobody can write what is pending.
            Place::Pending(_) | Place::Nothing => {}
        }
    }
}

impl Device for Function {
    fn start(&mut self) -> Result<(), Errno> {
        let shared = match self.memory.shares_nothing() {
            true => Err(format!("it shares no guest RAM; {}", sharing::ADVICE)),
            false => sharing::check(&self.memory.memory().memory()).map_err(|e| e.to_string()),
        };
        shared.map_err(|why| {
            tracing::error!("cannot serve the VMM: {why}");
            Errno::INVAL
        })
    }

    fn map(&mut self, map: DmaMap, fd: Option<OwnedFd>) -> Result<(), Errno> {
        self.memory.map(map, fd)
    }

    fn unmap(&mut self, address: u64, size: u64) -> Result<(), Errno> {
        self.memory.unmap(address, size)
    }

    fn unmap_all(&mut self) {
        self.memory.unmap_all();
    }

    fn region_len(&self, region: Region) -> u64 {
        match region {
            Region::Bar0 => self.bar.len(),
            Region::Config => CONFIG_LEN as u64,
        }
    }

    fn mapped(&self, region: Region) -> Option<(Area, BorrowedFd<'_>)> {
        match region {
            Region::Bar0 => self.doorbells.pages().map(MappedPages::area),
            Region::Config => None,
        }
    }

    fn wake(&self) -> Option<BorrowedFd<'_>> {
        self.doorbells.complains_through()
    }

    fn woken(&mut self) {
        self.controller.tell_refused();
    }

    fn read(&mut self, region: Region, offset: u64, into: &mut [u8]) {
        into.fill(0);
        match (region, self.bar.place(offset)) {
            (Region::Config, _) => self.config.read(offset, into),
            (Region::Bar0, Place::Register(at)) => self.controller.read_registers(at, into),
            (Region::Bar0, Place::Pending(from)) => self.read_pending(from, into),
            // What a doorbell reads as is nobody's business (3.1.2).
            (Region::Bar0, Place::Doorbell(_) | Place::Nothing) => {}
        }
    }

    /// Registers are written 32 bits at a time, or 64 as twice 32, from the
    /// lower address on; anything else does nothing (NVMe over PCIe Transport
    /// 1.0, 3.1.1).
    fn write(&mut self, region: Region, offset: u64, from: &[u8]) {
        if region == Region::Config {
            if self.config.write(offset, from) == Asked::FunctionReset {
                self.controller.reset_function();
            }
            return;
        }
        let (words, rest) = from.as_chunks::<4>();
        if words.len() > 2 || !rest.is_empty() || !offset.is_multiple_of(4) {
            return;
        }
        for (&word, at) in words.iter().zip((offset..).step_by(4)) {
            self.write_bar(at, u32::from_le_bytes(word));
        }
    }

    fn irq_count(&self, kind: IrqKind) -> u32 {
        match kind {
            IrqKind::Intx => 1,
            IrqKind::Msix => self.interrupts.count(),
        }
    }

    fn irq(&mut self, kind: IrqKind, index: u32, action: IrqAction) {
        let vector = u16::try_from(index).unwrap_or(u16::MAX);
        match (kind, action) {
            (IrqKind::Intx, IrqAction::Assign(fd)) => self.interrupts.set_pin(fd),
            (IrqKind::Intx, IrqAction::Mask) => self.interrupts.mask_pin(),
            (IrqKind::Intx, IrqAction::Unmask) => {
                self.interrupts.unmask_pin(self.controller.has_unread());
            }
            (IrqKind::Msix, IrqAction::Assign(fd)) => self.interrupts.set_vector(index, fd),
            // A vector is masked by taking its fd away.
            (IrqKind::Msix, IrqAction::Mask | IrqAction::Unmask) => {}
            (_, IrqAction::Trigger) => self.interrupts.signal(vector, true),
        }
    }

    fn disable_irqs(&mut self, kind: IrqKind) {
        match kind {
            IrqKind::Intx => self.interrupts.set_pin(None),
            IrqKind::Msix => self.interrupts.disable_msix(),
        }
    }

    fn reset(&mut self) {
        self.controller.reset_function();
        let vectors = u16::try_from(self.interrupts.count()).unwrap_or(u16::MAX);
        self.config = ConfigSpace::new(vectors, self.bar);
    }
}

#[cfg(test)]
mod random;
