// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The guest's side: memory, an admin queue, I/O queues, interrupts.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use rustix::fs::MemfdFlags;
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};

use super::{Client, Mapped};

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// Bytes of the guest's memory, which begins at address 0.
const MEMORY: usize = 64 << 20;

/// Entries of the admin queues.
const ADMIN_SIZE: u16 = 32;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Registers.
const INTERRUPT_VECTORS: u32 = 2;
const CAP: u64 = 0x00;
const CC: u64 = 0x14;
const CSTS: u64 = 0x1c;
const AQA: u64 = 0x24;
const ASQ: u64 = 0x28;
const ACQ: u64 = 0x30;

/// CC of an enabled controller: entries of 64 and 16 bytes.
const ENABLED: u32 = 4 << 20 | 6 << 16 | 1;

/// The sixteen dwords of a command, and its opcode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Command(pub [u32; 16]);

impl Command {
    /// With an opcode and a namespace.
    pub fn new(opcode: u8, namespace: u32) -> Command {
        let mut command = Command::default();
        command.0[0] = opcode.into();
        command.0[1] = namespace;
        command
    }

    /// With a dword set.
    #[must_use]
    pub fn with(mut self, dword: usize, value: u32) -> Command {
        self.0[dword] = value;
        self
    }

    /// With two dwords set.
    #[must_use]
    pub fn with_long(self, dword: usize, value: u64) -> Command {
        self.with(dword, (value & 0xffff_ffff) as u32)
            .with(dword + 1, (value >> 32) as u32)
    }

    /// With its data at two PRP entries.
    #[must_use]
    pub fn at(self, prp1: u64, prp2: u64) -> Command {
        self.with_long(6, prp1).with_long(8, prp2)
    }

    /// A transfer of so many blocks.
    pub fn transfer(opcode: u8, block: u64, blocks: u32) -> Command {
        Command::new(opcode, 1)
            .with_long(10, block)
            .with(12, blocks - 1)
    }
}

/// A completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The command's id.
    pub id: u16,
    /// Status code type and status code.
    pub status: u16,
    /// Dword 0.
    pub result: u32,
    /// How far the controller is in the submission queue.
    pub sq_head: u16,
}

#[derive(Debug)]
struct Pair {
    id: u16,
    size: u16,
    submissions: u64,
    completions: u64,
    tail: u16,
    head: u16,
    phase: bool,
    next_command: u16,
}

/// A driver of one controller.
pub struct NvmeDriver {
    /// The VMM that it runs under.
    pub client: Client,
    /// The guest's memory, from address 0 on.
    pub memory: GuestMemoryMmap,
    pairs: Vec<Pair>,
    vectors: Vec<File>,
    next_page: usize,
    shadow: Option<Shadow>,
    /// What of the BAR is written as memory.
    pub mapped: Option<Mapped>,
    /// CAP.DSTRD.
    stride: u32,
    /// Doorbell registers of I/O queues that were written.
    pub rung: u64,
}

/// Where the doorbells of I/O queues are kept, and where event indices are
/// found.
#[derive(Clone, Copy, Debug)]
struct Shadow {
    doorbells: u64,
    event_indices: u64,
}

impl NvmeDriver {
    /// Connects a VMM, and enables the controller.
    pub fn connect(path: &Path) -> NvmeDriver {
        let mut driver = NvmeDriver::plug(Client::connect(path));
        driver.enable();
        driver
    }

    /// Maps memory and sets vectors up, as QEMU does before the guest runs.
    pub fn plug(mut client: Client) -> NvmeDriver {
        let fd = rustix::fs::memfd_create("guest", MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&fd, MEMORY as u64).unwrap();
        client.map(0, MEMORY as u64, 0, Some(fd.as_fd())).unwrap();
        assert_eq!(client.device_info(), Ok((9, 5)));
        let region = FileOffset::new(File::from(fd), 0);
        let memory =
            GuestMemoryMmap::from_ranges_with_files([(GuestAddress(0), MEMORY, Some(region))]);
        let vectors = (0..client.irq_count(INTERRUPT_VECTORS)).map(|vector| {
            let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
            let fd = eventfd(0, flags).unwrap();
            client.set_vector(vector, Some(fd.as_fd()));
            File::from(fd)
        });
        let vectors = vectors.collect();
        NvmeDriver {
            mapped: Mapped::of(&mut client),
            stride: client.register(CAP + 4) & 0xf,
            vectors,
            memory: memory.unwrap(),
            client,
            pairs: Vec::new(),
            next_page: 1,
            shadow: None,
            rung: 0,
        }
    }

    /// Guest memory of so many pages that nothing else uses, zeroed.
    pub fn pages(&mut self, count: usize) -> u64 {
        let at = (self.next_page * PAGE) as u64;
        self.next_page += count;
        assert!(self.next_page * PAGE <= MEMORY, "out of guest memory");
        self.put(at, &vec![0; count * PAGE]);
        at
    }

