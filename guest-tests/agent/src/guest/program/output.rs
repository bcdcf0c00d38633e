// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the program writes: from its pipe or its terminal to the port.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use super::wake::{Wake, Woken};

/// Taken at once; a pipe holds this much unless it is told otherwise.
const CHUNK: usize = 64 * 1024;

/// The most that can be in a pipe (fs/pipe.c, pipe_max_size): once the program
/// has ended there is no more of its own than that.
const MOST_LEFT: usize = 1 << 20;

/// What is known of one output.
#[derive(Debug)]
pub(super) struct OutputState {
    ended: AtomicBool,
    closed: AtomicBool,
    wake: Wake,
}

impl OutputState {
    pub(super) fn new() -> std::io::Result<OutputState> {
        Ok(OutputState {
            ended: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            wake: Wake::new()?,
        })
    }

    /// The program has ended: what it has written is passed on, what others
    /// may write that it has left behind is not waited for.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.wake.call();
    }

    /// Nobody reads it any more: whoever writes is told so by the kernel.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake.call();
    }
}

/// Passes it on to its end; returns how many bytes it was.
pub(super) fn pass(mut source: File, mut port: File, state: &OutputState) -> u64 {
    let mut sent = 0u64;
    let mut left = MOST_LEFT;
    let mut chunk = vec![0; CHUNK];
    while !state.closed.load(Ordering::Acquire) {
        // Read before the look into the pipe: what was written before the end
        // is then in it.
        let ended = state.ended.load(Ordering::Acquire);
        match state.wake.wait(source.as_fd(), !ended) {
            Ok(Woken::Readable) => {}
            Ok(Woken::Called) => continue,
            Ok(Woken::Neither) | Err(_) => break,
        }
        let count = match source.read(&mut chunk) {
            Ok(count @ 1..) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // A terminal that nobody has open any more says EIO.
            Ok(0) | Err(_) => break,
        };
        if port
            .write_all(chunk.get(..count).unwrap_or_default())
            .is_err()
        {
            break;
        }
        sent = sent.saturating_add(count as u64);
        if ended {
            left = left.saturating_sub(count);
            if left == 0 {
                break;
            }
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    fn pipe_with(bytes: &[u8]) -> (File, File) {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(bytes).unwrap();
        (OwnedFd::from(reader).into(), OwnedFd::from(writer).into())
    }

    fn port() -> (File, UnixStream) {
        let (guest, host) = UnixStream::pair().unwrap();
        (File::from(OwnedFd::from(guest)), host)
    }

    #[test]
    fn all_of_it_arrives_and_is_counted() {
        let (source, writer) = pipe_with(b"\0\xff\n\r");
        drop(writer);
        let (port, mut host) = port();
        let state = OutputState::new().unwrap();
        assert_eq!(pass(source, port, &state), 4);
        let mut all = Vec::new();
        host.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"\0\xff\n\r");
    }

    #[test]
    fn what_others_keep_open_is_emptied_and_not_waited_for() {
        let (source, _held_by_another) = pipe_with(b"last words");
        let (port, _host) = port();
        let state = OutputState::new().unwrap();
        state.end();
        assert_eq!(pass(source, port, &state), 10);
    }

    #[test]
    fn a_writer_learns_that_nobody_reads() {
        let (source, mut writer) = pipe_with(b"");
        let (port, _host) = port();
        let state = OutputState::new().unwrap();
        state.close();
        assert_eq!(pass(source, port, &state), 0);
        let error = writer.write_all(b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}
