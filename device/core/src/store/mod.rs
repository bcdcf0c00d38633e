// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where the data is. A request is executed whole before its completion is
//! planned: what the guest is told is on the store.

mod aligned;
pub mod file;
pub mod null;
pub mod ram;

use crate::queue::GuestBuffers;
use crate::request::{Operation, Outcome, Request, SECTOR_SIZE, Status};

pub use file::{FileError, FileOptions, FileStore};
pub use null::NullStore;
pub use ram::RamStore;

/// What a front-end tells the guest about the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Size in sectors of [`SECTOR_SIZE`] bytes.
    pub sectors: u64,
    /// Logical block size in bytes: a power of two, 512 to 4096.
    pub block_size: u32,
    /// Whether writes are refused.
    pub read_only: bool,
}

impl Geometry {
    /// Whether its logical block is one that drivers take.
    pub fn has_usable_blocks(&self) -> bool {
        (512..=4096).contains(&self.block_size) && self.block_size.is_power_of_two()
    }
}

/// A disk's content. Requests outside it end with an I/O error and touch
/// nothing.
pub trait Store: Send {
    /// Its shape; constant over its life.
    fn geometry(&self) -> Geometry;

    /// Carries a request out, all of it, and says how it ended. Data moves
    /// between the store and `buffers`.
    fn execute(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> Outcome;
}

/// Refuses what no store may carry out: outside the disk, between its blocks,
/// a write to a read-only disk, or data that does not fit the extent.
fn admit(geometry: &Geometry, request: &Request, buffers: &dyn GuestBuffers) -> Result<(), Status> {
    let changes = matches!(
        request.operation,
        Operation::Write | Operation::Discard | Operation::WriteZeroes
    );
    if changes && geometry.read_only {
        return Err(Status::IoError);
    }
    let block = u64::from(geometry.block_size) / SECTOR_SIZE;
    let fits = request.extents.iter().all(|extent| {
        extent.fits(geometry.sectors)
            && extent.start.0.is_multiple_of(block)
            && extent.sectors.is_multiple_of(block)
    });
    if !fits {
        return Err(Status::IoError);
    }
    let moves = matches!(request.operation, Operation::Read | Operation::Write);
    if moves && (request.extents.len() != 1 || request.bytes() != buffers.len()) {
        return Err(Status::IoError);
    }
    Ok(())
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn geometry(&self) -> Geometry {
        (**self).geometry()
    }

    fn execute(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> Outcome {
        (**self).execute(request, buffers)
    }
}
