// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A vhost-user front-end with a driver's side of its rings, made by hand so
//! that it can also do what no driver does.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::MemfdFlags;
use vhost::VhostBackend;
use vhost::vhost_user::message::{
    VhostUserConfigFlags, VhostUserInflight, VhostUserProtocolFeatures, VhostUserVirtioFeatures,
};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{
    Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion,
};
use vmm_sys_util::eventfd::EventFd;

/// Bytes of guest memory.
pub(crate) const MEMORY_LEN: usize = 4 << 20;

/// Elements of every ring.
pub(crate) const RING_LEN: u16 = 16;

/// Where ring 0 lies, and how far apart rings are.
const RINGS: u64 = 0x10000;
const RING_STRIDE: u64 = 0x1000;
const AVAIL: u64 = 0x400;
const USED: u64 = 0x800;

/// Where headers and status bytes lie, behind 256 rings.
const REQUESTS: u64 = 0x120000;

/// Seconds after which a test has failed: no test passes by this.
const PATIENCE: i64 = 20;

/// One descriptor as a test writes it.
#[derive(Clone, Copy)]
pub(crate) struct Descriptor {
    pub(crate) at: u64,
    pub(crate) len: u32,
    pub(crate) writable: bool,
}

/// One used element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) head: u32,
    pub(crate) len: u32,
}

/// The 16 bytes that every request starts with.
pub(crate) fn header(kind: u32, sector: u64) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&sector.to_le_bytes());
    bytes
}

struct Ring {
    kick: EventFd,
    call: EventFd,
    avail: u16,
    used: u16,
}

pub(crate) struct Driver {
    pub(crate) frontend: Frontend,
    pub(crate) memory: GuestMemoryMmap,
    pub(crate) features: u64,
    rings: Vec<Ring>,
    /// Where the device keeps what it has in flight, if it was asked to.
    inflight: Option<(VhostUserInflight, File)>,
}

impl Driver {
    /// Connects and negotiates everything offered except `withheld` bits.
    pub(crate) fn connect(socket: &std::path::Path, rings: u16, withheld: u64) -> Driver {
        let stream = UnixStream::connect(socket).unwrap();
        Driver::over(stream, rings, withheld)
    }

    /// The same over a socket that is connected already.
    pub(crate) fn over(stream: UnixStream, rings: u16, withheld: u64) -> Driver {
        let mut driver = Driver::negotiated(stream, rings, withheld);
        driver.start_all();
        driver
    }

    /// One whose device keeps what it has in flight where it outlives it.
    pub(crate) fn lasting(socket: &std::path::Path, rings: u16) -> Driver {
        let stream = UnixStream::connect(socket).unwrap();
        let mut driver = Driver::negotiated(stream, rings, 0);
        driver.ask_for_inflight();
        driver.hand_over_inflight();
        driver.start_all();
        driver
    }

    /// Has a new region made, for when the rings are started again.
    pub(crate) fn ask_for_inflight(&mut self) {
        let rings = u16::try_from(self.rings.len()).unwrap();
        let asked = VhostUserInflight::new(0, 0, rings, RING_LEN);
        self.inflight = Some(self.frontend.get_inflight_fd(&asked).unwrap());
    }

    /// Connects again with the same memory and rings, after the device or the
    /// connection has gone. Like QEMU it has each ring go on where its used
    /// index is.
    pub(crate) fn reconnect(&mut self, socket: &std::path::Path) {
        let stream = UnixStream::connect(socket).unwrap();
        let rings = u16::try_from(self.rings.len()).unwrap();
        let (frontend, features) = negotiate(stream, rings, 0, &self.memory);
        self.frontend = frontend;
        assert_eq!(self.features, features);
        self.hand_over_inflight();
        self.start_all();
    }

    /// Ends the connection, and keeps everything else.
    pub(crate) fn disconnect(&mut self) {
        let (nowhere, _) = UnixStream::pair().unwrap();
        self.frontend = Frontend::from_stream(nowhere, 1);
    }

