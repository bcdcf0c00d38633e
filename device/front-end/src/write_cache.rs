// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The write cache that a driver can switch off (Virtio 1.2, 5.2.5.2; NVMe
//! 2.0, 5.27.1.4): in write-through mode a write completes only once it is
//! durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use irqstorm_core::queue::GuestBuffers;
use irqstorm_core::request::{Operation, Outcome, Request, Status};
use irqstorm_core::store::{Geometry, Store};

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

/// An empty run of guest memory: a flush has no data.
struct NoBuffers;

impl GuestBuffers for NoBuffers {
    fn len(&self) -> u64 {
        0
    }

    fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), irqstorm_core::queue::BufferError> {
        reach_nothing(offset, to.len())
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), irqstorm_core::queue::BufferError> {
        reach_nothing(offset, from.len())
    }
}

fn reach_nothing(offset: u64, len: usize) -> Result<(), irqstorm_core::queue::BufferError> {
    if offset == 0 && len == 0 {
        return Ok(());
    }
    Err(irqstorm_core::queue::BufferError(offset))
}

impl<S: Store> Store for WriteCache<S> {
    fn geometry(&self) -> Geometry {
        self.store.geometry()
    }

    fn execute(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> Outcome {
        let outcome = self.store.execute(request, buffers);
        let changes = matches!(
            request.operation,
            Operation::Write | Operation::WriteZeroes | Operation::Discard
        );
        let may_wait = self.mode.is_writeback() && !request.durable;
        if !changes || outcome.status != Status::Ok || may_wait {
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
