// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Any messages in any order: whatever a front-end sends, the next one is
//! served, and nothing of the last is kept.

use std::io::{IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use proptest::prelude::*;
use rustix::event::EventfdFlags;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use crate::support::{Device, Driver, header, options};

const FLUSH: u32 = 4;

/// Requests of the protocol, and some beyond (vhost-user, "Front-end message
/// types").
const REQUESTS: std::ops::Range<u32> = 0..48;

/// One message as it goes over the wire.
#[derive(Clone, Debug)]
struct Message {
    request: u32,
    flags: u32,
    body: Vec<u8>,
    /// How much longer or shorter than it is it says to be.
    lie: i8,
    fds: u8,
}

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..4u64,
        2 => Just(16u64),
        2 => Just(1u64 << 30 | 0x1_0000_0000),
        1 => Just(0x1000u64),
        1 => any::<u64>(),
    ]
}

/// Bodies of words, as most messages have, and of bytes.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::collection::vec(word(), 0..6)
        .prop_map(|words| words.into_iter().flat_map(u64::to_ne_bytes).collect());
    let halves = prop::collection::vec(0..20u32, 0..6)
        .prop_map(|words| words.into_iter().flat_map(u32::to_ne_bytes).collect());
    prop_oneof![
        3 => words,
        3 => halves,
        1 => prop::collection::vec(any::<u8>(), 0..64),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let flags = prop_oneof![8 => Just(1u32), 2 => Just(9u32), 1 => any::<u32>()];
    let lie = prop_oneof![12 => Just(0i8), 1 => any::<i8>()];
    let fds = prop_oneof![3 => Just(0u8), 3 => Just(1u8), 1 => 2..9u8];
    (REQUESTS, flags, body(), lie, fds).prop_map(|(request, flags, body, lie, fds)| Message {
        request,
        flags,
        body,
        lie,
        fds,
    })
}

fn send(to: &UnixStream, message: &Message) -> rustix::io::Result<usize> {
    let len = i64::try_from(message.body.len()).unwrap() + i64::from(message.lie);
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let header = [message.request, message.flags, len];
    let mut bytes: Vec<u8> = header.into_iter().flat_map(u32::to_ne_bytes).collect();
    bytes.extend_from_slice(&message.body);
    let eventfd = || rustix::event::eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    let fds: Vec<OwnedFd> = (0..message.fds).map(|_| eventfd()).collect();
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(&borrowed)));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(to, &[IoSlice::new(&bytes)], &mut control, flags)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn after_any_messages_the_next_front_end_is_served(
        streams in prop::collection::vec(prop::collection::vec(message(), 0..24), 1..4),
    ) {
        let device = Device::listening(options());
        for messages in streams {
            let stream = UnixStream::connect(device.socket()).unwrap();
            // Refused: the device has given this one up.
            let sent = messages.iter().take_while(|message| send(&stream, message).is_ok());
            sent.for_each(drop);
            let _ = stream.shutdown(Shutdown::Write);
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            // To the end: what it answers, and that it ends.
            let read = (&stream).read_to_end(&mut Vec::new());
            let ended = match read {
                Ok(_) => true,
                Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
            };
            prop_assert!(ended, "the connection was not ended");
        }
        let mut driver = Driver::connect(&device.socket(), 1, 0);
        let status = driver.request(0, 0, &header(FLUSH, 0), None);
        driver.kick(0);
        driver.next_used(0);
        prop_assert_eq!(driver.status(status), 0);
    }
}
