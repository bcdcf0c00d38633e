// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The fds that a ring signals: its call fd, and its error fd.
//!
//! The front-end replaces them while the ring runs (QEMU does at every MSI-X
//! mask and unmask), so the queue signals through a slot rather than an fd.
//! The slot's lock is held for one write, and to swap an fd.

use std::fs::File;

use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;

/// An fd to be signalled, replaceable while in use; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallSlot(Arc<Mutex<Option<CallFd>>>);

#[derive(Debug)]
struct CallFd {
    fd: File,
    /// Whether a write waits while the eventfd's counter is full: the pump
    /// must not, and the fd's mode is its owner's to choose.
    may_block: bool,
}

impl CallSlot {
    /// Replaces the fd, or removes it.
    pub(crate) fn set(&self, fd: Option<File>) {
        let call = fd.map(CallFd::new);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = call;
    }

    /// Signals, if there is an fd. Never blocks: a counter that is full is a
    /// signal not yet taken, which is as good.
    pub(crate) fn signal(&self) {
        let slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = slot.as_ref() {
            call.signal();
        }
    }
}

impl CallFd {
    fn new(fd: File) -> CallFd {
        let may_block =
            rustix::fs::fcntl_getfl(&fd).map_or(true, |flags| !flags.contains(OFlags::NONBLOCK));
        CallFd { fd, may_block }
    }

    fn signal(&self) {
        if self.may_block && !self.is_writable() {
            return;
        }
        // A front-end that closed its end wants no more signals.
        let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
    }

    fn is_writable(&self) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::OUT)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(1))
    }
}