    fn negotiated(stream: UnixStream, rings: u16, withheld: u64) -> Driver {
        let memory = shared_memory();
        let (frontend, features) = negotiate(stream, rings, withheld, &memory);
        let ring = || Ring {
            kick: EventFd::new(0).unwrap(),
            call: EventFd::new(0).unwrap(),
            avail: 0,
            used: 0,
        };
        Driver {
            frontend,
            memory,
            features,
            rings: (0..rings).map(|_| ring()).collect(),
            inflight: None,
        }
    }

    fn hand_over_inflight(&mut self) {
        if let Some((shape, file)) = self.inflight.take() {
            self.hand_over(&shape, &file);
            self.inflight = Some((shape, file));
        }
    }

    /// Hands a region over.
    pub(crate) fn hand_over(&mut self, shape: &VhostUserInflight, file: &File) {
        self.frontend
            .set_inflight_fd(shape, file.as_raw_fd())
            .unwrap();
    }

    fn start_all(&mut self) {
        let rings = u16::try_from(self.rings.len()).unwrap();
        (0..rings).for_each(|index| self.start_from(index, self.used_index(index)));
        self.sync();
    }

    /// Sets a ring up where the driver is in it, and enables it.
    pub(crate) fn start(&mut self, index: u16) {
        self.start_from(index, self.rings[usize::from(index)].used);
    }

    fn start_from(&mut self, index: u16, base: u16) {
        let at = |offset| self.host_address(RINGS + u64::from(index) * RING_STRIDE + offset);
        let config = VringConfigData {
            queue_max_size: RING_LEN,
            queue_size: RING_LEN,
            flags: 0,
            desc_table_addr: at(0),
            used_ring_addr: at(USED),
            avail_ring_addr: at(AVAIL),
            log_addr: None,
        };
        let queue = usize::from(index);
        let ring = &self.rings[queue];
        self.frontend.set_vring_num(queue, RING_LEN).unwrap();
        self.frontend.set_vring_base(queue, base).unwrap();
        self.frontend.set_vring_addr(queue, &config).unwrap();
        self.frontend.set_vring_call(queue, &ring.call).unwrap();
        self.frontend.set_vring_kick(queue, &ring.kick).unwrap();
        if self.features & VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits() != 0 {
            self.frontend.set_vring_enable(queue, true).unwrap();
        }
    }

    /// Gives the ring another call fd, as QEMU does at every MSI-X unmask.
    pub(crate) fn replace_call(&mut self, index: u16) -> EventFd {
        let call = EventFd::new(0).unwrap();
        let queue = usize::from(index);
        self.frontend.set_vring_call(queue, &call).unwrap();
        self.sync();
        std::mem::replace(&mut self.rings[queue].call, call)
    }

    /// Gives the ring an fd to tell errors through.
    pub(crate) fn watch_errors(&mut self, index: u16) -> EventFd {
        let error = EventFd::new(0).unwrap();
        self.frontend
            .set_vring_err(usize::from(index), &error)
            .unwrap();
        self.sync();
        error
    }

    /// Enables or disables the ring, and waits until that is done.
    pub(crate) fn enable(&mut self, index: u16, on: bool) {
        self.frontend
            .set_vring_enable(usize::from(index), on)
            .unwrap();
        self.sync();
    }

    /// Asks something: every message before it has been handled then.
    pub(crate) fn sync(&mut self) {
        self.frontend.get_features().unwrap();
    }

    /// Stops the ring and says where the device was in it.
    pub(crate) fn stop(&mut self, index: u16) -> u32 {
        self.frontend.get_vring_base(usize::from(index)).unwrap()
    }

    fn host_address(&self, guest: u64) -> u64 {
        let region = self.memory.find_region(GuestAddress(guest)).unwrap();
        let info = VhostUserMemoryRegionInfo::from_guest_region(region).unwrap();
        info.userspace_addr + (guest - region.start_addr().0)
    }

    fn ring(&self, index: u16, offset: u64) -> GuestAddress {
        GuestAddress(RINGS + u64::from(index) * RING_STRIDE + offset)
    }

    /// Writes a chain from descriptor `head` on and makes it available.
    pub(crate) fn submit(&mut self, index: u16, head: u16, chain: &[Descriptor]) {
        self.write_chain(index, head, chain);
        self.make_available(index, head);
    }

