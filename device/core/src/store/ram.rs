// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A disk in memory, of which only what was written takes room.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Geometry, Store, admit};
use crate::queue::{BufferError, GuestBuffers};
use crate::request::{Extent, Operation, Outcome, Request, SECTOR_SIZE, Status};

/// Bytes of the pieces in which memory is taken.
const CHUNK: usize = 64 * 1024;

const SECTORS_PER_CHUNK: u64 = CHUNK as u64 / SECTOR_SIZE;

/// A sparse disk in memory: what was never written, or was discarded, reads as
/// zeroes.
pub struct RamStore {
    geometry: Geometry,
    chunks: BTreeMap<u64, Box<[u8]>>,
}

impl RamStore {
    /// An empty disk.
    pub fn new(geometry: Geometry) -> RamStore {
        RamStore {
            geometry,
            chunks: BTreeMap::new(),
        }
    }

    fn read(&self, extent: &Extent, buffers: &dyn GuestBuffers) -> Result<(), BufferError> {
        static ZEROES: [u8; CHUNK] = [0; CHUNK];
        for piece in pieces(extent) {
            let chunk = self.chunks.get(&piece.chunk).map_or(&ZEROES[..], |c| c);
            buffers.write(piece.at, &chunk[piece.from..piece.to])?;
        }
        Ok(())
    }

    fn write(&mut self, extent: &Extent, buffers: &dyn GuestBuffers) -> Result<(), BufferError> {
        for piece in pieces(extent) {
            let chunk = self.chunks.entry(piece.chunk).or_insert_with(empty_chunk);
            buffers.read(piece.at, &mut chunk[piece.from..piece.to])?;
        }
        Ok(())
    }

    /// Whole chunks are given back; a discard of the whole disk visits only
    /// what was written.
    fn zero(&mut self, extent: &Extent) {
        let written: Vec<u64> = self
            .chunks
            .range(chunks_of(extent))
            .map(|(&chunk, _)| chunk)
            .collect();
        for chunk in written {
            let piece = piece_in(extent, chunk);
            if piece.to - piece.from == CHUNK {
                self.chunks.remove(&chunk);
            } else if let Some(data) = self.chunks.get_mut(&chunk) {
                data[piece.from..piece.to].fill(0);
            }
        }
    }
}

/// The part of an extent that lies in one chunk.
struct Piece {
    chunk: u64,
    from: usize,
    to: usize,
    /// Offset in the request's data.
    at: u64,
}

fn empty_chunk() -> Box<[u8]> {
    vec![0; CHUNK].into_boxed_slice()
}

/// The chunks that an extent touches. The extent lies on the disk.
fn chunks_of(extent: &Extent) -> Range<u64> {
    let end = extent.start.0 + extent.sectors;
    extent.start.0 / SECTORS_PER_CHUNK..end.div_ceil(SECTORS_PER_CHUNK)
}

/// The part of an extent in a chunk that it touches.
fn piece_in(extent: &Extent, chunk: u64) -> Piece {
    let base = chunk * SECTORS_PER_CHUNK;
    let from = extent.start.0.max(base);
    let to = (extent.start.0 + extent.sectors).min(base + SECTORS_PER_CHUNK);
    Piece {
        chunk,
        from: bytes_within_chunk(from - base),
        to: bytes_within_chunk(to - base),
        at: (from - extent.start.0) * SECTOR_SIZE,
    }
}

/// An extent cut at chunk borders.
fn pieces(extent: &Extent) -> impl Iterator<Item = Piece> {
    chunks_of(extent).map(|chunk| piece_in(extent, chunk))
}

/// Bytes of at most a chunk's worth of sectors.
fn bytes_within_chunk(sectors: u64) -> usize {
    usize::try_from(sectors * SECTOR_SIZE).unwrap_or(CHUNK)
}

impl Store for RamStore {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn execute(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> Outcome {
        if let Err(status) = admit(&self.geometry, request, buffers) {
            return Outcome::failed(status);
        }
        for extent in &request.extents {
            let moved = match request.operation {
                Operation::Read => self.read(extent, buffers),
                Operation::Write => self.write(extent, buffers),
                _ => {
                    self.zero(extent);
                    Ok(())
                }
            };
            if moved.is_err() {
                return Outcome::failed(Status::IoError);
            }
        }
        match request.operation {
            Operation::Read => Outcome::ok(request.bytes()),
            _ => Outcome::ok(0),
        }
    }
}
