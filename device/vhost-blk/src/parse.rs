// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A chain's bytes into a request, once; nothing of the wire's format gets
//! further than this.

use irqstorm_core::request::{Extent, Operation, Request, Sector, Status};
use irqstorm_core::store::Geometry;
use irqstorm_front_end::{Near, Segments, Serial};
use virtio_bindings::bindings::virtio_blk;

use crate::chain::{ChainFault, Layout};
use crate::config::{MAX_RANGE_SECTORS, MAX_RANGES};
use crate::features::Features;
use crate::options::Options;
use crate::wire::{HEADER_LEN, ID_LEN, RANGE_FLAG_UNMAP, RANGE_LEN};

/// What a driver was told about the disk, against which its requests are read.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) geometry: Geometry,
    pub(crate) serial: Serial,
    /// The most data segments, where the driver agreed to a limit.
    pub(crate) seg_max: Option<u32>,
    /// The most bytes of one, where the driver agreed to a limit.
    pub(crate) size_max: Option<u32>,
    pub(crate) discard: bool,
    pub(crate) write_zeroes: bool,
}

/// A request that this device refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The chain itself is wrong.
    #[error("{0}")]
    Chain(#[from] ChainFault),
    /// Less than a header.
    #[error("it is shorter than a request header")]
    NoHeader,
    /// A type that the device does not do, or did not agree to do.
    #[error("requests of type {0:#x} are not supported")]
    Type(u32),
    /// A write to a disk that is read-only.
    #[error("the disk is read-only")]
    ReadOnly,
    /// Data that is empty or no whole number of blocks.
    #[error("{0} bytes of data are not a whole number of blocks")]
    DataLength(u64),
    /// More or larger data segments than agreed.
    #[error("its data segments are more or larger than agreed")]
    Segments,
    /// Sectors past the end, or not where a block begins.
    #[error("it reaches sectors that the disk does not have, or parts of blocks")]
    Sectors,
    /// Discard or write zeroes ranges that are none, too many or too long.
    #[error("its ranges are none, too many or too long")]
    Ranges,
    /// A range flag that is not defined for the request.
    #[error("range flags {0:#x} are not supported")]
    RangeFlags(u32),
}

impl Refused {
    /// How such a request ends.
    pub(crate) fn status(self) -> Status {
        match self {
            Refused::Type(_) | Refused::RangeFlags(_) => Status::Unsupported,
            _ => Status::IoError,
        }
    }
}

/// A request, with the data that the store may reach.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) request: Request,
    pub(crate) data: Segments,
    /// Whether data goes to the guest rather than comes from it.
    pub(crate) to_guest: bool,
    /// Bytes of the guest's buffers already written here.
    pub(crate) written: u64,
}

impl Parsed {
    fn without_data(request: Request) -> Parsed {
        Parsed {
            request,
            data: Segments::default(),
            to_guest: false,
            written: 0,
        }
    }
}

impl Terms {
    /// The terms of `options` under the features that the driver acknowledged.
    pub(crate) fn new(options: &Options, acked: Features) -> Terms {
        Terms {
            geometry: options.geometry,
            serial: options.serial,
            seg_max: acked.contains(Features::SEG_MAX).then_some(options.seg_max),
            size_max: options
                .size_max
                .filter(|_| acked.contains(Features::SIZE_MAX)),
            discard: acked.contains(Features::DISCARD),
            write_zeroes: acked.contains(Features::WRITE_ZEROES),
        }
    }

    /// Reads the request that `layout` holds (Virtio 1.2, 5.2.6).
    pub(crate) fn parse(&self, memory: &Near, layout: &mut Layout) -> Result<Parsed, Refused> {
        let header: [u8; HEADER_LEN] = layout
            .readable
            .first_sixteen(memory)
            .map_err(|_| Refused::NoHeader)?;
        layout.readable.skip(HEADER_LEN as u64);
        let (kind, sector) = split_header(&header);
        match kind {
            virtio_blk::VIRTIO_BLK_T_IN => {
                let data = std::mem::take(&mut layout.writable);
                self.transfer(Operation::Read, sector, data)
            }
            virtio_blk::VIRTIO_BLK_T_OUT if self.geometry.read_only => Err(Refused::ReadOnly),
            virtio_blk::VIRTIO_BLK_T_OUT => {
                let data = std::mem::take(&mut layout.readable);
                self.transfer(Operation::Write, sector, data)
            }
            virtio_blk::VIRTIO_BLK_T_FLUSH => {
                Ok(Parsed::without_data(Request::bare(Operation::Flush)))
            }
            virtio_blk::VIRTIO_BLK_T_GET_ID => self.identify(memory, &layout.writable),
            virtio_blk::VIRTIO_BLK_T_DISCARD if self.discard => {
                self.ranges(Operation::Discard, memory, &layout.readable)
            }
            virtio_blk::VIRTIO_BLK_T_WRITE_ZEROES if self.write_zeroes => {
                self.ranges(Operation::WriteZeroes, memory, &layout.readable)
            }
            other => Err(Refused::Type(other)),
        }
    }

