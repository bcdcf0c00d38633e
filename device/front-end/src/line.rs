// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The eventfds that a queue signals.
//!
//! Whoever is connected replaces them while the queue runs (QEMU does at every
//! MSI-X mask and unmask), so a queue signals through a slot rather than an fd.
//! The slot's lock is held for one write, or some of a burst, and to swap an fd.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;

/// Writes under one hold of the slot's lock: some microseconds, for which the
/// server may wait that has an fd to replace.
const AT_ONCE: u32 = 64;

/// An fd to be signalled, replaceable while in use; clones share it.
#[derive(Clone, Debug, Default)]
pub struct LineSlot(Arc<Mutex<Option<LineFd>>>);

#[derive(Debug)]
struct LineFd {
    fd: File,
    /// Whether a write waits while the eventfd's counter is full: the pump
    /// must not, and the fd's mode is its owner's to choose.
    may_block: bool,
    /// Writes for which that was asked first.
    asked: u32,
}

/// Of so many writes for which it is asked whether they would wait, one has the
/// fd's mode looked at again: its owner may have chosen it after the fd was
/// handed over.
const MODE_IS_KEPT: u32 = 64;

impl LineSlot {
    /// Replaces the fd, or removes it.
    pub fn set(&self, fd: Option<File>) {
        let line = fd.map(LineFd::new);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    /// Signals, if there is an fd; says whether there is. Never blocks: a
    /// counter that is full is a signal not yet taken, which is as good.
    pub fn signal(&self) -> bool {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_mut().map(LineFd::signal).is_some()
    }

    /// The same `count` times, back to back.
    pub fn signal_times(&self, count: u32) {
        let mut left = count;
        while left > 0 {
            let now = left.min(AT_ONCE);
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(line) = slot.as_mut() else {
                return;
            };
            (0..now).for_each(|_| line.signal());
            left -= now;
        }
    }
}

impl LineFd {
    fn new(fd: File) -> LineFd {
        LineFd {
            may_block: may_block(&fd),
            fd,
            asked: 0,
        }
    }

    fn signal(&mut self) {
        if self.may_block && !self.is_free() {
            return;
        }
        // A front-end that closed its end wants no more signals.
        let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
    }

    /// Whether a write would not wait.
    fn is_free(&mut self) -> bool {
        self.asked += 1;
        if self.asked >= MODE_IS_KEPT {
            self.asked = 0;
            self.may_block = may_block(&self.fd);
        }
        self.is_writable()
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

fn may_block(fd: &File) -> bool {
    rustix::fs::fcntl_getfl(fd).map_or(true, |flags| !flags.contains(OFlags::NONBLOCK))
}
