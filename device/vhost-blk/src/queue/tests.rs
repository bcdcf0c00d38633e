// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The ring against a driver's side made by hand: every layout that must be
//! accepted, every shape that must be refused, and the four steps apart.

mod conformance;
mod lies;
mod malformed;
mod random;
mod requests;
mod resumed;
mod steps;

use std::fs::File;

use irqstorm_core::queue::{RequestQueue, Taken};
use irqstorm_core::request::{Outcome, QueueId, Request, Status};
use irqstorm_core::store::Geometry;
use rustix::event::EventfdFlags;
use virtio_queue::desc::split::Descriptor;
use virtio_queue::{Queue, QueueState};
use vm_memory::{Bytes, GuestAddress, GuestMemoryAtomic, GuestMemoryMmap};

use super::{Position, Token, VirtioQueue, Wires};
use crate::features::Features;
use crate::options::Options;
use crate::parse::Terms;

pub(super) const RING_LEN: u16 = 16;
pub(super) const SECTORS: u64 = 2049;

/// The parts of the ring.
const DESCRIPTORS: u64 = 0;
const AVAIL: u64 = 0x400;
const USED: u64 = 0x800;

/// The fields of either ring, and the events behind their elements.
pub(super) const AVAIL_FLAGS: u64 = AVAIL;
pub(super) const AVAIL_IDX: u64 = AVAIL + 2;
pub(super) const USED_EVENT: u64 = AVAIL + 4 + 2 * RING_LEN as u64;
pub(super) const USED_FLAGS: u64 = USED;
pub(super) const USED_IDX: u64 = USED + 2;
pub(super) const AVAIL_EVENT: u64 = USED + 4 + 8 * RING_LEN as u64;
pub(super) const USED_END: u64 = AVAIL_EVENT + 2;

/// Requests' headers, data and status bytes; the last page before a hole.
pub(super) const HEADER: u64 = 0x10000;
pub(super) const DATA: u64 = 0x11000;
pub(super) const STATUS: u64 = 0x1f000;
pub(super) const TABLE: u64 = 0x18000;
pub(super) const HOLE: u64 = 0x20000;

pub(super) const NEXT: u16 = 1;
pub(super) const WRITE: u16 = 2;
pub(super) const INDIRECT: u16 = 4;

pub(super) const IN: u32 = 0;
pub(super) const OUT: u32 = 1;
pub(super) const FLUSH: u32 = 4;
pub(super) const GET_ID: u32 = 8;
pub(super) const DISCARD: u32 = 11;
pub(super) const WRITE_ZEROES: u32 = 13;

/// No status byte has this value.
pub(super) const UNTOUCHED: u8 = 0xaa;

pub(super) fn memory() -> GuestMemoryMmap {
    let regions = [(GuestAddress(0), 0x20000), (GuestAddress(0x40000), 0x10000)];
    GuestMemoryMmap::from_ranges(&regions).unwrap()
}

pub(super) fn options() -> Options {
    Options::new(Geometry {
        sectors: SECTORS,
        block_size: 512,
        read_only: false,
    })
}

/// One buffer of a chain: where, how long, and `WRITE` or not.
pub(super) type Buffer = (u64, u32, u16);

/// What a request was read as, and the status byte that it ended with.
pub(super) type Ended = (Result<Request, Status>, u8);

pub(super) struct Bench<'a> {
    pub(super) memory: &'a GuestMemoryMmap,
    pub(super) queue: VirtioQueue,
    pub(super) call: File,
    pub(super) error: File,
    pub(super) position: Position,
    free: u16,
}

impl<'a> Bench<'a> {
    pub(super) fn new(memory: &'a GuestMemoryMmap) -> Bench<'a> {
        Bench::with(memory, &options(), Features::NONE, 0)
    }

    /// A ring whose indices stand at `index`, all features agreed but `withheld`.
    pub(super) fn with(
        memory: &'a GuestMemoryMmap,
        options: &Options,
        withheld: Features,
        index: u16,
    ) -> Bench<'a> {
        let acked = options.offered().without(withheld);
        let ring = ring(acked, index);
        for idx in [AVAIL_IDX, USED_IDX] {
            memory.write_obj(index, GuestAddress(idx)).unwrap();
        }
        let wires = Wires::default();
        let (call, error) = (eventfd(), eventfd());
        wires.call.set(Some(call.try_clone().unwrap()));
        wires.error.set(Some(error.try_clone().unwrap()));
        let position = Position::default();
        let queue = VirtioQueue::new(
            QueueId(0),
            GuestMemoryAtomic::new(memory.clone()),
            ring,
            Terms::new(options, acked),
            wires,
            position.clone(),
            None,
        );
        Bench {
            memory,
            queue,
            call,
            error,
            position,
            free: 0,
        }
    }

    /// One of the ring's 16-bit fields.
    pub(super) fn field(&self, at: u64) -> u16 {
        self.memory.read_obj(GuestAddress(at)).unwrap()
    }

