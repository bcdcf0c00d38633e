// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A connection that already exists, made into one that can be accepted.
//!
//! vhost-user-backend takes connections from a listener only. A socket that
//! was handed over connected (`--fd`) is therefore joined to one that we
//! connect to a listener of our own: a thread carries bytes, with the fds
//! attached to them, both ways. Only the messages of the set-up pass through
//! it; rings, kicks and calls do not.

use std::fs::DirBuilder;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::event::{PollFd, PollFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// Fds that one message can carry: vhost-user sends up to 32 memory regions.
const MAX_FDS: usize = 32;

/// Bytes carried at once: more than any vhost-user message.
const CHUNK: usize = 8192;

/// A listener with one connection waiting in it, and the other end of that.
/// No one else can reach it: its directory is this user's alone, and gone when
/// this returns.
pub(crate) fn listener_with_one() -> io::Result<(UnixListener, UnixStream)> {
    let directory = PrivateDirectory::new()?;
    let path = directory.0.join("socket");
    let listener = UnixListener::bind(&path)?;
    let connected = UnixStream::connect(&path);
    std::fs::remove_file(&path)?;
    Ok((listener, connected?))
}

struct PrivateDirectory(PathBuf);

impl PrivateDirectory {
    fn new() -> io::Result<PrivateDirectory> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("irqstorm-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(PrivateDirectory(path)),
                // Someone else's, or left by one that was killed.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && number < 1024 => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Carries bytes and fds between `a` and `b` until either ends; then ends both.
pub(crate) fn carry(a: &UnixStream, b: &UnixStream) -> io::Result<()> {
    let carried = carry_until_end(a, b);
    for end in [a, b] {
        // Already ended: nothing to do.
        let _ = end.shutdown(Shutdown::Both);
    }
    carried
}

fn carry_until_end(a: &UnixStream, b: &UnixStream) -> io::Result<()> {
    loop {
        let mut fds = [PollFd::new(a, PollFlags::IN), PollFd::new(b, PollFlags::IN)];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let [from_a, from_b] = fds.map(|fd| !fd.revents().is_empty());
        if (from_a && !carry_once(a, b)?) || (from_b && !carry_once(b, a)?) {
            return Ok(());
        }
    }
}

/// Carries what one read gives; false at the end of `from`. A read never
/// crosses from the bytes of one set of fds to those of the next, so fds
/// arrive with the byte they were sent with.
fn carry_once(from: &UnixStream, to: &UnixStream) -> io::Result<bool> {
    let mut bytes = [0; CHUNK];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        let mut into = [IoSliceMut::new(&mut bytes)];
        rustix::net::recvmsg(from, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let fds: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    let received = bytes.get(..received.bytes).unwrap_or_default();
    if received.is_empty() {
        return Ok(false);
    }
    send_all(to, received, &fds)?;
    Ok(true)
}

/// Sends all of `bytes`, with `fds` attached to the first.
fn send_all(to: &UnixStream, bytes: &[u8], fds: &[OwnedFd]) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn bytes_and_fds_arrive_together_and_an_end_ends_both() {
        let (mut near, a) = UnixStream::pair().unwrap();
        let (b, mut far) = UnixStream::pair().unwrap();
        let carrier = std::thread::spawn(move || carry(&a, &b));

        let (passed, mut kept) = UnixStream::pair().unwrap();
        send_all(&near, b"with", &[passed.into()]).unwrap();
        near.write_all(b"out").unwrap();
        let (mut bytes, mut fds) = (Vec::new(), Vec::new());
        while bytes.len() < 7 {
            let mut some = [0; 7];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let got = rustix::net::recvmsg(
                &far,
                &mut [IoSliceMut::new(&mut some)],
                &mut control,
                RecvFlags::empty(),
            )
            .unwrap();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(new) = message {
                    assert!(bytes.is_empty(), "the fd came after its byte");
                    fds.extend(new);
                }
            }
            bytes.extend_from_slice(&some[..got.bytes]);
        }
        assert_eq!(bytes, b"without");
        let mut received = UnixStream::from(fds.pop().unwrap());
        received.write_all(b"!").unwrap();
        let mut one = [0];
        kept.read_exact(&mut one).unwrap();
        assert_eq!(&one, b"!");

        far.write_all(b"back").unwrap();
        let mut back = [0; 4];
        near.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"back");

        drop(near);
        carrier.join().unwrap().unwrap();
        assert_eq!(far.read(&mut one).unwrap(), 0);
    }

    #[test]
    fn the_private_listener_leaves_nothing_behind() {
        let directory = PrivateDirectory::new().unwrap();
        let path = directory.0.clone();
        drop(directory);
        assert!(!path.exists());
        let (listener, mut connected) = listener_with_one().unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        connected.write_all(b"?").unwrap();
        let mut one = [0];
        accepted.read_exact(&mut one).unwrap();
        assert_eq!(&one, b"?");
    }
}
