// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A descriptor that ends the wait of a thread for another one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};

/// What [`Wake::wait`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The other descriptor can be read, or has ended.
    Readable,
    /// Something is to be looked at.
    Called,
    /// Neither, and there was no time to wait.
    Neither,
}

/// An eventfd.
#[derive(Debug)]
pub(super) struct Wake(OwnedFd);

impl Wake {
    pub(super) fn new() -> io::Result<Wake> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Wake(rustix::event::eventfd(0, flags)?))
    }

    /// Has the thread look around.
    pub(super) fn call(&self) {
        // Full, it is awake already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Waits until `other` can be read or somebody calls; not at all if not
    /// `patient`.
    pub(super) fn wait(&self, other: impl AsFd, patient: bool) -> io::Result<Woken> {
        let mut fds = [
            PollFd::new(&self.0, PollFlags::IN),
            PollFd::from_borrowed_fd(other.as_fd(), PollFlags::IN),
        ];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let timeout = (!patient).then_some(&at_once);
        match rustix::event::poll(&mut fds, timeout) {
            Err(rustix::io::Errno::INTR) => return Ok(Woken::Called),
            outcome => outcome?,
        };
        if !fds[0].revents().is_empty() {
            let mut count = [0; 8];
            let _ = rustix::io::read(&self.0, &mut count);
            return Ok(Woken::Called);
        }
        Ok(match fds[1].revents().is_empty() {
            true => Woken::Neither,
            false => Woken::Readable,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_ends_the_wait_once_and_data_the_next() {
        let wake = Wake::new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        assert_eq!(wake.wait(&reader, false).unwrap(), Woken::Neither);
        wake.call();
        wake.call();
        assert_eq!(wake.wait(&reader, true).unwrap(), Woken::Called);
        io::Write::write_all(&mut writer, b"x").unwrap();
        assert_eq!(wake.wait(&reader, true).unwrap(), Woken::Readable);
    }
}
