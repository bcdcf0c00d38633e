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

/// A connection and what is buffered of it.
pub(super) struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// No more comes in.
    ended: bool,
    closing: bool,
    /// Whether a command of its is under way.
    pub(super) busy: bool,
}

impl Client {
    pub(super) fn new(stream: UnixStream) -> Client {
        Client {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            ended: false,
            closing: false,
            busy: false,
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
        self.input.clear();
    }

    /// Takes what has arrived, up to a line's length and a bit.
    pub(super) fn fill(&mut self) {
        let mut buffer = [0; 16 * 1024];
        while self.input.len() <= MAX_LINE && !self.ended {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.ended = true,
            }
        }
    }

    /// Writes what is owed as far as it goes and says what is next.
    pub(super) fn next(&mut self) -> Next {
        if !self.drain() {
            return Next::Gone;
        }
        if !self.output.is_empty() {
            return Next::Wait(EventSet::OUT);
        }
        if self.closing {
            return Next::Gone;
        }
        if self.busy {
            // A client that goes away meanwhile is noticed with its answer.
            return Next::Wait(EventSet::empty());
        }
        if let Some(end) = self.input.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            return Next::Line(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if self.input.len() > MAX_LINE {
            return Next::TooLong;
        }
        match self.ended {
            true => Next::Gone,
            false => Next::Wait(EventSet::IN),
        }
    }

    /// `false` if the other side is gone.
    fn drain(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => return false,
                Ok(count) => drop(self.output.drain(..count)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}