    /// Sets one of the ring's 16-bit fields.
    pub(super) fn set(&self, at: u64, value: u16) {
        self.memory.write_obj(value, GuestAddress(at)).unwrap();
    }

    /// Writes a descriptor as it is.
    pub(super) fn describe(&self, number: u16, addr: u64, len: u32, flags: u16, next: u16) {
        let descriptor = Descriptor::new(addr, len, flags, next);
        let at = GuestAddress(DESCRIPTORS + u64::from(number) * 16);
        self.memory.write_obj(descriptor, at).unwrap();
    }

    /// Makes `head` available, whatever is behind it.
    pub(super) fn make_available(&self, head: u16) {
        let index = self.field(AVAIL_IDX);
        self.set(AVAIL + 4 + u64::from(index % RING_LEN) * 2, head);
        self.set(AVAIL_IDX, index.wrapping_add(1));
    }

    /// Makes `buffers` available as one chain; its head.
    pub(super) fn submit(&mut self, buffers: &[Buffer]) -> u16 {
        let room = usize::from(RING_LEN - self.free);
        let head = if buffers.len() > room { 0 } else { self.free };
        for (number, &(addr, len, flags)) in (head..).zip(buffers) {
            let last = usize::from(number - head) + 1 == buffers.len();
            let flags = flags | if last { 0 } else { NEXT };
            self.describe(number, addr, len, flags, number + 1);
            self.free = (number + 1) % RING_LEN;
        }
        self.make_available(head);
        head
    }

    /// The same through an indirect table; its head.
    pub(super) fn submit_indirect(&mut self, buffers: &[Buffer]) -> u16 {
        for (number, &(addr, len, flags)) in (0u16..).zip(buffers) {
            let last = usize::from(number) + 1 == buffers.len();
            let flags = flags | if last { 0 } else { NEXT };
            let descriptor = Descriptor::new(addr, len, flags, number + 1);
            let at = GuestAddress(TABLE + u64::from(number) * 16);
            self.memory.write_obj(descriptor, at).unwrap();
        }
        let len = u32::try_from(buffers.len()).unwrap() * 16;
        self.submit(&[(TABLE, len, INDIRECT)])
    }

    /// Puts a header where chains say it is, and marks the status byte.
    pub(super) fn header(&self, kind: u32, sector: u64) {
        let header = [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()[..]].concat();
        self.write(HEADER, &header);
        self.write(STATUS, &[UNTOUCHED]);
    }

    pub(super) fn write(&self, at: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(at)).unwrap();
    }

    pub(super) fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory
            .read_slice(&mut bytes, GuestAddress(at))
            .unwrap();
        bytes
    }

    pub(super) fn take(&mut self) -> Taken<Token> {
        self.queue.next().unwrap().unwrap()
    }

    /// Takes the one request there is, completes it with `outcome` (or with
    /// its error) and shows it.
    pub(super) fn complete(&mut self, outcome: Outcome) -> Result<Request, Status> {
        let Taken { token, request } = self.take();
        let outcome = match request {
            Ok(_) => outcome,
            Err(status) => Outcome::failed(status),
        };
        self.queue.complete(token, outcome, None).unwrap();
        self.queue.publish().unwrap();
        request
    }

    /// A header for `kind` and `sector`, then the chain; what became of it,
    /// and its status byte.
    pub(super) fn outcome_of(&mut self, kind: u32, sector: u64, buffers: &[Buffer]) -> Ended {
        self.header(kind, sector);
        self.submit(buffers);
        let request = self.complete(Outcome::ok(0));
        (request, self.bytes(STATUS, 1)[0])
    }

    /// The used element before the index: head and length.
    pub(super) fn last_used(&self) -> (u32, u32) {
        self.used(self.field(USED_IDX).wrapping_sub(1))
    }

    /// The used element for an index: head and length.
    pub(super) fn used(&self, index: u16) -> (u32, u32) {
        let at = USED + 4 + u64::from(index % RING_LEN) * 8;
        let read = |at| self.memory.read_obj(GuestAddress(at)).unwrap();
        (read(at), read(at + 4))
    }
}

/// A ring whose indices stand at `index`.
fn ring(acked: Features, index: u16) -> Queue {
    Queue::try_from(QueueState {
        max_size: RING_LEN,
        next_avail: index,
        next_used: index,
        event_idx_enabled: acked.contains(Features::EVENT_IDX),
        size: RING_LEN,
        ready: true,
        desc_table: DESCRIPTORS,
        avail_ring: AVAIL,
        used_ring: USED,
    })
    .unwrap()
}

pub(super) fn eventfd() -> File {
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    File::from(rustix::event::eventfd(0, flags).unwrap())
}

/// Signals since the last look.
pub(super) fn signals(fd: &File) -> u64 {
    let mut count = [0; 8];
    match rustix::io::read(fd, &mut count) {
        Ok(_) => u64::from_ne_bytes(count),
        Err(_) => 0,
    }
}
