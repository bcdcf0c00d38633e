// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The VMM's side of a vfio-user connection.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use irqstorm_front_end::socket::receive;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// Flags of a header.
const NO_REPLY: u32 = 1 << 4;
const ERROR: u32 = 1 << 5;

/// BAR 0 and the configuration space.
const BAR0: u32 = 0;
const CONFIG: u32 = 7;

/// A client that speaks version 0.1.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    next_id: u16,
}

impl Client {
    /// Connects, and agrees on a version.
    pub fn connect(path: &Path) -> Client {
        Client::over(UnixStream::connect(path).unwrap())
    }

    /// The same over a connection that exists.
    pub fn over(stream: UnixStream) -> Client {
        let mut client = Client { stream, next_id: 0 };
        let reply = client
            .ask(1, b"\0\0\x01\0{\"capabilities\":{}}\0", &[])
            .unwrap();
        assert_eq!(reply[..2], [0, 0]);
        client
    }

    /// Sends any bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads to the end of the connection, which the other side may bring about
    /// with bytes of ours unread.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
            read => drop(read.unwrap()),
        }
        rest
    }

    fn message(&mut self, command: u16, flags: u32, body: &[u8], fds: &[BorrowedFd<'_>]) {
        self.next_id = self.next_id.wrapping_add(1);
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.next_id.to_ne_bytes());
        bytes.extend_from_slice(&command.to_ne_bytes());
        let size = u32::try_from(16 + body.len()).unwrap();
        for word in [size, flags, 0] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.extend_from_slice(body);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
        }
        let parts = [IoSlice::new(&bytes)];
        let sent = rustix::net::sendmsg(&self.stream, &parts, &mut control, SendFlags::NOSIGNAL);
        let sent = sent.unwrap();
        self.stream.write_all(&bytes[sent..]).unwrap();
    }

    /// Sends a command and reads its answer: a body, or an errno.
    pub fn ask(
        &mut self,
        command: u16,
        body: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<Vec<u8>, u32> {
        self.message(command, 0, body, fds);
        let mut header = [0; 16];
        self.stream.read_exact(&mut header).unwrap();
        let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
        assert_eq!(header[..2], self.next_id.to_ne_bytes());
        assert_eq!(header[2..4], command.to_ne_bytes());
        let mut reply = vec![0; word(4) as usize - 16];
        self.stream.read_exact(&mut reply).unwrap();
        match word(8) {
            1 => Ok(reply),
            flags if flags & ERROR != 0 => Err(word(12)),
            flags => panic!("a reply with flags {flags:#x}"),
        }
    }

    /// Sends a command that wants no answer.
    pub fn post(&mut self, command: u16, body: &[u8]) {
        self.message(command, NO_REPLY, body, &[]);
    }

    /// Maps guest memory.
    pub fn map(
        &mut self,
        address: u64,
        size: u64,
        offset: u64,
        fd: Option<BorrowedFd<'_>>,
    ) -> Result<(), u32> {
        let mut body = [32u32, 0b11].map(u32::to_ne_bytes).concat();
        for value in [offset, address, size] {
            body.extend_from_slice(&value.to_ne_bytes());
        }
        self.ask(2, &body, fd.as_slice()).map(drop)
    }

    /// Unmaps it.
    pub fn unmap(&mut self, address: u64, size: u64) -> Result<(), u32> {
        let mut body = [24u32, 0].map(u32::to_ne_bytes).concat();
        for value in [address, size] {
            body.extend_from_slice(&value.to_ne_bytes());
        }
        self.ask(3, &body, &[]).map(drop)
    }

    /// Regions and interrupts of the device.
    pub fn device_info(&mut self) -> Result<(u32, u32), u32> {
        let reply = self.ask(4, &[16, 0, 0, 0].map(u32::to_ne_bytes).concat(), &[])?;
        let word = |at: usize| u32::from_ne_bytes(reply[at..at + 4].try_into().unwrap());
        Ok((word(8), word(12)))
    }

    /// What is told of a region to who has so much room for it, and the fd that
    /// comes with that.
    pub fn region_info(&mut self, index: u32, room: u32) -> (Vec<u8>, Option<OwnedFd>) {
        let body = [room, 0, index, 0, 0, 0, 0, 0]
            .map(u32::to_ne_bytes)
            .concat();
        self.message(5, 0, &body, &[]);
        let (mut header, mut fds) = ([0; 16], Vec::new());
        assert!(receive(&self.stream, &mut header, &mut fds).unwrap());
        let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
        assert_eq!(word(8), 1, "a reply");
        let mut reply = vec![0; word(4) as usize - 16];
        assert!(receive(&self.stream, &mut reply, &mut fds).unwrap());
        assert!(fds.len() <= 1);
        (reply, fds.pop())
    }

    /// How many interrupts of an index there are.
    pub fn irq_count(&mut self, index: u32) -> u32 {
        let body = [16, 0, index, 0].map(u32::to_ne_bytes).concat();
        let reply = self.ask(7, &body, &[]).unwrap();
        u32::from_ne_bytes(reply[12..16].try_into().unwrap())
    }

    /// Gives an MSI-X vector its eventfd, or takes it away.
    pub fn set_vector(&mut self, vector: u32, fd: Option<BorrowedFd<'_>>) {
        // Eventfds, trigger; MSI-X.
        let body = [20, 1 << 2 | 1 << 5, 2, vector, 1];
        self.ask(8, &body.map(u32::to_ne_bytes).concat(), fd.as_slice())
            .unwrap();
    }

    /// Gives the pin its eventfd.
    pub fn set_pin(&mut self, fd: BorrowedFd<'_>) {
        let body = [20, 1 << 2 | 1 << 5, 0, 0, 1];
        self.ask(8, &body.map(u32::to_ne_bytes).concat(), &[fd])
            .unwrap();
    }

    /// Says that the pin's interrupt was handled.
    pub fn unmask_pin(&mut self) {
        let body = [20, 1 | 1 << 4, 0, 0, 1];
        self.ask(8, &body.map(u32::to_ne_bytes).concat(), &[])
            .unwrap();
    }

    /// Resets the function.
    pub fn reset(&mut self) {
        self.ask(13, &[], &[]).unwrap();
    }

    fn access(offset: u64, region: u32, count: usize) -> Vec<u8> {
        let mut body = offset.to_ne_bytes().to_vec();
        body.extend_from_slice(&region.to_ne_bytes());
        body.extend_from_slice(&u32::try_from(count).unwrap().to_ne_bytes());
        body
    }

    /// Reads a region.
    pub fn read(&mut self, region: u32, offset: u64, count: usize) -> Result<Vec<u8>, u32> {
        let reply = self.ask(9, &Client::access(offset, region, count), &[])?;
        Ok(reply[16..].to_vec())
    }

    /// Writes a region, and waits until that is done.
    pub fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), u32> {
        let mut body = Client::access(offset, region, data.len());
        body.extend_from_slice(data);
        self.ask(10, &body, &[]).map(drop)
    }

    /// Writes a doorbell or register of 32 bits without waiting.
    pub fn post_write(&mut self, offset: u64, value: u32) {
        let mut body = Client::access(offset, BAR0, 4);
        body.extend_from_slice(&value.to_le_bytes());
        self.post(10, &body);
    }

    /// A register of 32 bits.
    pub fn register(&mut self, offset: u64) -> u32 {
        let bytes = self.read(BAR0, offset, 4).unwrap();
        u32::from_le_bytes(bytes.try_into().unwrap())
    }

    /// Writes one.
    pub fn set_register(&mut self, offset: u64, value: u32) {
        self.write(BAR0, offset, &value.to_le_bytes()).unwrap();
    }

    /// Bytes of the configuration space.
    pub fn config(&mut self, offset: u64, count: usize) -> Vec<u8> {
        self.read(CONFIG, offset, count).unwrap()
    }
}
