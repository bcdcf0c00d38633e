// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A request in pieces, each of which is one entry of the ring at a time.

use std::io;

use irqstorm_core::request::{Extent, Operation, Request, Status};
use irqstorm_core::store::Ticket;
use smallvec::SmallVec;

use crate::pool::{Pool, Run};
use crate::ring::Work;

/// How often in a row an entry is put in again that the kernel has not begun.
const TRIES: u8 = 32;

/// A request that the store has taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) ticket: Ticket,
    pub(crate) request: Request,
    /// Its pieces, by their names.
    pub(crate) pieces: SmallVec<[usize; 1]>,
    /// Pieces that have not ended.
    pub(crate) left: usize,
    /// The worst that a piece ended with.
    pub(crate) status: Status,
    /// Whether the host cannot do it this way, and another is to be tried.
    pub(crate) redo: bool,
}

/// A part of a request.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The request's name.
    pub(crate) of: usize,
    pub(crate) part: Part,
    /// Bytes that are done.
    done: u32,
    tries: u8,
}

/// What there is to do.
#[derive(Debug)]
pub(crate) enum Part {
    /// Data through a run of the pool.
    Data(Data),
    /// A flush.
    Flush,
    /// A part of the file, without data.
    Space { offset: u64, len: u64, mode: i32 },
}

/// Where data is on its way.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) run: Run,
    pub(crate) len: u32,
    /// Where it is in the request's data.
    pub(crate) at: u64,
    /// Where it is in the file.
    pub(crate) offset: u64,
    pub(crate) writes: bool,
}

/// What has become of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It goes on, with another entry.
    Again,
    /// It is done.
    Done,
    /// It cannot be done this way.
    Unsupported,
    /// It has failed.
    Failed,
}

impl Piece {
    pub(crate) fn new(of: usize, part: Part) -> Piece {
        Piece {
            of,
            part,
            done: 0,
            tries: 0,
        }
    }

    /// The entry that does what is left of it.
    pub(crate) fn work(&self, pool: &Pool) -> Work {
        match &self.part {
            Part::Flush => Work::Flush,
            &Part::Space { offset, len, mode } => Work::Allocate { offset, len, mode },
            Part::Data(data) => {
                let memory = pool.address(&data.run).wrapping_add(self.done as usize);
                let len = data.len - self.done;
                let offset = data.offset + u64::from(self.done);
                match data.writes {
                    true => Work::Write {
                        from: memory,
                        len,
                        offset,
                    },
                    false => Work::Read {
                        to: memory,
                        len,
                        offset,
                    },
                }
            }
        }
    }

    /// Its entry has come back with a result as of a system call.
    pub(crate) fn ended(&mut self, result: i32) -> Next {
        let Ok(count) = u32::try_from(result) else {
            return self.refused(&io::Error::from_raw_os_error(-result));
        };
        let Part::Data(data) = &self.part else {
            return Next::Done;
        };
        if count == 0 {
            // The file ends here: it was cut while the disk was in use.
            return Next::Failed;
        }
        self.tries = 0;
        self.done = data.len.min(self.done.saturating_add(count));
        match self.done == data.len {
            true => Next::Done,
            false => Next::Again,
        }
    }

    fn refused(&mut self, error: &io::Error) -> Next {
        match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock if self.tries < TRIES => {
                self.tries += 1;
                Next::Again
            }
            io::ErrorKind::Unsupported if matches!(self.part, Part::Space { .. }) => {
                Next::Unsupported
            }
            _ => Next::Failed,
        }
    }
}

/// The mode in which fallocate(2) does what a request asks of its extents; none
/// if it asks for something else.
pub(crate) fn mode(request: &Request) -> Option<i32> {
    let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    match request.operation {
        Operation::Discard => Some(punch),
        Operation::WriteZeroes if request.unmap => Some(punch),
        Operation::WriteZeroes => Some(libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE),
        _ => None,
    }
}

/// An extent's space; none if it has no bytes.
pub(crate) fn space(extent: &Extent, mode: i32) -> Option<Part> {
    let (offset, len) = (extent.byte_offset()?, extent.byte_len()?);
    (len > 0).then_some(Part::Space { offset, len, mode })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::PAGE;

    fn piece(writes: bool, len: u32) -> (Pool, Piece) {
        let mut pool = Pool::new(64).unwrap();
        let data = Data {
            run: pool.take(2).unwrap(),
            len,
            at: 0,
            offset: 1 << 20,
            writes,
        };
        (pool, Piece::new(0, Part::Data(data)))
    }

    #[test]
    fn what_ends_short_goes_on_where_it_ended() {
        let (pool, mut piece) = piece(false, 8192);
        assert_eq!(piece.ended(5000), Next::Again);
        let Work::Read { to, len, offset } = piece.work(&pool) else {
            panic!("it reads no more");
        };
        assert_eq!((len, offset), (3192, (1 << 20) + 5000));
        assert_eq!(to as usize % PAGE, 5000 % PAGE);
        assert_eq!(piece.ended(3192), Next::Done);
    }

    #[test]
    fn the_end_of_the_file_is_a_failure_whatever_was_read_before() {
        let (_pool, mut piece) = piece(false, 8192);
        assert_eq!(piece.ended(4096), Next::Again);
        assert_eq!(piece.ended(0), Next::Failed);
    }

    #[test]
    fn what_was_interrupted_is_tried_again_and_not_for_ever() {
        let (_pool, mut piece) = piece(true, 4096);
        for errno in [libc::EINTR, libc::EAGAIN].repeat(usize::from(TRIES) / 2) {
            assert_eq!(piece.ended(-errno), Next::Again);
        }
        assert_eq!(piece.ended(-libc::EAGAIN), Next::Failed);
        assert_eq!(piece.ended(-libc::EIO), Next::Failed);
    }

    #[test]
    fn only_space_may_be_beyond_what_the_host_can() {
        let space = Part::Space {
            offset: 0,
            len: 512,
            mode: 0,
        };
        let mut piece = Piece::new(0, space);
        assert_eq!(piece.ended(-libc::EOPNOTSUPP), Next::Unsupported);
        assert_eq!(
            Piece::new(0, Part::Flush).ended(-libc::EOPNOTSUPP),
            Next::Failed
        );
    }
}
