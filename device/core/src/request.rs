// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a guest asked for, parsed once, and what became of it.

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

/// Bytes in the unit in which every transport and store here counts.
///
/// Virtio 1.2, 5.2.4: "capacity ... expressed in 512-byte sectors", whatever
/// the block size.
pub const SECTOR_SIZE: u64 = 512;

/// A position on the disk, in sectors of [`SECTOR_SIZE`] bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Sector(pub u64);

/// A queue of the device, counted from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct QueueId(pub u16);

/// A request, numbered from 1 in the order of arrival over the device's life.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RequestId(pub u64);

/// A run of sectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The first one.
    pub start: Sector,
    /// How many.
    pub sectors: u64,
}

impl Extent {
    /// Whether all of it lies on a disk of `capacity` sectors.
    pub fn fits(&self, capacity: u64) -> bool {
        matches!(self.start.0.checked_add(self.sectors), Some(end) if end <= capacity)
    }

    /// The byte offset of its start; `None` beyond what 64 bits can say.
    pub fn byte_offset(&self) -> Option<u64> {
        self.start.0.checked_mul(SECTOR_SIZE)
    }

    /// Its length in bytes; `None` beyond what 64 bits can say.
    pub fn byte_len(&self) -> Option<u64> {
        self.sectors.checked_mul(SECTOR_SIZE)
    }
}

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Data from the disk to the guest.
    Read,
    /// Data from the guest to the disk.
    Write,
    /// Everything completed so far onto stable storage.
    Flush,
    /// The sectors' content is no longer needed.
    Discard,
    /// The sectors read as zeroes from now on.
    WriteZeroes,
    /// The name of the device, filled in by the front-end itself.
    Identify,
    /// A chain or command that could not be parsed: completed with its error.
    Malformed,
}

impl Operation {
    /// Every kind.
    pub const ALL: [Operation; 7] = [
        Operation::Read,
        Operation::Write,
        Operation::Flush,
        Operation::Discard,
        Operation::WriteZeroes,
        Operation::Identify,
        Operation::Malformed,
    ];

    /// Its name, as scenarios, commands and events have it.
    pub const fn name(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Flush => "flush",
            Operation::Discard => "discard",
            Operation::WriteZeroes => "write-zeroes",
            Operation::Identify => "identify",
            Operation::Malformed => "malformed",
        }
    }
}

/// One request as the rest of the device sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub operation: Operation,
    /// Where: one extent for reads and writes (its length is the data's), any
    /// number for discard and write zeroes, none for the others. One takes no
    /// memory of its own.
    pub extents: SmallVec<[Extent; 1]>,
    /// For write zeroes: whether the sectors may be deallocated on the way.
    pub unmap: bool,
    /// Whether what it changes is on stable storage when it completes, whatever
    /// the write cache's mode.
    pub durable: bool,
}

impl Request {
    /// A request with no place on the disk.
    pub fn bare(operation: Operation) -> Request {
        Request {
            operation,
            extents: SmallVec::new(),
            unmap: false,
            durable: false,
        }
    }

    /// A read or a write of one run of sectors.
    pub fn transfer(operation: Operation, start: Sector, sectors: u64) -> Request {
        Request {
            operation,
            extents: smallvec![Extent { start, sectors }],
            unmap: false,
            durable: false,
        }
    }

    /// The first extent's start, or sector 0.
    #[inline]
    pub fn start(&self) -> Sector {
        self.extents.first().map(|e| e.start).unwrap_or_default()
    }

    /// Bytes over all extents, saturating.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.extents.iter().fold(0, |sum: u64, extent| {
            sum.saturating_add(extent.byte_len().unwrap_or(u64::MAX))
        })
    }
}

/// How a request ended, in the terms common to virtio-blk and NVMe; each
/// front-end has one function that turns it into its wire status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Done, all of it.
    Ok,
    /// Failed: the medium, the store, or a request outside the disk.
    IoError,
    /// The device does not do this.
    Unsupported,
    /// The driver took it back.
    Aborted,
}

/// What the store did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Bytes of data written into the guest's buffers.
    pub written: u64,
}

impl Outcome {
    /// Success with `written` bytes in the guest's buffers.
    pub fn ok(written: u64) -> Outcome {
        Outcome {
            status: Status::Ok,
            written,
        }
    }

    /// A failure: nothing of the buffers counts as written.
    pub fn failed(status: Status) -> Outcome {
        Outcome { status, written: 0 }
    }
}