    fn transfer(
        &self,
        operation: Operation,
        start: Sector,
        data: Segments,
    ) -> Result<Parsed, Refused> {
        let len = data.len();
        if len == 0 || !len.is_multiple_of(u64::from(self.geometry.block_size)) {
            return Err(Refused::DataLength(len));
        }
        let too_many = self
            .seg_max
            .is_some_and(|most| data.count() > most as usize);
        let too_large = self
            .size_max
            .is_some_and(|most| data.iter().any(|segment| segment.len() > most));
        if too_many || too_large {
            return Err(Refused::Segments);
        }
        let sectors = len / irqstorm_core::request::SECTOR_SIZE;
        self.check(Extent { start, sectors })?;
        Ok(Parsed {
            request: Request::transfer(operation, start, sectors),
            data,
            to_guest: operation == Operation::Read,
            written: 0,
        })
    }

    /// Writes the serial at once: the store has no part in it.
    fn identify(&self, memory: &Near, into: &Segments) -> Result<Parsed, Refused> {
        let room = usize::try_from(into.len()).unwrap_or(ID_LEN).min(ID_LEN);
        let name = self.serial.bytes().get(..room).unwrap_or_default();
        if name.is_empty() || into.write(memory, 0, name).is_err() {
            return Err(Refused::DataLength(into.len()));
        }
        Ok(Parsed {
            written: name.len() as u64,
            ..Parsed::without_data(Request::bare(Operation::Identify))
        })
    }

    fn ranges(
        &self,
        operation: Operation,
        memory: &Near,
        data: &Segments,
    ) -> Result<Parsed, Refused> {
        if self.geometry.read_only {
            return Err(Refused::ReadOnly);
        }
        let count = data.len() / RANGE_LEN as u64;
        let whole = data.len().is_multiple_of(RANGE_LEN as u64);
        if !whole || !(1..=u64::from(MAX_RANGES)).contains(&count) {
            return Err(Refused::Ranges);
        }
        let mut request = Request::bare(operation);
        request.unmap = operation == Operation::WriteZeroes;
        for index in 0..count {
            let mut bytes = [0; RANGE_LEN];
            data.read(memory, index * RANGE_LEN as u64, &mut bytes)
                .map_err(|_| Refused::Ranges)?;
            let (extent, flags) = split_range(&bytes);
            request.unmap &= self.check_flags(operation, flags)?;
            if extent.sectors > u64::from(MAX_RANGE_SECTORS) {
                return Err(Refused::Ranges);
            }
            self.check(extent)?;
            request.extents.push(extent);
        }
        Ok(Parsed::without_data(request))
    }

    /// Whether the range may be unmapped. For a discard the flag has no
    /// meaning and must not be set (5.2.6.2).
    fn check_flags(&self, operation: Operation, flags: u32) -> Result<bool, Refused> {
        match flags {
            0 => Ok(false),
            RANGE_FLAG_UNMAP if operation == Operation::WriteZeroes => Ok(true),
            other => Err(Refused::RangeFlags(other)),
        }
    }

    /// Whether the disk has all of `extent`, in whole blocks.
    fn check(&self, extent: Extent) -> Result<(), Refused> {
        let block = u64::from(self.geometry.block_size) / irqstorm_core::request::SECTOR_SIZE;
        let aligned = extent.start.0.is_multiple_of(block) && extent.sectors.is_multiple_of(block);
        if aligned && extent.fits(self.geometry.sectors) {
            return Ok(());
        }
        Err(Refused::Sectors)
    }
}

/// Type and sector of `struct virtio_blk_req` (5.2.6).
fn split_header(header: &[u8; HEADER_LEN]) -> (u32, Sector) {
    let [t0, t1, t2, t3, _, _, _, _, s @ ..] = *header;
    (
        u32::from_le_bytes([t0, t1, t2, t3]),
        Sector(u64::from_le_bytes(s)),
    )
}

/// Extent and flags of `struct virtio_blk_discard_write_zeroes` (5.2.6).
fn split_range(range: &[u8; RANGE_LEN]) -> (Extent, u32) {
    let [s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3, flags @ ..] = *range;
    let extent = Extent {
        start: Sector(u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7])),
        sectors: u64::from(u32::from_le_bytes([n0, n1, n2, n3])),
    };
    (extent, u32::from_le_bytes(flags))
}
