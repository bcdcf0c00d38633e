// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The ring: what goes into it, what comes out, and what it may do at all.
//!
//! Where the kernel has it (Linux 6.1), the ring is one thread's, and its
//! completions come when that thread asks for them: no work is done behind the
//! back of the pump, between two of its looks at the clock. Such a ring's own fd
//! wakes nobody who polls it; an eventfd does, for what ends while the thread is
//! not in the ring anyway.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};

use io_uring::squeue::Entry;
use io_uring::{IoUring, Probe, cqueue, opcode, register::Restriction, squeue, types};
use rustix::event::{EventfdFlags, eventfd};

use crate::pool::Pool;

/// Entries handed over at once.
const SUBMISSIONS: u32 = 256;

/// What the kernel may have at a time: so many completions have room.
pub(crate) const COMPLETIONS: u32 = 4096;

/// The place of the pool among the registered buffers.
const POOL: u16 = 0;

/// What the ring is for.
const OPERATIONS: [u8; 6] = [
    opcode::Read::CODE,
    opcode::ReadFixed::CODE,
    opcode::Write::CODE,
    opcode::WriteFixed::CODE,
    opcode::Fsync::CODE,
    opcode::Fallocate::CODE,
];

/// A ring that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum UringError {
    /// The kernel has none, or gives none to this process.
    #[error("set io_uring up: {0}")]
    Setup(#[source] io::Error),
    /// It has one that lacks what is needed.
    #[error("use io_uring: this kernel's does not {0}")]
    Lacks(&'static str),
    /// The ring cannot be confined.
    #[error("confine io_uring: {0}")]
    Confine(#[source] io::Error),
    /// There is no memory for what passes through.
    #[error("get memory for io_uring: {0}")]
    Memory(#[source] io::Error),
}

/// One entry's work, on the file of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Bytes of the file to memory.
    Read { to: *mut u8, len: u32, offset: u64 },
    /// Memory to the file.
    Write {
        from: *const u8,
        len: u32,
        offset: u64,
    },
    /// What is written onto stable storage (fdatasync).
    Flush,
    /// fallocate(2) with a mode.
    Allocate { offset: u64, len: u64, mode: i32 },
}

/// The ring.
pub(crate) struct Ring {
    ring: IoUring,
    /// Signalled when something ends.
    bell: OwnedFd,
    /// Entries put in and not handed over.
    queued: usize,
    /// Entries handed over and not taken back.
    in_kernel: usize,
    /// Whether the pool is registered: it is mapped into the kernel once, not
    /// with each transfer.
    fixed: bool,
    enabled: bool,
}

impl Ring {
    /// A ring that does nothing before it is enabled. With `fixed` the pool is
    /// registered, unless the limit of locked memory forbids it.
    pub(crate) fn new(pool: &Pool, fixed: bool) -> Result<Ring, UringError> {
        let ring = build().map_err(UringError::Setup)?;
        let features = ring.params();
        if !features.is_feature_nodrop() || !features.is_feature_submit_stable() {
            return Err(UringError::Lacks("keep what it is given"));
        }
        let mut probe = Probe::new();
        let probed = ring.submitter().register_probe(&mut probe);
        probed.map_err(UringError::Setup)?;
        if !OPERATIONS.iter().all(|&code| probe.is_supported(code)) {
            return Err(UringError::Lacks("read, write, flush and allocate"));
        }
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let bell = bell.map_err(|e| UringError::Setup(e.into()))?;
        let rung = ring.submitter().register_eventfd(bell.as_raw_fd());
        rung.map_err(UringError::Setup)?;
        let fixed = fixed && {
            // SAFETY: the mapping lasts longer than the ring, see `UringStore`.
            unsafe { ring.submitter().register_buffers(&[pool.whole()]) }.is_ok()
        };
        let mut allowed: Vec<Restriction> =
            OPERATIONS.iter().map(|&c| Restriction::sqe_op(c)).collect();
        allowed.push(Restriction::sqe_flags_allowed(
            squeue::Flags::empty().bits(),
        ));
        let confined = ring.submitter().register_restrictions(&mut allowed);
        confined.map_err(UringError::Confine)?;
        Ok(Ring {
            ring,
            bell,
            queued: 0,
            in_kernel: 0,
            fixed,
            enabled: false,
        })
    }

    /// Makes it the calling thread's, and ready.
    pub(crate) fn enable(&mut self) -> io::Result<()> {
        if !self.enabled {
            self.ring.submitter().register_enable_rings()?;
            self.enabled = true;
        }
        Ok(())
    }

    /// Whether the pool is registered.
    pub(crate) fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Whether there are entries to hand over.
    pub(crate) fn has_queued(&self) -> bool {
        self.queued > 0
    }

    /// How many entries the kernel has.
    pub(crate) fn in_kernel(&self) -> usize {
        self.in_kernel
    }

    /// Puts an entry in, to come back under `name`; false if there is no room
    /// before some are handed over.
    ///
    /// # Safety
    ///
    /// The memory is within the pool, and neither used nor unmapped until the
    /// entry has come back.
    pub(crate) unsafe fn put(&mut self, file: BorrowedFd, work: Work, name: u64) -> bool {
        let entry = self.entry(types::Fd(file.as_raw_fd()), work);
        let mut submissions = self.ring.submission();
        // SAFETY: the caller's promise, and the file is open as long as the
        // entry is not handed over, see `UringStore`.
        let put = unsafe { submissions.push(&entry.user_data(name)) }.is_ok();
        self.queued += usize::from(put);
        put
    }

    fn entry(&self, fd: types::Fd, work: Work) -> Entry {
        match work {
            Work::Read { to, len, offset } if self.fixed => {
                let read = opcode::ReadFixed::new(fd, to, len, POOL);
                read.offset(offset).build()
            }
            Work::Read { to, len, offset } => opcode::Read::new(fd, to, len).offset(offset).build(),
            Work::Write { from, len, offset } if self.fixed => {
                let write = opcode::WriteFixed::new(fd, from, len, POOL);
                write.offset(offset).build()
            }
            Work::Write { from, len, offset } => {
                opcode::Write::new(fd, from, len).offset(offset).build()
            }
            Work::Flush => opcode::Fsync::new(fd)
                .flags(types::FsyncFlags::DATASYNC)
                .build(),
            Work::Allocate { offset, len, mode } => opcode::Fallocate::new(fd, len)
                .offset(offset)
                .mode(mode)
                .build(),
        }
    }

    /// Hands over what was put in, and has the kernel say what has ended; a
    /// system call only if there is something of either. What ends at once is
    /// not signalled: it is looked at anyway.
    pub(crate) fn hand_over(&mut self) -> io::Result<()> {
        if self.queued == 0 && !self.has_work() {
            return Ok(());
        }
        self.ring.completion().disable_eventfd();
        let entered = self.enter(0);
        self.ring.completion().enable_eventfd();
        fence(Ordering::SeqCst);
        // What has ended meanwhile was not signalled, and what ends from now on
        // is. Once is enough, and as long as there is something would be for
        // ever: the kernel puts it there first and then says so, by when it may
        // have been taken (io_req_local_work_add() in io_uring/io_uring.c).
        let again = match self.has_work() {
            true => self.enter(0),
            false => Ok(()),
        };
        entered.and(again)
    }

    /// Only hands over what was put in.
    pub(crate) fn submit(&mut self) -> io::Result<()> {
        self.enter(0)
    }

    /// Whether the kernel has something that it says only when asked.
    fn has_work(&mut self) -> bool {
        let submissions = self.ring.submission();
        submissions.taskrun() || submissions.cq_overflow()
    }

    /// The same, and waits until something has ended.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        self.enter(1)
    }

    fn enter(&mut self, want: usize) -> io::Result<()> {
        let entered = self.ring.submit_and_wait(want);
        // The kernel may have taken some, whatever it says.
        let left = self.ring.submission().len();
        self.in_kernel += self.queued - left;
        self.queued = left;
        entered.map(drop)
    }

    /// The next entry that has ended: its name and its result.
    pub(crate) fn next(&mut self) -> Option<(u64, i32)> {
        let ended: cqueue::Entry = self.ring.completion().next()?;
        self.in_kernel = self.in_kernel.saturating_sub(1);
        Some((ended.user_data(), ended.result()))
    }
}

/// Its eventfd.
impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// With what the kernel has of what is wanted: the first is of Linux 6.1.
fn build() -> io::Result<IoUring> {
    let mut deferred = IoUring::builder();
    deferred
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all();
    let attempts = [deferred, IoUring::builder()];
    let mut last = io::ErrorKind::Unsupported.into();
    for mut attempt in attempts {
        attempt.setup_r_disabled().setup_cqsize(COMPLETIONS);
        match attempt.build(SUBMISSIONS) {
            Ok(ring) => return Ok(ring),
            Err(e) => last = e,
        }
    }
    Err(last)
}
