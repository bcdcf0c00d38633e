// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Doorbell values that were refused where nobody could be told: the pump finds
//! them in memory, and the thread that serves the VMM has the events.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

/// Complaints that wait at most: a guest can make them as fast as it likes.
const MOST: usize = 64;

#[derive(Debug)]
struct Shared {
    queues: Mutex<Vec<u16>>,
    wake: OwnedFd,
}

/// What there is to tell; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Complaints(Arc<Shared>);

impl Complaints {
    /// Nothing.
    pub(crate) fn new() -> io::Result<Complaints> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Complaints(Arc::new(Shared {
            queues: Mutex::new(Vec::new()),
            wake,
        })))
    }

    /// A doorbell of a queue has a value that the queue does not have.
    pub(crate) fn tell(&self, queue: u16) {
        let mut queues = self.0.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.len() < MOST {
            queues.push(queue);
            // A full counter wakes as well as one more.
            let _ = rustix::io::write(&self.0.wake, &1u64.to_ne_bytes());
        }
    }

    /// Readable while there is something to tell.
    pub(crate) fn wake(&self) -> BorrowedFd<'_> {
        self.0.wake.as_fd()
    }

    /// All of it, and nothing is left.
    pub(crate) fn take(&self) -> Vec<u16> {
        let mut queues = self.0.queues.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing to read where nothing was told.
        let _ = rustix::io::read(&self.0.wake, &mut [0; 8]);
        std::mem::take(&mut *queues)
    }
}
