// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where the data is. A request is executed whole before its completion is
//! planned: what the guest is told is on the store.

use crate::queue::GuestBuffers;
use crate::request::{Outcome, Request};

/// What a front-end tells the guest about the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Size in sectors of [`crate::request::SECTOR_SIZE`] bytes.
    pub sectors: u64,
    /// Logical block size in bytes: a power of two, 512 to 4096.
    pub block_size: u32,
    /// Whether writes are refused.
    pub read_only: bool,
}

/// A disk's content. Requests outside it end with an I/O error and touch nothing.
pub trait Store: Send {
    /// Its shape; constant over its life.
    fn geometry(&self) -> Geometry;

    /// Carries a request out, all of it, and says how it ended. Data moves
    /// between the store and `buffers`.
    fn execute(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> Outcome;
}
