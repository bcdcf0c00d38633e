// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A connection made into one that vhost-user-backend accepts, and that can be
//! listened to.
//!
//! vhost-user-backend takes connections from a listener only, and keeps the fd
//! of the back-end channel to itself, with no way to say on it that the config
//! changed; and it knows nothing of memory for requests in flight. Each
//! connection is therefore joined to one that we connect to a listener of our
//! own: a thread carries bytes, with the fds attached to them, both ways, keeps
//! a copy of that fd, and answers the messages about that memory itself. Only
//! the messages of the set-up pass through it; rings, kicks and calls do not.

use std::fs::DirBuilder;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use irqstorm_front_end::socket::{receive, send};
use rustix::event::{PollFd, PollFlags, Timespec};
use vhost::vhost_user::message::FrontendReq;

use crate::config_vector::ConfigVector;
use crate::inflight::{Handled, Handover};

/// Bytes of a message's header: request, flags, and the length of the rest,
/// 32 bits each, in the host's order.
const HEADER_LEN: usize = 12;

/// The most bytes after it that are carried: more than any message has.
const MAX_BODY_LEN: usize = 0x1000;

/// How long no message comes before a config that was changed for the
/// interrupt alone is changed back.
const QUIET: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

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

/// Carries bytes and fds between the front-end and the daemon until either
/// ends; then ends both.
pub(crate) fn carry(
    front_end: &UnixStream,
    daemon: &UnixStream,
    config_vector: &ConfigVector,
    inflight: &Handover,
) -> io::Result<()> {
    let carried = carry_until_end(front_end, daemon, config_vector, inflight);
    config_vector.disconnect();
    for end in [front_end, daemon] {
        // Already ended: nothing to do.
        let _ = end.shutdown(Shutdown::Both);
    }
    carried
}

fn carry_until_end(
    front_end: &UnixStream,
    daemon: &UnixStream,
    config_vector: &ConfigVector,
    inflight: &Handover,
) -> io::Result<()> {
    loop {
        let mut fds = [front_end, daemon].map(|end| PollFd::new(end, PollFlags::IN));
        let patience = config_vector.is_grown().then_some(&QUIET);
        match rustix::event::poll(&mut fds, patience) {
            Ok(0) => config_vector.settle(),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let [asks, answers] = fds.map(|fd| !fd.revents().is_empty());
        if asks {
            let Some(message) = take_message(front_end)? else {
                return Ok(());
            };
            if let Some(channel) = message.back_end_channel() {
                config_vector.connect(channel.try_clone()?);
            }
            match inflight.handle(&message.bytes, &message.fds)? {
                Handled::No => send(daemon, &message.bytes, &message.fds)?,
                Handled::Done => {}
                Handled::Answer(answer, region) => {
                    let fd = region.as_ref().map(|region| region.fd());
                    send(front_end, &answer, fd.as_slice())?;
                }
            }
        }
        if answers {
            let Some(message) = take_message(daemon)? else {
                return Ok(());
            };
            send(front_end, &message.bytes, &message.fds)?;
        }
    }
}

/// A message and the fds that came with it.
struct CarriedMessage {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl CarriedMessage {
    /// The fd of the back-end channel, if it is that which the front-end hands
    /// over. The request is the first field of the header.
    fn back_end_channel(&self) -> Option<&OwnedFd> {
        let request = u32::from_ne_bytes(*self.bytes.first_chunk()?);
        let is_it = request == u32::from(FrontendReq::SET_BACKEND_REQ_FD);
        self.fds.first().filter(|_| is_it)
    }
}

/// Takes one message; `None` at the end of `from`.
fn take_message(from: &UnixStream) -> io::Result<Option<CarriedMessage>> {
    let mut message = vec![0; HEADER_LEN];
    let mut fds = Vec::new();
    if !receive(from, &mut message, &mut fds)? {
        return Ok(None);
    }
    let body = body_len(&message).filter(|&len| len <= MAX_BODY_LEN);
    let body = body.ok_or_else(|| io::Error::other("a message is longer than vhost-user has"))?;
    message.resize(HEADER_LEN + body, 0);
    let into = message.get_mut(HEADER_LEN..).unwrap_or_default();
    if !receive(from, into, &mut fds)? {
        return Ok(None);
    }
    Ok(Some(CarriedMessage {
        bytes: message,
        fds,
    }))
}

/// The last field of the header, which says how many bytes follow it.
fn body_len(header: &[u8]) -> Option<usize> {
    let len = header.last_chunk::<4>()?;
    usize::try_from(u32::from_ne_bytes(*len)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_vector::ConfigChange;
    use irqstorm_front_end::socket::NO_FDS;
    use std::io::{Read, Write};

    fn message(body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len()).unwrap();
        let mut message = vec![7; 8];
        message.extend_from_slice(&len.to_ne_bytes());
        message.extend_from_slice(body);
        message
    }

    #[test]
    fn fds_arrive_with_the_message_they_were_sent_with() {
        let (near, a) = UnixStream::pair().unwrap();
        let (b, far) = UnixStream::pair().unwrap();
        let (passed, mut kept) = UnixStream::pair().unwrap();
        send(&near, &message(b"plain"), NO_FDS).unwrap();
        send(&near, &message(b"with"), &[OwnedFd::from(passed)]).unwrap();
        send(&near, &message(b""), NO_FDS).unwrap();
        let vector = ConfigVector::new(ConfigChange::Told);
        let carrier = std::thread::spawn(move || carry(&a, &b, &vector, &Handover::default()));

        let expect = |body: &[u8]| {
            let expected = message(body);
            let (mut bytes, mut fds) = (vec![0; expected.len()], Vec::new());
            assert!(receive(&far, &mut bytes, &mut fds).unwrap());
            assert_eq!(bytes, expected);
            fds
        };
        assert!(expect(b"plain").is_empty());
        let mut received = UnixStream::from(expect(b"with").pop().unwrap());
        assert!(expect(b"").is_empty());
        received.write_all(b"!").unwrap();
        let mut one = [0];
        kept.read_exact(&mut one).unwrap();
        assert_eq!(&one, b"!");

        send(&far, &message(b"back"), NO_FDS).unwrap();
        let mut back = message(b"....");
        assert!(receive(&near, &mut back, &mut Vec::new()).unwrap());
        assert_eq!(back, message(b"back"));

        drop(near);
        carrier.join().unwrap().unwrap();
        assert_eq!((&far).read(&mut one).unwrap(), 0);
    }

    #[test]
    fn a_message_longer_than_vhost_user_has_ends_both() {
        let (mut near, a) = UnixStream::pair().unwrap();
        let (b, mut far) = UnixStream::pair().unwrap();
        near.write_all(&[0xff; HEADER_LEN]).unwrap();
        let vector = ConfigVector::new(ConfigChange::Told);
        assert!(carry(&a, &b, &vector, &Handover::default()).is_err());
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
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
