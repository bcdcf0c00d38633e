// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The store: from a request to pieces in the ring, and back.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use irqstorm_core::queue::{BufferError, GuestBuffers, NoBuffers};
use irqstorm_core::request::{Operation, Outcome, Request, Status};
use irqstorm_core::store::{Ended, FileStore, Geometry, Store, Submitted, Ticket, admit};
use slab::Slab;
use smallvec::SmallVec;

use crate::cut::{self, Cannot, Parts};
use crate::pool::Pool;
use crate::ring::{COMPLETIONS, Ring, UringError};
use crate::work::{Next, Part, Piece, Taken};

/// Pages that data passes through: 8 MiB, which is also what Linux lets a user
/// lock unless it is told otherwise.
const PAGES: usize = 2048;

/// So many entries keep a disk busy: with fewer it has each at once, and with
/// more so many at a time.
const BUSY: usize = 8;

/// What goes through the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// Everything.
    All,
    /// What waits for the disk. What the page cache has or takes is read and
    /// written at once: the kernel would have a thread of its own do a write,
    /// which takes longer than the write. (It may wait all the same, where the
    /// host has more to write than its memory is to hold.)
    Waits,
}

impl Through {
    /// What pays for a file; none if nothing does. Where the file system cannot
    /// tell what waits, as one in memory (tmpfs), the kernel has a thread do each
    /// request.
    pub fn what_pays(file: &FileStore) -> Option<Through> {
        let waits = file.tells_what_waits().then_some(Through::Waits);
        if file.is_direct() {
            Some(Through::All)
        } else {
            waits
        }
    }
}

/// A ring that cannot be had, and the file, which is as it was.
pub struct Refused {
    /// The file's own store.
    pub file: FileStore,
    /// Why not.
    pub why: UringError,
}

/// A file that is read and written through a ring. What there is no room for,
/// in the pool or in the ring, the file's own store carries out, and the caller
/// waits for it.
pub struct UringStore {
    // Before the pool and the file, which its entries use.
    ring: Ring,
    pool: Pool,
    file: FileStore,
    through: Through,
    requests: Slab<Taken>,
    pieces: Slab<Piece>,
    /// Pieces that are to have an entry in the ring.
    unsent: VecDeque<usize>,
    /// Requests that have ended and were not told of.
    ended: VecDeque<usize>,
    /// Requests that were told of and not finished.
    told: usize,
    /// Whether the ring has failed: everything goes to the file's own store.
    broken: bool,
}

impl UringStore {
    /// A ring for a file.
    pub fn new(file: FileStore, through: Through) -> Result<UringStore, Box<Refused>> {
        match parts(&file) {
            Ok((ring, pool)) => Ok(UringStore {
                ring,
                pool,
                file,
                through,
                requests: Slab::new(),
                pieces: Slab::new(),
                unsent: VecDeque::new(),
                ended: VecDeque::new(),
                told: 0,
                broken: false,
            }),
            Err(why) => Err(Box::new(Refused { file, why })),
        }
    }

    /// Whether its memory is mapped into the kernel for good.
    pub fn is_registered(&self) -> bool {
        self.ring.is_fixed()
    }