    /// Makes descriptor `to` the next after `from`.
    pub(crate) fn link(&mut self, index: u16, from: u16, to: u16) {
        let flags = self.ring(index, u64::from(from) * 16 + 12);
        let was: u16 = self.memory.read_obj(flags).unwrap();
        self.memory.write_obj(was | 1, flags).unwrap();
        let next = self.ring(index, u64::from(from) * 16 + 14);
        self.memory.write_obj(to, next).unwrap();
    }

    /// Writes a chain from descriptor `head` on.
    pub(crate) fn write_chain(&mut self, index: u16, head: u16, chain: &[Descriptor]) {
        for (number, descriptor) in (head..).zip(chain) {
            let last = usize::from(number - head) + 1 == chain.len();
            let flags = u16::from(!last) | u16::from(descriptor.writable) << 1;
            let mut bytes = descriptor.at.to_le_bytes().to_vec();
            bytes.extend_from_slice(&descriptor.len.to_le_bytes());
            bytes.extend_from_slice(&flags.to_le_bytes());
            bytes.extend_from_slice(&(number + 1).to_le_bytes());
            let at = self.ring(index, u64::from(number) * 16);
            self.memory.write_slice(&bytes, at).unwrap();
        }
    }

    /// Makes a head available, whatever is behind it.
    pub(crate) fn make_available(&mut self, index: u16, head: u16) {
        let next = self.rings[usize::from(index)].avail;
        let slot = u64::from(next % RING_LEN);
        let element = self.ring(index, AVAIL + 4 + slot * 2);
        self.memory.write_obj(head.to_le(), element).unwrap();
        self.set_avail(index, next.wrapping_add(1));
    }

    /// Sets the available index, to anything.
    pub(crate) fn set_avail(&mut self, index: u16, next: u16) {
        self.rings[usize::from(index)].avail = next;
        let idx = self.ring(index, AVAIL + 2);
        self.memory
            .store(next.to_le(), idx, Ordering::Release)
            .unwrap();
    }

    pub(crate) fn kick(&self, index: u16) {
        self.rings[usize::from(index)].kick.write(1).unwrap();
    }

    /// The used index that the device shows.
    pub(crate) fn used_index(&self, index: u16) -> u16 {
        let idx = self.ring(index, USED + 2);
        u16::from_le(self.memory.load(idx, Ordering::Acquire).unwrap())
    }

    /// The next used element, asked for an interrupt and waited for.
    pub(crate) fn next_used(&mut self, index: u16) -> Used {
        loop {
            match self.take_used(index) {
                Some(used) => return used,
                None => self.wait_for_call(index),
            }
        }
    }

    /// The next used element; if there is none, an interrupt is asked for.
    pub(crate) fn take_used(&mut self, index: u16) -> Option<Used> {
        let seen = self.rings[usize::from(index)].used;
        let used_event = self.ring(index, AVAIL + 4 + u64::from(RING_LEN) * 2);
        self.memory
            .store(seen.to_le(), used_event, Ordering::Release)
            .unwrap();
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.used_index(index) == seen {
            return None;
        }
        self.rings[usize::from(index)].used = seen.wrapping_add(1);
        let element = self.ring(index, USED + 4 + u64::from(seen % RING_LEN) * 8);
        let value: u64 = self.memory.read_obj(element).unwrap();
        let [h0, h1, h2, h3, l0, l1, l2, l3] = value.to_ne_bytes();
        Some(Used {
            head: u32::from_le_bytes([h0, h1, h2, h3]),
            len: u32::from_le_bytes([l0, l1, l2, l3]),
        })
    }

    /// Waits for an interrupt and takes it.
    pub(crate) fn wait_for_call(&self, index: u16) {
        let call = &self.rings[usize::from(index)].call;
        wait_readable(call);
        call.read().unwrap();
    }

