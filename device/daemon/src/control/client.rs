// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One client of the control socket: lines in, lines out.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use irqstorm_core::control::MAX_LINE;
use serde::Serialize;
use vmm_sys_util::epoll::EventSet;

/// What there is to do for a client next.
pub(super) enum Next {
    /// Carry this line out.
    Line(String),
    /// Tell it that its line is too long.
    TooLong,
    /// Wait until the socket is ready for this.
    Wait(EventSet),
    /// Nothing any more.
    Gone,
}

/// A connection and what is buffered of it: a line, and what one read brought
/// with it, and one answer.
pub(super) struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// No more comes in.
    ended: bool,
    /// Takes no answers; what it has asked is carried out nevertheless.
    deaf: bool,
    closing: bool,
    /// Whether a command of its is under way.
    pub(super) busy: bool,
    /// Whether the other side has closed, so that there is nothing to watch.
    pub(super) hung: bool,
}

impl Client {
    pub(super) fn new(stream: UnixStream) -> Client {
        Client {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            ended: false,
            deaf: false,
            closing: false,
            busy: false,
            hung: false,
        }
    }

    pub(super) fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Puts a line into what is owed.
    pub(super) fn say(&mut self, message: &impl Serialize) {
        if serde_json::to_writer(&mut self.output, message).is_err() {
            self.closing = true;
        }
        self.output.push(b'\n');
    }

    /// Ends the connection once everything owed is written.
    pub(super) fn close_when_told(&mut self) {
        self.closing = true;
    }

    /// Writes what is owed and reads on, as far as both go, and says what is
    /// next.
    pub(super) fn next(&mut self) -> Next {
        self.drain();
        if !self.output.is_empty() {
            return Next::Wait(EventSet::OUT);
        }
        if self.closing {
            return Next::Gone;
        }
        if self.busy {
            return Next::Wait(EventSet::empty());
        }
        loop {
            if let Some(line) = self.line() {
                return Next::Line(line);
            }
            if self.input.len() > MAX_LINE {
                return Next::TooLong;
            }
            if self.ended {
                return Next::Gone;
            }
            if !self.fill() {
                return Next::Wait(EventSet::IN);
            }
        }
    }

    /// The next line that says anything. Empty ones are for a client that
    /// cannot know whether one before it has left half a line behind.
    fn line(&mut self) -> Option<String> {
        loop {
            let end = self.input.iter().position(|&byte| byte == b'\n')?;
            let line: Vec<u8> = self.input.drain(..=end).collect();
            if !line.trim_ascii().is_empty() {
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
        }
    }

    /// Takes some of what has arrived; `false` if that is nothing so far.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => self.ended = true,
            }
            return true;
        }
    }

    /// Writes what is owed, as far as the other side takes it.
    fn drain(&mut self) {
        while !self.output.is_empty() && !self.deaf {
            match self.stream.write(&self.output) {
                Ok(count) if count > 0 => drop(self.output.drain(..count)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                _ => self.deaf = true,
            }
        }
        if self.deaf {
            self.output.clear();
        }
    }
}