    /// Carries out what need not go through the ring; none if it must.
    fn at_once(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> Option<Outcome> {
        let cached = self.through == Through::Waits && !self.file.is_direct();
        match request.operation {
            _ if self.broken => Some(self.file.execute(request, buffers)),
            Operation::Read if cached => self.file.read_cached(request, buffers),
            Operation::Write if cached => Some(self.file.execute(request, buffers)),
            _ => None,
        }
    }

    /// Has parts wait for their entries.
    fn queue(&mut self, ticket: Ticket, request: &Request, parts: Parts) {
        let of = self.requests.insert(Taken {
            ticket,
            request: request.clone(),
            pieces: SmallVec::new(),
            left: parts.len(),
            status: Status::Ok,
            redo: false,
        });
        for part in parts {
            let piece = self.pieces.insert(Piece::new(of, part));
            self.requests[of].pieces.push(piece);
            self.unsent.push_back(piece);
        }
    }

    /// Puts into the ring what has room there; whether all had.
    fn fill(&mut self) -> bool {
        while let Some(&piece) = self.unsent.front() {
            let work = self.pieces[piece].work(&self.pool);
            // SAFETY: the memory is a run that is given back when the piece's
            // request is released, which is after its entry has come back. The
            // pool is dropped after the ring, or leaked.
            if !unsafe { self.ring.put(self.file.as_fd(), work, piece as u64) } {
                return false;
            }
            self.unsent.pop_front();
        }
        true
    }

    /// Hands some over before all are there: the disk begins with them while
    /// others are taken.
    fn send_ahead(&mut self) {
        if self.ring.in_kernel() < BUSY || self.unsent.len() >= BUSY {
            self.fill();
            let called = self.ring.submit();
            self.judge(called);
        }
    }

    /// Takes back what has come back.
    fn reap(&mut self) {
        while let Some((name, result)) = self.ring.next() {
            let name = usize::try_from(name).unwrap_or(usize::MAX);
            let Some(piece) = self.pieces.get_mut(name) else {
                continue;
            };
            let of = piece.of;
            match piece.ended(result) {
                Next::Again => self.unsent.push_back(name),
                next => self.piece_ended(of, next),
            }
        }
    }

    fn piece_ended(&mut self, of: usize, next: Next) {
        let taken = &mut self.requests[of];
        taken.left -= 1;
        match next {
            Next::Failed => taken.status = Status::IoError,
            Next::Unsupported => taken.redo = true,
            Next::Again | Next::Done => {}
        }
        if taken.left > 0 {
            return;
        }
        // A discard is only a hint; zeroes can be written.
        let redo = taken.redo && taken.request.operation == Operation::WriteZeroes;
        if redo && taken.status == Status::Ok {
            taken.status = self.file.execute(&taken.request, &NoBuffers).status;
        }
        self.ended.push_back(of);
    }

    /// The ring cannot be used: what it has is given up, the memory with it, and
    /// what comes from now on is the file's own store's.
    fn fail(&mut self, error: &io::Error) {
        tracing::error!("io_uring has failed, the file is used without: {error}");
        self.broken = true;
        self.unsent.clear();
        self.pool.leak();
        for (of, taken) in &mut self.requests {
            if taken.left > 0 {
                taken.left = 0;
                taken.status = Status::IoError;
                self.ended.push_back(of);
            }
        }
    }

    /// Looks at what a call to the kernel has come to.
    fn judge(&mut self, called: io::Result<()>) {
        if let Err(error) = called {
            // It has been interrupted, or has no memory, or wants to be rid of
            // something first: it is called again.
            let passes = [libc::EINTR, libc::EAGAIN, libc::EBUSY].map(Some);
            if !passes.contains(&error.raw_os_error()) {
                self.fail(&error);
            }
        }
    }

    /// Lets go of a request that has ended.
    fn release(&mut self, of: usize) {
        let Some(taken) = self.requests.try_remove(of) else {
            return;
        };
        self.told -= 1;
        for piece in taken.pieces {
            if let Some(piece) = self.pieces.try_remove(piece)
                && !self.broken
            {
                cut::give_back(&mut self.pool, [piece.part]);
            }
        }
    }

    /// Hands what was read to the guest.
    fn hand_over(&mut self, of: usize, buffers: &dyn GuestBuffers) -> Result<(), BufferError> {
        for &piece in &self.requests[of].pieces {
            if let Part::Data(data) = &self.pieces[piece].part {
                // SAFETY: the piece's last entry has come back.
                let memory = unsafe { self.pool.bytes(&data.run) };
                buffers.write(data.at, &memory[..data.len as usize])?;
            }
        }
        Ok(())
    }
}

/// The pool is registered for O_DIRECT only: there each transfer would look its
/// pages up and hold them. Through the page cache data is copied, which is none
/// the faster for it, and the memory would be locked for nothing.
///
/// The file is not registered: the ring would keep it open, and with it the lock
/// on the disk, until the kernel has taken the ring apart, which is some time
/// after the device has ended.
fn parts(file: &FileStore) -> Result<(Ring, Pool), UringError> {
    let pool = Pool::new(PAGES).map_err(UringError::Memory)?;
    let ring = Ring::new(&pool, file.is_direct())?;
    Ok((ring, pool))
}

impl Store for UringStore {
    fn geometry(&self) -> Geometry {
        self.file.geometry()
    }