    /// Waits for an interrupt of any ring and takes it.
    #[allow(dead_code, reason = "for those with more rings than one")]
    pub(crate) fn wait_for_any_call(&self) {
        let call = |ring: &Ring| ring.call.as_raw_fd();
        // SAFETY: the files outlive the borrows.
        let borrow = |fd| unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        let mut fds: Vec<PollFd> = self
            .rings
            .iter()
            .map(|ring| PollFd::from_borrowed_fd(borrow(call(ring)), PollFlags::IN))
            .collect();
        let patience = Timespec {
            tv_sec: PATIENCE,
            tv_nsec: 0,
        };
        let ready = rustix::event::poll(&mut fds, Some(&patience)).unwrap();
        assert_ne!(ready, 0, "no interrupt came");
        for (ring, fd) in self.rings.iter().zip(&fds) {
            if !fd.revents().is_empty() {
                ring.call.read().unwrap();
            }
        }
    }

    /// Header, data and status at places of their own; the data's place.
    pub(crate) fn request(
        &mut self,
        index: u16,
        head: u16,
        header: &[u8],
        data: Option<Descriptor>,
    ) -> GuestAddress {
        let base = REQUESTS + u64::from(index % 8) * 0x4000 + u64::from(head) * 0x400;
        self.memory.write_slice(header, GuestAddress(base)).unwrap();
        let status = GuestAddress(base + 0x20);
        self.memory.write_obj(0xffu8, status).unwrap();
        let mut chain = vec![Descriptor {
            at: base,
            len: 16,
            writable: false,
        }];
        chain.extend(data);
        chain.push(Descriptor {
            at: status.0,
            len: 1,
            writable: true,
        });
        self.submit(index, head, &chain);
        status
    }

    pub(crate) fn status(&self, at: GuestAddress) -> u8 {
        self.memory.read_obj(at).unwrap()
    }

    pub(crate) fn config(&mut self, offset: u32, len: u32) -> Option<Vec<u8>> {
        let zeroes = vec![0; len as usize];
        let flags = VhostUserConfigFlags::empty();
        self.frontend
            .get_config(offset, len, flags, &zeroes)
            .ok()
            .map(|(_, bytes)| bytes)
    }

    pub(crate) fn set_config(&mut self, offset: u32, bytes: &[u8]) {
        self.frontend
            .set_config(offset, VhostUserConfigFlags::WRITABLE, bytes)
            .unwrap();
        self.sync();
    }
}

/// Everything up to the rings; the features agreed.
fn negotiate(
    stream: UnixStream,
    rings: u16,
    withheld: u64,
    memory: &GuestMemoryMmap,
) -> (Frontend, u64) {
    let mut frontend = Frontend::from_stream(stream, u64::from(rings));
    frontend.set_owner().unwrap();
    let offered = frontend.get_features().unwrap();
    let protocol = frontend.get_protocol_features().unwrap()
        & (VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::INFLIGHT_SHMFD
            | VhostUserProtocolFeatures::BACKEND_REQ);
    frontend.set_protocol_features(protocol).unwrap();
    assert!(frontend.get_queue_num().unwrap() >= u64::from(rings));
    let features = offered & !withheld;
    frontend.set_features(features).unwrap();
    let regions: Vec<_> = memory
        .iter()
        .map(|region| VhostUserMemoryRegionInfo::from_guest_region(region).unwrap())
        .collect();
    frontend.set_mem_table(&regions).unwrap();
    (frontend, features)
}

/// Waits until `fd` is signalled.
pub(crate) fn wait_readable(fd: &impl AsRawFd) {
    // SAFETY: the file outlives the borrow.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd.as_raw_fd()) };
    let patience = Timespec {
        tv_sec: PATIENCE,
        tv_nsec: 0,
    };
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let ready = rustix::event::poll(&mut fds, Some(&patience)).unwrap();
    assert_eq!(ready, 1, "nothing came");
}

/// Two regions with a hole between them.
fn shared_memory() -> GuestMemoryMmap {
    let half = MEMORY_LEN / 2;
    let file: OwnedFd = rustix::fs::memfd_create("guest", MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(file.as_fd(), MEMORY_LEN as u64).unwrap();
    let region = |offset: usize| {
        let file = File::from(file.try_clone().unwrap());
        Some(FileOffset::new(file, offset as u64))
    };
    GuestMemoryMmap::from_ranges_with_files([
        (GuestAddress(0), half, region(0)),
        (GuestAddress(1 << 32), half, region(half)),
    ])
    .unwrap()
}
