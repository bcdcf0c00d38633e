// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The two messages about a region: the front-end asks for one, and hands one
//! over (VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_SET_INFLIGHT_FD).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vhost::vhost_user::message::FrontendReq;

use super::region::{Region, Shape};

/// Bytes of a message before its body: request, flags, length of the body.
const HEADER_LEN: usize = 12;

/// In the flags of a message: the protocol's version, that it is a reply, and
/// that one is wanted.
const VERSION: u32 = 1;
const REPLY: u32 = 1 << 2;
const NEED_REPLY: u32 = 1 << 3;

/// In a reply that was wanted: it was done.
const DONE: u64 = 0;

/// The region of a connection, once the front-end has handed one over; clones
/// are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handover(Arc<Mutex<Option<Arc<Region>>>>);

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Handled {
    /// It is about something else.
    No,
    /// It is done.
    Done,
    /// It is done, and this is to be answered; with the region's fd, if it is
    /// a region that was asked for.
    Answer(Vec<u8>, Option<Arc<Region>>),
}

impl Handover {
    /// The region that was handed over last.
    pub(crate) fn region(&self) -> Option<Arc<Region>> {
        self.lock().clone()
    }

    /// Does what a whole message of the front-end asks, if it is about a
    /// region. An error is one that the connection cannot go on after.
    pub(crate) fn handle(&self, message: &[u8], fds: &[OwnedFd]) -> io::Result<Handled> {
        let Some((header, body)) = message.split_first_chunk::<HEADER_LEN>() else {
            return Ok(Handled::No);
        };
        let (request, flags) = (word(header, 0), word(header, 4));
        if request == u32::from(FrontendReq::GET_INFLIGHT_FD) {
            let asked = shape(body)?;
            let region = Region::new(asked.rings, asked.size).map_err(io::Error::other)?;
            let answer = answer(request, &described(body, region.shape()));
            return Ok(Handled::Answer(answer, Some(Arc::new(region))));
        }
        if request == u32::from(FrontendReq::SET_INFLIGHT_FD) {
            let fd = fds.first().ok_or_else(|| wrong("it comes without an fd"))?;
            let file = File::from(fd.as_fd().try_clone_to_owned()?);
            let region = Region::open(file, shape(body)?).map_err(io::Error::other)?;
            *self.lock() = Some(Arc::new(region));
            let wanted = flags & NEED_REPLY != 0;
            return Ok(match wanted {
                true => Handled::Answer(answer(request, &DONE.to_ne_bytes()), None),
                false => Handled::Done,
            });
        }
        Ok(Handled::No)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Region>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wrong(why: &str) -> io::Error {
    io::Error::other(format!("a message about requests in flight: {why}"))
}

fn word(header: &[u8; HEADER_LEN], at: usize) -> u32 {
    let bytes = header.get(at..).and_then(|rest| rest.first_chunk());
    u32::from_ne_bytes(*bytes.unwrap_or(&[0; 4]))
}

/// Size and offset of the region, how many queues, of how many entries: 8, 8,
/// 2 and 2 bytes. Some front-ends pad them.
fn shape(body: &[u8]) -> io::Result<Shape> {
    let short = || wrong("it is too short");
    let (len, rest) = body.split_first_chunk().ok_or_else(short)?;
    let (offset, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let (rings, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let (size, _) = rest.split_first_chunk().ok_or_else(short)?;
    let shape = Shape {
        len: u64::from_ne_bytes(*len),
        offset: u64::from_ne_bytes(*offset),
        rings: u16::from_ne_bytes(*rings),
        size: u16::from_ne_bytes(*size),
    };
    if shape.rings == 0 || shape.size == 0 {
        return Err(wrong("it is about no ring"));
    }
    Ok(shape)
}

/// A body like `asked`, padding included, that describes `shape`.
fn described(asked: &[u8], shape: Shape) -> Vec<u8> {
    let mut body = shape.len.to_ne_bytes().to_vec();
    body.extend(shape.offset.to_ne_bytes());
    body.extend(shape.rings.to_ne_bytes());
    body.extend(shape.size.to_ne_bytes());
    body.resize(asked.len().max(body.len()), 0);
    body
}

fn answer(request: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap_or(0);
    let header = [request, VERSION | REPLY, len];
    let mut message: Vec<u8> = header.into_iter().flat_map(u32::to_ne_bytes).collect();
    message.extend_from_slice(body);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(request: FrontendReq, flags: u32, body: &[u8]) -> Vec<u8> {
        let mut message = answer(u32::from(request), body);
        message[4..8].copy_from_slice(&flags.to_ne_bytes());
        message
    }

    fn asked(rings: u16, size: u16) -> Vec<u8> {
        let shape = Shape {
            len: 0,
            offset: 0,
            rings,
            size,
        };
        described(&[0; 24], shape)
    }

    fn made(handover: &Handover, rings: u16, size: u16) -> (Vec<u8>, OwnedFd) {
        let get = message(FrontendReq::GET_INFLIGHT_FD, VERSION, &asked(rings, size));
        match handover.handle(&get, &[]).unwrap() {
            Handled::Answer(answer, Some(region)) => {
                (answer, region.fd().try_clone_to_owned().unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_region_asked_for_can_be_handed_over_again() {
        let handover = Handover::default();
        let (answer, fd) = made(&handover, 3, 128);
        let (header, body) = answer.split_at(HEADER_LEN);
        assert_eq!(header[..4], 31u32.to_ne_bytes());
        assert_eq!(header[4..8], (VERSION | REPLY).to_ne_bytes());
        assert_eq!(body.len(), 24, "padded as it was asked");
        assert!(handover.region().is_none(), "asked for, not handed over");

        let set = message(FrontendReq::SET_INFLIGHT_FD, VERSION, body);
        let handled = handover.handle(&set, &[fd]).unwrap();
        assert!(matches!(handled, Handled::Done));
        let region = handover.region().unwrap();
        assert_eq!(region.size(), 128);
        assert!(region.ring(2).is_some() && region.ring(3).is_none());
    }

    #[test]
    fn a_reply_is_given_where_one_is_wanted() {
        let handover = Handover::default();
        let (answer, fd) = made(&handover, 1, 16);
        let flags = VERSION | NEED_REPLY;
        let set = message(FrontendReq::SET_INFLIGHT_FD, flags, &answer[HEADER_LEN..]);
        let Handled::Answer(answer, None) = handover.handle(&set, &[fd]).unwrap() else {
            panic!("no reply");
        };
        assert_eq!(answer[HEADER_LEN..], [0; 8]);
    }

    #[test]
    fn what_cannot_be_a_region_is_refused() {
        let handover = Handover::default();
        let set = |body: &[u8], fds: &[OwnedFd]| {
            let set = message(FrontendReq::SET_INFLIGHT_FD, VERSION, body);
            handover.handle(&set, fds).unwrap_err().to_string()
        };
        let (answer, fd) = made(&handover, 2, 16);
        let good = &answer[HEADER_LEN..];
        assert!(set(good, &[]).contains("without an fd"));
        let fds = [fd];
        assert!(set(&good[..19], &fds).contains("too short"));
        for (rings, size) in [(0, 16), (2, 0)] {
            assert!(set(&asked(rings, size), &fds).contains("no ring"));
        }
        // Larger than it is, of more rings than fit, beyond all bytes.
        let with = |change: fn(&mut Shape)| {
            let mut told = shape(good).unwrap();
            change(&mut told);
            described(good, told)
        };
        let too_large = with(|told| told.len += 1);
        let too_many = with(|told| told.rings = 3);
        let too_far = with(|told| told.offset = u64::MAX);
        for body in [too_large, too_many, too_far] {
            assert!(set(&body, &fds).contains("no room"));
        }
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        assert!(set(good, &[file.into()]).contains("not sealed"));
        assert!(handover.region().is_none());
    }

    #[test]
    fn other_messages_are_left_alone() {
        let handover = Handover::default();
        let other = message(FrontendReq::SET_OWNER, VERSION, &[]);
        assert!(matches!(handover.handle(&other, &[]), Ok(Handled::No)));
        assert!(matches!(handover.handle(&[1, 2, 3], &[]), Ok(Handled::No)));
    }
}