    fn execute(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> Outcome {
        self.file.execute(request, buffers)
    }

    fn begin(&mut self) {
        if let Err(error) = self.ring.enable() {
            self.fail(&error);
        }
    }

    fn submit(
        &mut self,
        ticket: Ticket,
        request: &Request,
        buffers: &dyn GuestBuffers,
    ) -> Submitted {
        if let Err(status) = admit(&self.geometry(), request, buffers) {
            return Submitted::Done(Outcome::failed(status));
        }
        if let Some(outcome) = self.at_once(request, buffers) {
            return Submitted::Done(outcome);
        }
        let room = (COMPLETIONS as usize).saturating_sub(self.pieces.len());
        match cut::cut(&mut self.pool, room, request, buffers) {
            Ok(parts) => {
                self.queue(ticket, request, parts);
                self.send_ahead();
                Submitted::Later
            }
            Err(Cannot::Fit) => Submitted::Done(self.file.execute(request, buffers)),
            Err(Cannot::Reach) => Submitted::Done(Outcome::failed(Status::IoError)),
        }
    }

    fn push(&mut self) {
        while !self.broken {
            let all = self.fill();
            let called = self.ring.hand_over();
            self.judge(called);
            if all || self.ring.has_queued() {
                break;
            }
        }
        if !self.broken {
            self.reap();
        }
    }

    fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() || self.ring.has_queued() && !self.broken
    }

    fn ended(&mut self) -> Option<Ended> {
        let of = self.ended.pop_front()?;
        self.told += 1;
        let taken = &self.requests[of];
        let ended = Ended::new(taken.ticket, &taken.request, taken.status);
        Some(Ended {
            slot: Some(of),
            ..ended
        })
    }

    fn finish(&mut self, ended: &Ended, buffers: &dyn GuestBuffers) -> Outcome {
        let Some(of) = ended.slot else {
            return ended.outcome();
        };
        let reads = ended.operation == Operation::Read && ended.status == Status::Ok;
        let outcome = match reads.then(|| self.hand_over(of, buffers)) {
            Some(Ok(())) => Outcome::ok(self.requests[of].request.bytes()),
            Some(Err(_)) => Outcome::failed(Status::IoError),
            None => ended.outcome(),
        };
        self.release(of);
        outcome
    }

    fn forget(&mut self, ended: &Ended) {
        if let Some(of) = ended.slot {
            self.release(of);
        }
    }

    fn pending(&self) -> usize {
        self.requests.len() - self.told
    }

    fn wait(&mut self) {
        self.push();
        while self.ended.is_empty() && self.pending() > 0 {
            match self.ring.in_kernel() {
                // It could take nothing: it is short of memory.
                0 => std::thread::yield_now(),
                _ => {
                    let called = self.ring.wait();
                    self.judge(called);
                }
            }
            self.push();
        }
    }

    fn wakes(&self) -> Option<BorrowedFd<'_>> {
        Some(self.ring.as_fd())
    }
}

impl Drop for UringStore {
    /// The memory goes when nobody writes to it any more.
    fn drop(&mut self) {
        while !self.broken && self.ring.in_kernel() > 0 {
            let called = self.ring.wait();
            self.judge(called);
            while self.ring.next().is_some() {}
        }
    }
}
