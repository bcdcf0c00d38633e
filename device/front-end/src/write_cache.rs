// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The write cache that a driver can switch off (Virtio 1.2, 5.2.5.2; NVMe
//! 2.0, 5.27.1.4): in write-through mode a write completes only once it is
//! durable.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use irqstorm_core::queue::{GuestBuffers, NoBuffers};
use irqstorm_core::request::{Operation, Outcome, Request, Status};
use irqstorm_core::store::{Ended, Geometry, Store, Submitted, Ticket};

/// The mode, shared between the server, whose driver sets it, and the store.
#[derive(Clone, Debug)]
pub struct CacheMode(Arc<AtomicBool>);

impl CacheMode {
    /// A mode in its initial state: write-back.
    pub fn new() -> CacheMode {
        CacheMode(Arc::new(AtomicBool::new(true)))
    }

    /// Whether a completed write may still be in a cache.
    pub fn is_writeback(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// What the driver has set.
    pub fn set_writeback(&self, writeback: bool) {
        self.0.store(writeback, Ordering::Release);
    }
}

impl Default for CacheMode {
    fn default() -> CacheMode {
        CacheMode::new()
    }
}

/// A store that flushes after each change while the mode is write-through, and
/// after each that is to be durable by itself.
#[derive(Debug)]
pub struct WriteCache<S> {
    store: S,
    mode: CacheMode,
}

impl<S: Store> WriteCache<S> {
    /// `store`, under `mode`.
    pub fn new(store: S, mode: CacheMode) -> WriteCache<S> {
        WriteCache { store, mode }
    }
}

impl<S: Store> WriteCache<S> {
    /// Whether what has ended so is to be flushed before it completes.
    fn must_flush(&self, operation: Operation, durable: bool, status: Status) -> bool {
        let changes = matches!(
            operation,
            Operation::Write | Operation::WriteZeroes | Operation::Discard
        );
        let may_wait = self.mode.is_writeback() && !durable;
        changes && status == Status::Ok && !may_wait
    }

    /// Begins the flush in which a change ends.
    fn submit_flush(&mut self, ticket: Ticket) -> Submitted {
        let flush = Request::bare(Operation::Flush);
        self.store.submit(ticket, &flush, &NoBuffers)
    }
}

impl<S: Store> Store for WriteCache<S> {
    fn geometry(&self) -> Geometry {
        self.store.geometry()
    }

    fn execute(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> Outcome {
        let outcome = self.store.execute(request, buffers);
        if !self.must_flush(request.operation, request.durable, outcome.status) {
            return outcome;
        }
        let flushed = self
            .store
            .execute(&Request::bare(Operation::Flush), &NoBuffers);
        match flushed.status {
            Status::Ok => outcome,
            failed => Outcome::failed(failed),
        }
    }

    fn begin(&mut self) {
        self.store.begin();
    }

    fn submit(
        &mut self,
        ticket: Ticket,
        request: &Request,
        buffers: &dyn GuestBuffers,
    ) -> Submitted {
        match self.store.submit(ticket, request, buffers) {
            Submitted::Done(outcome)
                if self.must_flush(request.operation, request.durable, outcome.status) =>
            {
                self.submit_flush(ticket)
            }
            submitted => submitted,
        }
    }

    fn push(&mut self) {
        self.store.push();
    }

    fn has_unsent(&self) -> bool {
        self.store.has_unsent()
    }

    /// The mode is the one when a change has ended: one that the driver has
    /// switched to write-through by then is flushed, whenever it was submitted.
    fn ended(&mut self) -> Option<Ended> {
        loop {
            let ended = self.store.ended()?;
            if !self.must_flush(ended.operation, ended.durable, ended.status) {
                return Some(ended);
            }
            self.store.forget(&ended);
            if let Submitted::Done(flushed) = self.submit_flush(ended.ticket) {
                return Some(Ended {
                    status: flushed.status,
                    slot: None,
                    ..ended
                });
            }
        }
    }

    fn finish(&mut self, ended: &Ended, buffers: &dyn GuestBuffers) -> Outcome {
        match ended.slot {
            Some(_) => self.store.finish(ended, buffers),
            None => ended.outcome(),
        }
    }

    fn forget(&mut self, ended: &Ended) {
        if ended.slot.is_some() {
            self.store.forget(ended);
        }
    }

    fn pending(&self) -> usize {
        self.store.pending()
    }

    fn wait(&mut self) {
        self.store.wait();
    }

    fn wakes(&self) -> Option<BorrowedFd<'_>> {
        self.store.wakes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_core::request::Sector;

    struct Recorder {
        executed: Vec<Operation>,
        flush: Status,
    }

    impl Store for Recorder {
        fn geometry(&self) -> Geometry {
            Geometry {
                sectors: 8,
                block_size: 512,
                read_only: false,
            }
        }

        fn execute(&mut self, request: &Request, _: &dyn GuestBuffers) -> Outcome {
            self.executed.push(request.operation);
            match request.operation {
                Operation::Flush => Outcome {
                    status: self.flush,
                    written: 0,
                },
                _ => Outcome::ok(0),
            }
        }
    }

    fn execute(operation: Operation, writeback: bool, flush: Status) -> (Outcome, Vec<Operation>) {
        let mode = CacheMode::new();
        mode.set_writeback(writeback);
        let recorder = Recorder {
            executed: Vec::new(),
            flush,
        };
        let mut cache = WriteCache::new(recorder, mode);
        let request = Request::transfer(operation, Sector(0), 1);
        let outcome = cache.execute(&request, &NoBuffers);
        (outcome, cache.store.executed)
    }

    #[test]
    fn a_write_through_write_is_flushed_before_it_completes() {
        let (outcome, executed) = execute(Operation::Write, false, Status::Ok);
        assert_eq!(outcome, Outcome::ok(0));
        assert_eq!(executed, [Operation::Write, Operation::Flush]);
    }

    #[test]
    fn a_write_back_write_is_not_flushed() {
        let (_, executed) = execute(Operation::Write, true, Status::Ok);
        assert_eq!(executed, [Operation::Write]);
    }

    #[test]
    fn a_write_that_is_to_be_durable_is_flushed_whatever_the_mode() {
        let recorder = Recorder {
            executed: Vec::new(),
            flush: Status::Ok,
        };
        let mut cache = WriteCache::new(recorder, CacheMode::new());
        let mut request = Request::transfer(Operation::Write, Sector(0), 1);
        request.durable = true;
        assert_eq!(cache.execute(&request, &NoBuffers), Outcome::ok(0));
        assert_eq!(cache.store.executed, [Operation::Write, Operation::Flush]);
    }

    #[test]
    fn a_read_is_never_flushed() {
        let (_, executed) = execute(Operation::Read, false, Status::Ok);
        assert_eq!(executed, [Operation::Read]);
    }

    #[test]
    fn a_write_through_write_whose_flush_fails_has_failed() {
        let (outcome, _) = execute(Operation::Write, false, Status::IoError);
        assert_eq!(outcome, Outcome::failed(Status::IoError));
    }
}
