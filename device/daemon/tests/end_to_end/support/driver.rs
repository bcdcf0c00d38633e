// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A driver of the disk, over vhost-user, as a guest's would be.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use irqstorm_testing::SharedMemory;
use rustix::event::{PollFd, PollFlags, Timespec};
use virtio_driver::{
    EventFd, VhostUser, VirtioBlkConfig, VirtioBlkFeatureFlags, VirtioBlkQueue, VirtioBlkReqBuf,
    VirtioBlkTransport, VirtioFeatureFlags,
};

use super::eventually;

/// Bytes of memory that a request's data can have.
pub(crate) const PIECE: usize = 64 * 1024;

/// Requests in flight at once, over all queues.
const PIECES: usize = 64;

/// Entries of each ring.
const RING: u16 = 128;

/// How a request ends well, and how not: what the client library makes of
/// VIRTIO_BLK_S_OK and VIRTIO_BLK_S_IOERR (a negative errno).
pub(crate) const OK: i32 = 0;
pub(crate) const IO_ERROR: i32 = -5;

/// VIRTIO_F_EVENT_IDX, for tests that do without.
pub(crate) const EVENT_IDX: u64 = VirtioFeatureFlags::RING_EVENT_IDX.bits();

/// Everything that this driver can do.
pub(crate) const FEATURES: u64 = VirtioFeatureFlags::VERSION_1.bits()
    | EVENT_IDX
    | VirtioBlkFeatureFlags::MQ.bits()
    | VirtioBlkFeatureFlags::RO.bits()
    | VirtioBlkFeatureFlags::BLK_SIZE.bits()
    | VirtioBlkFeatureFlags::FLUSH.bits()
    | VirtioBlkFeatureFlags::DISCARD.bits()
    | VirtioBlkFeatureFlags::WRITE_ZEROES.bits();

/// A request's name: also the piece of memory that it uses.
type Tag = usize;

pub(crate) struct Driver {
    // Before the transport, which has the memory of their rings.
    queues: Vec<VirtioBlkQueue<'static, Tag>>,
    calls: Vec<Arc<EventFd>>,
    transport: Box<VirtioBlkTransport>,
    memory: SharedMemory,
}

impl Driver {
    pub(crate) fn connect(path: &Path, queues: usize) -> Driver {
        Driver::connect_with(path, queues, FEATURES)
    }

    pub(crate) fn connect_with(path: &Path, queues: usize, features: u64) -> Driver {
        let path = path.to_str().unwrap();
        let transport = VhostUser::<VirtioBlkConfig, VirtioBlkReqBuf>::new(path, features);
        let mut transport: Box<VirtioBlkTransport> = Box::new(transport.unwrap());
        let memory = SharedMemory::new(PIECE * PIECES).unwrap();
        transport
            .map_mem_region(memory.address(), memory.len(), memory.fd(), 0)
            .unwrap();
        let rings = VirtioBlkQueue::setup_queues(transport.as_mut(), queues, RING).unwrap();
        let calls = (0..queues).map(|queue| transport.get_completion_fd(queue));
        Driver {
            queues: rings,
            calls: calls.collect(),
            transport,
            memory,
        }
    }

    pub(crate) fn config(&self) -> VirtioBlkConfig {
        self.transport.get_config().unwrap()
    }

    pub(crate) fn features(&self) -> u64 {
        self.transport.get_features()
    }

    /// Queues a write of `data` at a byte offset; [`Driver::kick`] tells of it.
    pub(crate) fn write(&mut self, queue: usize, tag: Tag, offset: u64, data: &[u8]) {
        self.memory.put(tag * PIECE, data);
        let buffer = self.memory.at(tag * PIECE, data.len());
        // SAFETY: the buffer is mapped as long as this driver, and its piece is
        // no other request's.
        unsafe { self.queues[queue].write_raw(offset, buffer, data.len(), tag) }.unwrap();
    }

    pub(crate) fn read(&mut self, queue: usize, tag: Tag, offset: u64, len: usize) {
        let buffer = self.memory.at(tag * PIECE, len);
        // SAFETY: as for `write`.
        unsafe { self.queues[queue].read_raw(offset, buffer, len, tag) }.unwrap();
    }

    pub(crate) fn flush(&mut self, queue: usize, tag: Tag) {
        self.queues[queue].flush(tag).unwrap();
    }

    pub(crate) fn discard(&mut self, queue: usize, tag: Tag, offset: u64, len: u64) {
        self.queues[queue].discard(offset, len, tag).unwrap();
    }

    pub(crate) fn write_zeroes(&mut self, queue: usize, tag: Tag, offset: u64, len: u64) {
        self.queues[queue]
            .write_zeroes(offset, len, true, tag)
            .unwrap();
    }

    /// What a read has brought.
    pub(crate) fn data(&self, tag: Tag, len: usize) -> Vec<u8> {
        self.memory.get(tag * PIECE, len)
    }

    pub(crate) fn kick(&self, queue: usize) {
        let notifier = self.transport.get_submission_notifier(queue);
        notifier.notify().unwrap();
    }

    /// The requests that have ended since this was last asked, in the order of
    /// the ring, with how they ended.
    pub(crate) fn completions(&mut self, queue: usize) -> Vec<(Tag, i32)> {
        let ended = self.queues[queue].completions();
        ended.map(|done| (done.context, done.ret)).collect()
    }

    /// Waits until so many have ended.
    pub(crate) fn wait(&mut self, queue: usize, count: usize) -> Vec<(Tag, i32)> {
        let mut ended = Vec::new();
        eventually("completions", || {
            ended.extend(self.completions(queue));
            (ended.len() >= count).then_some(())
        });
        assert_eq!(ended.len(), count, "more completions than requests");
        ended
    }

    /// Waits until the requests of these tags have ended, all well.
    pub(crate) fn wait_ok(&mut self, queue: usize, tags: impl IntoIterator<Item = Tag>) {
        let expected: BTreeMap<Tag, i32> = tags.into_iter().map(|tag| (tag, OK)).collect();
        let ended = self.wait(queue, expected.len());
        assert_eq!(ended.into_iter().collect::<BTreeMap<_, _>>(), expected);
    }

    /// Writes, and waits for it.
    pub(crate) fn write_now(&mut self, queue: usize, tag: Tag, offset: u64, data: &[u8]) {
        self.write(queue, tag, offset, data);
        self.kick(queue);
        self.wait_ok(queue, [tag]);
    }

    /// Reads, and waits for it.
    pub(crate) fn read_now(&mut self, queue: usize, tag: Tag, offset: u64, len: usize) -> Vec<u8> {
        self.read(queue, tag, offset, len);
        self.kick(queue);
        self.wait_ok(queue, [tag]);
        self.data(tag, len)
    }

    /// Says whether an interrupt is wanted for what is completed next.
    pub(crate) fn want_interrupts(&mut self, queue: usize, wanted: bool) {
        self.queues[queue].set_used_notif_enabled(wanted);
    }

    /// The interrupts written since this was last asked. An eventfd counts
    /// every write, so none is lost between two questions.
    pub(crate) fn interrupts(&self, queue: usize) -> u64 {
        let call = &self.calls[queue];
        let mut fds = [PollFd::new(call.as_ref(), PollFlags::IN)];
        let at_once = Timespec::default();
        match rustix::event::poll(&mut fds, Some(&at_once)).unwrap() {
            0 => 0,
            _ => call.read().unwrap(),
        }
    }
}
