// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! An I/O command's bytes into a request, once; nothing of the wire's format
//! gets further than this (NVM Command Set 1.0, 3.2).

use irqstorm_core::request::{Extent, Operation, Request, SECTOR_SIZE, Sector};
use irqstorm_front_end::Segments;
use vm_memory::{GuestMemoryMmap, Permissions};

use crate::data::{prp, sgl};
use crate::namespaces::Namespaces;
use crate::wire::{Command, StatusCode};

/// MDTS: the most bytes of a command's data are 2^8 pages of 4 KiB
/// (5.17.2.1).
pub(crate) const MAX_TRANSFER_EXPONENT: u8 = 8;
const MAX_TRANSFER: u64 = 4096 << MAX_TRANSFER_EXPONENT;

/// I/O command opcodes (NVM Command Set 1.0, Figure 15).
pub(crate) mod opcode {
    pub(crate) const FLUSH: u8 = 0x00;
    pub(crate) const WRITE: u8 = 0x01;
    pub(crate) const READ: u8 = 0x02;
    pub(crate) const COMPARE: u8 = 0x05;
    pub(crate) const WRITE_ZEROES: u8 = 0x08;
    pub(crate) const DATASET_MANAGEMENT: u8 = 0x09;
    pub(crate) const VERIFY: u8 = 0x0c;
}

/// FUA, in dword 12 of read, write, compare and write zeroes.
const FORCE_UNIT_ACCESS: u32 = 1 << 30;

/// DEAC, in dword 12 of write zeroes.
const DEALLOCATE: u32 = 1 << 25;

/// AD, in dword 11 of dataset management: the only attribute that is more than
/// a hint.
const ATTRIBUTE_DEALLOCATE: u32 = 1 << 2;

/// Bytes of a dataset management range (NVM Command Set 1.0, Figure 36).
const RANGE_LEN: usize = 16;

/// Where a request's data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the guest, or there is none.
    FromGuest,
    /// To the guest.
    ToGuest,
    /// From the store, to be compared with the guest's.
    Compared,
    /// From the store, and no further.
    Dropped,
}

/// A request, with the data that the store may reach.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) request: Request,
    pub(crate) data: Segments,
    pub(crate) direction: Direction,
}

impl Parsed {
    fn without_data(request: Request) -> Parsed {
        Parsed {
            request,
            data: Segments::default(),
            direction: Direction::FromGuest,
        }
    }
}

/// What commands are read against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) namespaces: Namespaces,
    /// Bytes of a memory page (3.1.3.5, CC.MPS).
    pub(crate) page: u64,
}

impl Terms {
    /// Sectors in a logical block.
    pub(crate) fn block_sectors(&self) -> u64 {
        u64::from(self.namespaces.each().block_size) / SECTOR_SIZE
    }

    /// Reads the request that a command makes.
    pub(crate) fn parse(
        &self,
        memory: &GuestMemoryMmap,
        command: &Command,
    ) -> Result<Parsed, StatusCode> {
        if command.is_fused() {
            return Err(StatusCode::INVALID_FIELD);
        }
        match command.opcode() {
            opcode::FLUSH => {
                // A flush may be of all (VWC, 5.17.2.1).
                self.namespaces.check_or_all(command.namespace())?;
                Ok(Parsed::without_data(Request::bare(Operation::Flush)))
            }
            opcode::READ => self.transfer(memory, command, Direction::ToGuest),
            opcode::WRITE => self.transfer(memory, command, Direction::FromGuest),
            opcode::COMPARE => self.transfer(memory, command, Direction::Compared),
            opcode::VERIFY => self.verify(command),
            opcode::WRITE_ZEROES => self.write_zeroes(command),
            opcode::DATASET_MANAGEMENT => self.dataset_management(memory, command),
            _ => Err(StatusCode::INVALID_OPCODE),
        }
    }

    fn check_writable(&self) -> Result<(), StatusCode> {
        match self.namespaces.each().read_only {
            true => Err(StatusCode::WRITE_PROTECTED),
            false => Ok(()),
        }
    }

    /// So many blocks from one on, all of which the namespace has that begins at
    /// `base` of the disk.
    fn extent(&self, base: u64, start: u64, blocks: u64) -> Result<Extent, StatusCode> {
        let each = self.block_sectors();
        let start = start.checked_mul(each).ok_or(StatusCode::LBA_RANGE)?;
        let within = Extent {
            start: Sector(start),
            sectors: blocks * each,
        };
        match within.fits(self.namespaces.each().sectors) {
            true => Ok(Extent {
                start: Sector(base + start),
                ..within
            }),
            false => Err(StatusCode::LBA_RANGE),
        }
    }

