// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Bytes on a connected Unix socket, and the fds that come with them.
//!
//! A message's length must be known before it is received whole: a longer read
//! would go on into the next message and take its fds for those of this one
//! (unix(7), SCM_RIGHTS).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// Fds that one message can carry: vhost-user sends up to 32 memory regions.
pub const MAX_FDS: usize = 32;

/// For a message without any.
pub const NO_FDS: &[OwnedFd] = &[];

/// Fills `into`, and adds the fds that come with it; false at the end.
pub fn receive(from: &UnixStream, into: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<bool> {
    let mut rest = into;
    while !rest.is_empty() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            let mut into = [IoSliceMut::new(rest)];
            rustix::net::recvmsg(from, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)
        })?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(new) = message {
                fds.extend(new);
            }
        }
        if received.bytes == 0 {
            return Ok(false);
        }
        rest = rest.get_mut(received.bytes..).unwrap_or_default();
    }
    Ok(true)
}

/// Sends all of `bytes`, with `fds` attached to the first.
pub fn send(to: &UnixStream, bytes: &[u8], fds: &[impl AsFd]) -> io::Result<()> {
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let mut rest = bytes;
    let mut attached = borrowed.as_slice();
    while !rest.is_empty() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !attached.is_empty() && !control.push(SendAncillaryMessage::ScmRights(attached)) {
            return Err(io::Error::other("more fds in a message than fit"));
        }
        let sent = rustix::io::retry_on_intr(|| {
            let from = [IoSlice::new(rest)];
            rustix::net::sendmsg(to, &from, &mut control, SendFlags::NOSIGNAL)
        })?;
        rest = rest.get(sent..).unwrap_or_default();
        attached = &[];
    }
    Ok(())
}
