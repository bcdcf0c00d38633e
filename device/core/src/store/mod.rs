// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where the data is. What the guest is told has been done by the store.
//!
//! A store that is as fast as memory carries a request out as it is submitted.
//! One that waits for a disk only begins it, says later that it has ended, and
//! moves the data to the guest when it is asked to finish it; see [`Store`].

mod aligned;
pub mod file;
mod later;
pub mod null;
pub mod ram;

use std::os::fd::BorrowedFd;

use crate::queue::GuestBuffers;
use crate::request::{Operation, Outcome, Request, SECTOR_SIZE, Status};

pub use file::{FileError, FileOptions, FileStore};
pub use later::{Ended, Submitted, Ticket};
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
///
/// The first two calls are all that a store needs which waits for nothing. One
/// that does goes on from `submit` to [`Store::ended`], and from there to
/// [`Store::finish`] or [`Store::forget`], once for each request that is to end
/// later. A write's data is taken at `submit` and a read's handed over at
/// `finish`: between them the store touches no guest memory. A flush covers
/// every change that had ended when it was submitted.
pub trait Store: Send {
    /// Its shape; constant over its life.
    fn geometry(&self) -> Geometry;

    /// Carries a request out, all of it, and says how it ended. Data moves
    /// between the store and `buffers`.
    fn execute(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> Outcome;

    /// Called once, on the thread that makes all calls after it.
    fn begin(&mut self) {}

    /// Carries a request out, or takes it to end later.
    fn submit(
        &mut self,
        _ticket: Ticket,
        request: &Request,
        buffers: &dyn GuestBuffers,
    ) -> Submitted {
        Submitted::Done(self.execute(request, buffers))
    }

    /// Hands on all that was submitted and was not yet, and looks for what has
    /// ended. Never waits.
    fn push(&mut self) {}

    /// Whether there is something to hand on.
    fn has_unsent(&self) -> bool {
        false
    }

    /// A request that has ended, if there is one more.
    fn ended(&mut self) -> Option<Ended> {
        None
    }

    /// How a request that has ended did so. What it has read is written to
    /// `buffers`, those that it was submitted with.
    fn finish(&mut self, ended: &Ended, _buffers: &dyn GuestBuffers) -> Outcome {
        ended.outcome()
    }

    /// Drops what became of a request that has ended.
    fn forget(&mut self, _ended: &Ended) {}

    /// Requests submitted that [`Store::ended`] has not told of.
    fn pending(&self) -> usize {
        0
    }

    /// Hands on what was submitted and waits until a request has ended, if any
    /// is pending.
    fn wait(&mut self) {}

    /// Becomes readable, or does so again, when [`Store::push`] may find that
    /// something has ended. Nobody need read it: who waits is told of each time
    /// (edge-triggered, in epoll's terms).
    fn wakes(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Refuses what no store may carry out: outside the disk, between its blocks,
/// a write to a read-only disk, or data that does not fit the extent.
pub fn admit(
    geometry: &Geometry,
    request: &Request,
    buffers: &dyn GuestBuffers,
) -> Result<(), Status> {
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

    fn begin(&mut self) {
        (**self).begin();
    }

    fn submit(
        &mut self,
        ticket: Ticket,
        request: &Request,
        buffers: &dyn GuestBuffers,
    ) -> Submitted {
        (**self).submit(ticket, request, buffers)
    }

    fn push(&mut self) {
        (**self).push();
    }

    fn has_unsent(&self) -> bool {
        (**self).has_unsent()
    }

    fn ended(&mut self) -> Option<Ended> {
        (**self).ended()
    }

    fn finish(&mut self, ended: &Ended, buffers: &dyn GuestBuffers) -> Outcome {
        (**self).finish(ended, buffers)
    }

    fn forget(&mut self, ended: &Ended) {
        (**self).forget(ended);
    }

    fn pending(&self) -> usize {
        (**self).pending()
    }

    fn wait(&mut self) {
        (**self).wait();
    }

    fn wakes(&self) -> Option<BorrowedFd<'_>> {
        (**self).wakes()
    }
}