    /// Starting LBA in dwords 10 and 11, number of blocks less one in 12.
    fn named_extent(&self, command: &Command) -> Result<Extent, StatusCode> {
        let base = self.namespaces.base(command.namespace())?;
        let blocks = u64::from(command.dword(12) & 0xffff) + 1;
        self.extent(base, command.qword(10), blocks)
    }

    fn transfer(
        &self,
        memory: &GuestMemoryMmap,
        command: &Command,
        direction: Direction,
    ) -> Result<Parsed, StatusCode> {
        let (operation, access) = match direction {
            Direction::FromGuest => {
                self.check_writable()?;
                (Operation::Write, Permissions::Read)
            }
            Direction::ToGuest => (Operation::Read, Permissions::Write),
            Direction::Compared | Direction::Dropped => (Operation::Read, Permissions::Read),
        };
        let extent = self.named_extent(command)?;
        let len = self.data_len(extent)?;
        let data = self.data(memory, access, command, len)?;
        let mut request = Request::transfer(operation, extent.start, extent.sectors);
        request.durable = command.dword(12) & FORCE_UNIT_ACCESS != 0;
        Ok(Parsed {
            request,
            data,
            direction,
        })
    }

    fn data_len(&self, extent: Extent) -> Result<u64, StatusCode> {
        let len = extent.byte_len().filter(|&len| len <= MAX_TRANSFER);
        len.ok_or(StatusCode::INVALID_FIELD)
    }

    /// Where `len` bytes of a command's data lie.
    pub(crate) fn data(
        &self,
        memory: &GuestMemoryMmap,
        access: Permissions,
        command: &Command,
        len: u64,
    ) -> Result<Segments, StatusCode> {
        match command.pointer_kind() {
            0 => {
                let prps = (command.prp1(), command.prp2());
                prp::walk(memory, access, self.page, prps, len)
            }
            // Metadata, of which there is none, is the difference of these two.
            1 | 2 => sgl::walk(memory, access, &command.sgl(), len),
            _ => Err(StatusCode::INVALID_FIELD),
        }
    }

    fn verify(&self, command: &Command) -> Result<Parsed, StatusCode> {
        let extent = self.named_extent(command)?;
        self.data_len(extent)?;
        Ok(Parsed {
            request: Request::transfer(Operation::Read, extent.start, extent.sectors),
            data: Segments::default(),
            direction: Direction::Dropped,
        })
    }

    fn write_zeroes(&self, command: &Command) -> Result<Parsed, StatusCode> {
        self.check_writable()?;
        let extent = self.named_extent(command)?;
        let mut request = Request::transfer(Operation::WriteZeroes, extent.start, extent.sectors);
        request.unmap = command.dword(12) & DEALLOCATE != 0;
        request.durable = command.dword(12) & FORCE_UNIT_ACCESS != 0;
        Ok(Parsed::without_data(request))
    }

    fn dataset_management(
        &self,
        memory: &GuestMemoryMmap,
        command: &Command,
    ) -> Result<Parsed, StatusCode> {
        let base = self.namespaces.base(command.namespace())?;
        let ranges = usize::from((command.dword(10) & 0xff) as u8) + 1;
        let mut bytes = vec![0; ranges * RANGE_LEN];
        let data = self.data(memory, Permissions::Read, command, bytes.len() as u64)?;
        data.read(memory, 0, &mut bytes)
            .map_err(|_| StatusCode::DATA_TRANSFER)?;
        let mut request = Request::bare(Operation::Discard);
        if command.dword(11) & ATTRIBUTE_DEALLOCATE != 0 {
            self.check_writable()?;
            for range in bytes.as_chunks::<RANGE_LEN>().0 {
                request.extents.extend(self.range(base, range)?);
            }
        }
        Ok(Parsed::without_data(request))
    }

    /// Context attributes, number of blocks, starting LBA; none for no block.
    fn range(&self, base: u64, range: &[u8; RANGE_LEN]) -> Result<Option<Extent>, StatusCode> {
        let [_, _, _, _, n0, n1, n2, n3, start @ ..] = *range;
        let blocks = u64::from(u32::from_le_bytes([n0, n1, n2, n3]));
        let extent = self.extent(base, u64::from_le_bytes(start), blocks)?;
        Ok(Some(extent).filter(|extent| extent.sectors > 0))
    }
}