    /// Writes guest memory.
    pub fn put(&self, at: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(at)).unwrap();
    }

    /// Reads guest memory.
    pub fn get(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory
            .read_slice(&mut bytes, GuestAddress(at))
            .unwrap();
        bytes
    }

    fn pair(&mut self, id: u16, size: u16) -> Pair {
        let pages = |entry: usize| (usize::from(size) * entry).div_ceil(PAGE);
        Pair {
            id,
            size,
            submissions: self.pages(pages(64)),
            completions: self.pages(pages(16)),
            tail: 0,
            head: 0,
            phase: true,
            next_command: 0,
        }
    }

    /// Sets admin queues up and CC.EN, and waits for CSTS.RDY.
    pub fn enable(&mut self) {
        let admin = self.pair(0, ADMIN_SIZE);
        let last = u32::from(ADMIN_SIZE) - 1;
        self.client.set_register(AQA, last << 16 | last);
        for (at, base) in [(ASQ, admin.submissions), (ACQ, admin.completions)] {
            self.client.write(0, at, &base.to_le_bytes()).unwrap();
        }
        self.pairs = vec![admin];
        self.client.set_register(CC, ENABLED);
        assert_eq!(self.client.register(CSTS), 1);
    }

    /// Clears CC.EN: what was in flight is no more.
    pub fn disable(&mut self) {
        self.client.set_register(CC, ENABLED & !1);
        assert_eq!(self.client.register(CSTS) & 1, 0);
        self.pairs.clear();
        self.shadow = None;
    }

    /// Creates the next I/O queue pair, which interrupts through `vector`.
    pub fn create_pair(&mut self, size: u16, vector: u16) -> u16 {
        let id = u16::try_from(self.pairs.len()).unwrap();
        let pair = self.pair(id, size);
        let shape = u32::from(size - 1) << 16 | u32::from(id);
        let completions = Command::new(5, 0)
            .at(pair.completions, 0)
            .with(10, shape)
            .with(11, u32::from(vector) << 16 | 0b11);
        let submissions = Command::new(1, 0)
            .at(pair.submissions, 0)
            .with(10, shape)
            .with(11, u32::from(id) << 16 | 1);
        self.pairs.push(pair);
        for command in [completions, submissions] {
            assert_eq!(self.admin(command).status, 0);
        }
        id
    }

    /// Puts a command into a queue, and says what its id is.
    pub fn submit(&mut self, queue: u16, command: Command) -> u16 {
        let pair = &mut self.pairs[usize::from(queue)];
        let id = pair.next_command;
        pair.next_command = id.wrapping_add(1);
        let command = command.with(0, command.0[0] | u32::from(id) << 16);
        let bytes = command.0.map(u32::to_le_bytes).concat();
        let at = pair.submissions + u64::from(pair.tail) * 64;
        pair.tail = (pair.tail + 1) % pair.size;
        self.put(at, &bytes);
        id
    }

    /// Keeps the doorbells of I/O queues in memory from now on.
    pub fn keep_doorbells_in_memory(&mut self) {
        let shadow = Shadow {
            doorbells: self.pages(1),
            event_indices: self.pages(1),
        };
        for pair in self.pairs.iter().skip(1) {
            let at = shadow.doorbells + u64::from(pair.id) * 8;
            self.put(at, &u32::from(pair.tail).to_le_bytes());
            self.put(at + 4, &u32::from(pair.head).to_le_bytes());
        }
        let command = Command::new(0x7c, 0).at(shadow.doorbells, shadow.event_indices);
        assert_eq!(self.admin(command).status, 0);
        self.shadow = Some(shadow);
    }

    /// Rings the doorbell of what was put there.
    pub fn ring(&mut self, queue: u16) {
        let tail = self.pairs[usize::from(queue)].tail;
        self.ring_bell(u64::from(queue) * 2, tail);
    }

    /// Rings a doorbell, or lets it be where the shadow does.
    fn ring_bell(&mut self, bell: u64, value: u16) {
        fence(Ordering::SeqCst);
        if bell >= 2 {
            if !self.shadow_asks(bell * 4, value) {
                return;
            }
            self.rung += 1;
        }
        self.write_bell(bell, value.into());
    }

    /// Writes a doorbell as whoever runs the guest has it.
    pub fn write_bell(&mut self, bell: u64, value: u32) {
        let at = self.bell(bell);
        let mapped = self.mapped.as_ref();
        if !mapped.is_some_and(|mapped| mapped.write(at, value)) {
            self.client.post_write(at, value);
        }
    }

    /// Where a doorbell lies.
    pub fn bell(&self, bell: u64) -> u64 {
        0x1000 + bell * (4 << self.stride)
    }

    /// Writes a shadow doorbell; whether the register has to be written too.
    fn shadow_asks(&self, at: u64, value: u16) -> bool {
        let Some(shadow) = self.shadow else {
            return true;
        };
        let at = |page: u64| GuestAddress(page + at);
        let old: u32 = self
            .memory
            .load(at(shadow.doorbells), Ordering::Relaxed)
            .unwrap();
        let new = u32::from(value);
        self.memory
            .store(new, at(shadow.doorbells), Ordering::Release)
            .unwrap();
        fence(Ordering::SeqCst);
        let event: u32 = self
            .memory
            .load(at(shadow.event_indices), Ordering::Relaxed)
            .unwrap();
        let half = |value: u32| (value & 0xffff) as u16;
        half(new.wrapping_sub(event).wrapping_sub(1)) < half(new.wrapping_sub(old))
    }

    /// The completion that is visible next, if there is one. The doorbell is
    /// rung for it if `ring`.
    fn take(&mut self, queue: u16, ring: bool) -> Option<Ended> {
        let pair = &mut self.pairs[usize::from(queue)];
        let at = pair.completions + u64::from(pair.head) * 16;
        let status: u16 = self
            .memory
            .load(GuestAddress(at + 14), Ordering::Acquire)
            .unwrap();
        if (status & 1 != 0) != pair.phase {
            return None;
        }
        let mut bytes = [0; 16];
        self.memory
            .read_slice(&mut bytes, GuestAddress(at))
            .unwrap();
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!(half(10), pair.id, "the submission queue of a completion");
        pair.head += 1;
        if pair.head == pair.size {
            pair.head = 0;
            pair.phase = !pair.phase;
        }
        if ring {
            self.ring_head(queue);
        }
        Some(Ended {
            id: half(12),
            status: half(14) >> 1 & 0x7ff,
            result: u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            sq_head: half(8),
        })
    }

    /// The completions that are visible now.
    pub fn completions(&mut self, queue: u16) -> Vec<Ended> {
        std::iter::from_fn(|| self.take(queue, true)).collect()
    }

    /// The same, with the controller not told that they were read.
    pub fn peek_completions(&mut self, queue: u16) -> Vec<Ended> {
        std::iter::from_fn(|| self.take(queue, false)).collect()
    }

    /// Tells the controller how far completions were read.
    pub fn ring_head(&mut self, queue: u16) {
        let head = self.pairs[usize::from(queue)].head;
        self.ring_bell(u64::from(queue) * 2 + 1, head);
    }

    /// Waits until so many have become visible.
    pub fn wait(&mut self, queue: u16, count: usize) -> Vec<Ended> {
        let start = Instant::now();
        let mut ended = Vec::new();
        while ended.len() < count {
            ended.extend(self.completions(queue));
            assert!(start.elapsed() < PATIENCE, "waited in vain: {ended:?}");
            std::thread::yield_now();
        }
        assert_eq!(ended.len(), count, "more completions than commands");
        ended
    }

    /// Has one command carried out.
    pub fn run(&mut self, queue: u16, command: Command) -> Ended {
        let id = self.submit(queue, command);
        self.ring(queue);
        let ended = self.wait(queue, 1)[0];
        assert_eq!(ended.id, id);
        ended
    }

    /// Has one admin command carried out.
    pub fn admin(&mut self, command: Command) -> Ended {
        self.run(0, command)
    }

    /// Writes `data` from a block on, and says how that ended.
    pub fn write(&mut self, queue: u16, block: u64, data: &[u8]) -> u16 {
        let (at, prp2) = self.buffer(data.len());
        self.put(at, data);
        let blocks = u32::try_from(data.len() / 512).unwrap();
        let command = Command::transfer(1, block, blocks).at(at, prp2);
        self.run(queue, command).status
    }

    /// Reads so many bytes from a block on.
    pub fn read(&mut self, queue: u16, block: u64, len: usize) -> Result<Vec<u8>, u16> {
        let (at, prp2) = self.buffer(len);
        let blocks = u32::try_from(len / 512).unwrap();
        let command = Command::transfer(2, block, blocks).at(at, prp2);
        match self.run(queue, command).status {
            0 => Ok(self.get(at, len)),
            status => Err(status),
        }
    }

    /// Pages for data, and the second PRP entry that they need.
    pub fn buffer(&mut self, len: usize) -> (u64, u64) {
        let count = len.div_ceil(PAGE).max(1);
        let at = self.pages(count);
        let page = |index: usize| at + (index * PAGE) as u64;
        let rest: Vec<u8> = (1..count).flat_map(|n| page(n).to_le_bytes()).collect();
        if count <= 2 {
            return (at, page(1));
        }
        let list = self.pages(1);
        assert!(rest.len() <= PAGE);
        self.put(list, &rest);
        (at, list)
    }

    /// Interrupts of a vector since this was last asked.
    pub fn interrupts(&self, vector: u16) -> u64 {
        let mut bytes = [0; 8];
        match rustix::io::read(&self.vectors[usize::from(vector)], &mut bytes) {
            Ok(_) => u64::from_ne_bytes(bytes),
            Err(_) => 0,
        }
    }

    /// Waits for an interrupt of a vector, and says how many there were.
    pub fn wait_for_interrupt(&self, vector: u16) -> u64 {
        let mut fds = [PollFd::new(
            &self.vectors[usize::from(vector)],
            PollFlags::IN,
        )];
        let patience = Timespec {
            tv_sec: PATIENCE.as_secs().cast_signed(),
            tv_nsec: 0,
        };
        let ready = rustix::event::poll(&mut fds, Some(&patience)).unwrap();
        assert_eq!(ready, 1, "waited in vain for an interrupt");
        self.interrupts(vector)
    }
}
