// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The user's three streams: a thread each passes bytes between it and the
//! socket of the program's.
//!
//! Nothing is buffered or looked at on the way. Where a stream ends is told in
//! bytes over the report port, so a count of what was passed says when all of
//! it was.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::thread;

use irqstorm_agent::program::Stream;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};
use rustix::stdio::{stderr, stdin, stdout};

use crate::failure::{Failure, io_failure};

/// Passed at once.
const CHUNK: usize = 64 * 1024;

/// ^], so many times in a row, ends the guest from its own terminal.
const ESCAPE: u8 = 0x1d;
const ESCAPES: u32 = 3;

/// What the agent has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// The user's input has ended after so many bytes.
    InputEnded(u64),
    /// Nobody reads this any more.
    Unread(Stream),
}

/// The streams of a program that runs.
#[derive(Debug)]
pub(super) struct Streams {
    /// Open until the end: of what QEMU has not read yet when its port is
    /// closed, the guest gets nothing.
    _input: UnixStream,
    outputs: [Arc<Output>; 2],
}

/// What is known of one output.
#[derive(Debug, Default)]
struct Output {
    passed: AtomicU64,
    ended: AtomicBool,
    refused: std::sync::Mutex<Option<io::Error>>,
}

impl Streams {
    /// Begins to pass bytes. With `raw`, the user's terminal is in raw mode.
    pub(super) fn start(
        sockets: &[PathBuf; 3],
        raw: bool,
        happenings: &Sender<Happening>,
    ) -> Result<Streams, Failure> {
        let [input, output, errors] = sockets;
        let connect =
            |path: &PathBuf| UnixStream::connect(path).map_err(io_failure("connect", path));
        let (input, output, errors) = (connect(input)?, connect(output)?, connect(errors)?);
        let kept = input
            .try_clone()
            .map_err(io_failure("share", &sockets[0]))?;
        let sender = happenings.clone();
        thread::spawn(move || {
            let bytes = pass_input(stdin(), input, raw);
            // Who is gone needs no more.
            let _ = sender.send(Happening::InputEnded(bytes));
        });
        Ok(Streams {
            _input: kept,
            outputs: [
                follow(output, stdout(), Stream::Stdout, happenings.clone()),
                follow(errors, stderr(), Stream::Stderr, happenings.clone()),
            ],
        })
    }

    /// Whether so much has been passed, or no more will come.
    pub(super) fn have_passed(&self, counts: [u64; 2]) -> bool {
        let outputs = self.outputs.iter().zip(counts);
        outputs.into_iter().all(|(output, count)| {
            output.passed.load(Ordering::Acquire) >= count || output.ended.load(Ordering::Acquire)
        })
    }

    /// Why the user's end took no more, unless it was merely closed: that the
    /// program has been told.
    pub(super) fn refusal(&self) -> Option<io::Error> {
        let mut refusals = self.outputs.iter().filter_map(|output| {
            let mut held = output.refused.lock().ok()?;
            held.take()
                .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
        });
        refusals.next()
    }
}

/// Passes an output on, on a thread of its own.
fn follow(
    mut source: UnixStream,
    to: BorrowedFd<'static>,
    stream: Stream,
    happenings: Sender<Happening>,
) -> Arc<Output> {
    let output = Arc::new(Output::default());
    let shared = Arc::clone(&output);
    thread::spawn(move || {
        let mut chunk = vec![0; CHUNK];
        let mut unread = false;
        while let Ok(count @ 1..) = source.read(&mut chunk) {
            let bytes = chunk.get(..count).unwrap_or_default();
            // What nobody takes is dropped, and the guest not kept waiting.
            if !unread && let Err(error) = write_all(to, bytes) {
                unread = true;
                if let Ok(mut refused) = shared.refused.lock() {
                    *refused = Some(error);
                }
                let _ = happenings.send(Happening::Unread(stream));
            }
            shared.passed.fetch_add(count as u64, Ordering::AcqRel);
        }
        shared.ended.store(true, Ordering::Release);
    });
    output
}

/// Passes the input on to its end; returns how many bytes it was.
fn pass_input(from: BorrowedFd<'_>, mut socket: impl Write, raw: bool) -> u64 {
    let mut passed = 0u64;
    let mut escapes = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = match rustix::io::read(from, &mut chunk) {
            Ok(count @ 1..) => count,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => {
                wait_for(from, PollFlags::IN);
                continue;
            }
            // The end; or a terminal from which this may not read.
            Ok(0) | Err(_) => return passed,
        };
        let bytes = chunk.get(..count).unwrap_or_default();
        if raw && escaped(bytes, &mut escapes) {
            // As if the user had ended it from elsewhere.
            let _ = kill_process(getpid(), Signal::TERM);
        }
        if socket.write_all(bytes).is_err() {
            return passed;
        }
        passed = passed.saturating_add(count as u64);
    }
}

/// Whether the escape was typed as often in a row as it has to be.
fn escaped(bytes: &[u8], escapes: &mut u32) -> bool {
    bytes.iter().any(|&byte| {
        *escapes = match byte {
            ESCAPE => *escapes + 1,
            _ => 0,
        };
        *escapes >= ESCAPES
    })
}

/// Writes all of it, whatever mode others have put the descriptor in.
fn write_all(to: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(&to, PollFlags::OUT),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn wait_for(file: impl AsFd, flags: PollFlags) {
    // Whatever comes of it, the next call says.
    let _ = poll(&mut [PollFd::new(&file, flags)], None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    #[test]
    fn input_is_passed_as_it_is_and_counted() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"\x03\x1d\x1d\x1d\0\n").unwrap();
        drop(writer);
        let mut socket = Vec::new();
        assert_eq!(pass_input(reader.as_fd(), &mut socket, false), 6);
        assert_eq!(socket, b"\x03\x1d\x1d\x1d\0\n");
    }

    #[test]
    fn the_escape_counts_only_in_a_row() {
        let mut escapes = 0;
        assert!(!escaped(b"\x1d\x1dx\x1d", &mut escapes));
        assert!(!escaped(b"\x1d", &mut escapes));
        assert!(escaped(b"\x1d", &mut escapes));
    }

    #[test]
    fn an_output_that_nobody_reads_is_told_once_and_taken_all_the_same() {
        let (mut guest, lab) = UnixStream::pair().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let writer: &'static io::PipeWriter = Box::leak(Box::new(writer));
        let (sender, happenings) = channel();
        let output = follow(lab, writer.as_fd(), Stream::Stderr, sender);
        guest.write_all(&vec![7; 3 * CHUNK]).unwrap();
        drop(guest);
        let streams = Streams {
            _input: UnixStream::pair().unwrap().0,
            outputs: [Arc::clone(&output), output],
        };
        let all = [3 * CHUNK as u64; 2];
        let deadline = Instant::now() + Duration::from_secs(20);
        while !streams.have_passed(all) {
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
        let told: Vec<Happening> = happenings.iter().collect();
        assert_eq!(told, [Happening::Unread(Stream::Stderr)]);
        assert!(streams.refusal().is_none());
    }
}
