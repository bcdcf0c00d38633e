// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the program reads: from the port into its pipe or its terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use super::wake::{Wake, Woken};

/// Where its end is not known yet.
const UNKNOWN: u64 = u64::MAX;

/// Taken at once: what the host's end of a port sends at once (QEMU,
/// CHR_READ_BUF_LEN).
const CHUNK: usize = 4096;

/// End of file as typed at a terminal: VEOF, ^D.
const END_OF_FILE: u8 = 4;

/// Where it goes.
#[derive(Debug)]
pub(super) enum Sink {
    /// A pipe, which ends when it is closed.
    Pipe(File),
    /// A terminal, which does not.
    Terminal(File),
}

/// Where the lab says that it ends.
#[derive(Debug)]
pub(super) struct InputEnd {
    at: AtomicU64,
    wake: Wake,
}

impl InputEnd {
    pub(super) fn new() -> std::io::Result<InputEnd> {
        Ok(InputEnd {
            at: AtomicU64::new(UNKNOWN),
            wake: Wake::new()?,
        })
    }

    /// It ends after so many bytes.
    pub(super) fn set(&self, bytes: u64) {
        self.at.store(bytes, Ordering::Release);
        self.wake.call();
    }
}

/// Passes it on to its end. What nobody reads any more is taken and dropped, so
/// that the host's end is not kept waiting.
pub(super) fn pass(mut port: File, sink: Sink, end: &InputEnd) {
    let mut sink = Some(sink);
    let mut taken = 0u64;
    let mut last = b'\n';
    let mut chunk = [0; CHUNK];
    while taken < end.at.load(Ordering::Acquire) {
        match end.wake.wait(port.as_fd(), true) {
            Ok(Woken::Readable) => {}
            Ok(_) => continue,
            Err(_) => break,
        }
        // Nothing: the host's end is gone.
        let Ok(count @ 1..) = port.read(&mut chunk) else {
            break;
        };
        taken = taken.saturating_add(count as u64);
        let bytes = chunk.get(..count).unwrap_or_default();
        last = bytes.last().copied().unwrap_or(last);
        let written = match &mut sink {
            Some(Sink::Pipe(file) | Sink::Terminal(file)) => file.write_all(bytes),
            None => Ok(()),
        };
        if written.is_err() {
            sink = None;
        }
    }
    if let Some(Sink::Terminal(mut file)) = sink {
        // In a line that is begun, the first one only ends the line.
        let ends: &[u8] = match last {
            b'\n' => &[END_OF_FILE],
            _ => &[END_OF_FILE, END_OF_FILE],
        };
        let _ = file.write_all(ends);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::thread;

    /// A port whose host has sent this and stays connected.
    fn port(sent: &[u8]) -> (File, UnixStream) {
        let (guest, mut host) = UnixStream::pair().unwrap();
        host.write_all(sent).unwrap();
        (File::from(OwnedFd::from(guest)), host)
    }

    #[test]
    fn it_ends_where_the_lab_says_whichever_comes_first() {
        for early in [true, false] {
            let (port, _host) = port(b"four");
            let (mut reader, writer) = std::io::pipe().unwrap();
            let end = Arc::new(InputEnd::new().unwrap());
            if early {
                end.set(4);
            }
            let passed = Arc::clone(&end);
            let sink = Sink::Pipe(File::from(OwnedFd::from(writer)));
            let thread = thread::spawn(move || pass(port, sink, &passed));
            let mut four = [0; 4];
            reader.read_exact(&mut four).unwrap();
            end.set(4);
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            thread.join().unwrap();
            assert_eq!((&four, rest), (b"four", Vec::new()));
        }
    }

    #[test]
    fn a_terminal_is_told_of_the_end() {
        for (sent, seen) in [(&b"ls\n"[..], &b"ls\n\x04"[..]), (b"ls", b"ls\x04\x04")] {
            let (port, _host) = port(sent);
            let (mut reader, writer) = std::io::pipe().unwrap();
            let end = InputEnd::new().unwrap();
            end.set(sent.len() as u64);
            pass(port, Sink::Terminal(OwnedFd::from(writer).into()), &end);
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            assert_eq!(all, seen);
        }
    }

    #[test]
    fn what_nobody_reads_is_taken_all_the_same() {
        let (port, host) = port(&[7; 5000]);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let end = InputEnd::new().unwrap();
        end.set(5000);
        pass(port, Sink::Pipe(OwnedFd::from(writer).into()), &end);
        host.set_nonblocking(true).unwrap();
        assert_eq!((&host).read(&mut [0]).unwrap(), 0);
    }
}
