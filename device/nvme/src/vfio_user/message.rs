// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One message from the socket, and the answer to it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use irqstorm_front_end::socket::{MAX_FDS, receive, send};
use rustix::io::Errno;

use super::wire::{HEADER_LEN, Header, MAX_MESSAGE, NO_REPLY, TYPE_MASK};

/// What is no message of a client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    /// The socket failed.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// A length that no message has.
    #[error("a message of {0} bytes: 16 to {MAX_MESSAGE} are possible")]
    Size(u32),
    /// A reply, to a server that asks for nothing.
    #[error("a message of type {0}: the client sends commands only")]
    Type(u32),
    /// More fds than are taken at once.
    #[error("a message with more than {MAX_FDS} fds")]
    Fds,
}

/// A message of the client's.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) header: Header,
    pub(super) body: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
}

impl Message {
    /// One with room for what is to come.
    pub(super) fn new() -> Message {
        Message {
            header: Header::read(&[0; HEADER_LEN]),
            body: Vec::new(),
            fds: Vec::new(),
        }
    }

    /// Becomes the next message; false at the end of the connection, even
    /// within a message.
    pub(super) fn receive(&mut self, from: &UnixStream) -> Result<bool, MessageError> {
        self.fds.clear();
        let mut header = [0; HEADER_LEN];
        if !receive(from, &mut header, &mut self.fds)? {
            return Ok(false);
        }
        self.header = Header::read(&header);
        let size = usize::try_from(self.header.size).unwrap_or(usize::MAX);
        if !(HEADER_LEN..=MAX_MESSAGE).contains(&size) {
            return Err(MessageError::Size(self.header.size));
        }
        let kind = self.header.flags & TYPE_MASK;
        if kind != 0 {
            return Err(MessageError::Type(kind));
        }
        self.body.clear();
        self.body.resize(size - HEADER_LEN, 0);
        let whole = receive(from, &mut self.body, &mut self.fds)?;
        if self.fds.len() > MAX_FDS {
            return Err(MessageError::Fds);
        }
        Ok(whole)
    }

    /// Answers it, if it asks for an answer, and hands a file over with that.
    pub(super) fn answer(
        &self,
        to: &UnixStream,
        answer: Result<&[u8], Errno>,
        fd: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        if self.header.flags & NO_REPLY != 0 {
            return Ok(());
        }
        let body = answer.unwrap_or_default();
        let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
        bytes.extend_from_slice(&self.header.reply(body.len(), answer.err()));
        bytes.extend_from_slice(body);
        send(to, &bytes, fd.as_slice())
    }
}
