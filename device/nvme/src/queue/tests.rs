// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A submission queue and its completion queue against a driver's side made by
//! hand.

use std::fs::File;

use irqstorm_core::request::{Request, Sector};
use irqstorm_core::store::Geometry;
use irqstorm_testing::front_end::{self, Driven, Tag};
use rustix::event::{EventfdFlags, eventfd};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

use super::*;
use crate::bar::Layout;
use crate::coalescing::Coalescing;
use crate::completion_queue::CompletionQueueSetup;
use crate::doorbell::Doorbells;
use crate::interrupts::Interrupts;
use crate::namespaces::Namespaces;
use crate::options::DoorbellMode;
use crate::parse::opcode;
use crate::shadow::Shadow;

mod random;

/// Entries of either queue.
const SIZE: u16 = 8;

/// Where they are, and where each command's data page.
const SUBMISSIONS: u64 = 0x1000;
const COMPLETIONS: u64 = 0x2000;
const DATA: u64 = 0x4000;

const SECTORS: u64 = 2048;

/// Memory, with a hole in it.
const MEMORY: [(u64, usize); 2] = [(0, 0x2_0000), (0x2_1000, 0x1000)];

struct Rig {
    memory: GuestMemoryMmap,
    queue: NvmeQueue,
    completions: CompletionQueue,
    line: File,
    tail: Doorbell,
    shadow: Shadow,
    doorbells: Doorbells,
    coalescing: Coalescing,
    next: u16,
    head: u16,
    phase: bool,
}

impl Rig {
    fn new() -> Rig {
        Rig::of(DoorbellMode::Shadow, terms(1))
    }

    fn of(mode: DoorbellMode, terms: Terms) -> Rig {
        let regions = MEMORY.map(|(start, len)| (GuestAddress(start), len));
        let memory = GuestMemoryMmap::from_ranges(&regions).unwrap();
        let interrupts = Interrupts::new(2);
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
        interrupts.set_vector(1, Some(File::from(fd.try_clone().unwrap())));
        let coalescing = Coalescing::new(2);
        let doorbells = Doorbells::new(mode, Layout::of(mode)).unwrap();
        let shadow = doorbells.shadow().cloned().unwrap_or(Shadow::none());
        let completions = CompletionQueue::new(CompletionQueueSetup {
            base: GuestAddress(COMPLETIONS),
            size: SIZE,
            vector: Some(1),
            interrupts,
            coalescing: coalescing.clone(),
            head: doorbells.head(1, SIZE),
        });
        let tail = doorbells.tail(1, SIZE);
        let queue = NvmeQueue::new(SubmissionQueueSetup {
            id: 1,
            base: GuestAddress(SUBMISSIONS),
            size: SIZE,
            tail: tail.clone(),
            completions: completions.clone(),
            memory: GuestMemoryAtomic::new(memory.clone()),
            terms,
            activity: Arc::default(),
            fatal: Arc::default(),
        });
        Rig {
            memory,
            queue,
            completions,
            line: File::from(fd),
            tail,
            shadow,
            doorbells,
            coalescing,
            next: 0,
            head: 0,
            phase: true,
        }
    }

    /// Puts a command's bytes into the queue.
    fn put(&mut self, command: [u8; SQE_LEN]) {
        let at = SUBMISSIONS + u64::from(self.next) * SQE_LEN as u64;
        self.memory.write_slice(&command, GuestAddress(at)).unwrap();
        self.next = (self.next + 1) % SIZE;
        self.tail.ring(self.next);
    }

    fn half(&self, at: u64) -> u16 {
        self.memory.read_obj(GuestAddress(at)).unwrap()
    }
}

/// A disk cut into so many namespaces.
fn terms(namespaces: u16) -> Terms {
    Terms {
        namespaces: Namespaces::of(
            Geometry {
                sectors: SECTORS,
                block_size: 512,
                read_only: false,
            },
            namespaces,
        ),
        page: 4096,
    }
}

fn transfer(opcode: u8, id: u16, block: u64, prp1: u64) -> [u8; SQE_LEN] {
    let mut bytes = [0; SQE_LEN];
    bytes[0] = opcode;
    bytes[2..4].copy_from_slice(&id.to_le_bytes());
    bytes[4] = 1;
    bytes[24..32].copy_from_slice(&prp1.to_le_bytes());
    bytes[40..48].copy_from_slice(&block.to_le_bytes());
    bytes
}

impl Driven for Rig {
    type Queue = NvmeQueue;

    fn queue(&mut self) -> &mut NvmeQueue {
        &mut self.queue
    }

    fn capacity(&self) -> u16 {
        SIZE - 1
    }

    fn submit(&mut self, operation: Operation, block: u64, fill: u8) -> Tag {
        let id = self.next;
        let at = DATA + u64::from(id) * 512;
        self.memory
            .write_slice(&[fill; 512], GuestAddress(at))
            .unwrap();
        let opcode = match operation {
            Operation::Read => opcode::READ,
            _ => opcode::WRITE,
        };
        self.put(transfer(opcode, id, block, at));
        id
    }

    fn seen(&mut self) -> Vec<(Tag, bool)> {
        let mut seen = Vec::new();
        loop {
            let at = COMPLETIONS + u64::from(self.head) * 16;
            let status = self.half(at + 14);
            if (status & 1 != 0) != self.phase {
                break;
            }
            seen.push((self.half(at + 12), status >> 1 == 0));
            self.head = (self.head + 1) % SIZE;
            self.phase ^= self.head == 0;
        }
        self.completions.ring_doorbell(self.head);
        seen
    }

    fn data(&self, tag: Tag) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        let at = GuestAddress(DATA + u64::from(tag) * 512);
        self.memory.read_slice(&mut bytes, at).unwrap();
        bytes
    }

    fn signals(&mut self) -> u64 {
        let mut bytes = [0; 8];
        match rustix::io::read(&self.line, &mut bytes) {
            Ok(_) => u64::from_ne_bytes(bytes),
            Err(_) => 0,
        }
    }
}

#[test]
fn the_queue_keeps_to_what_every_front_end_must() {
    front_end::keeps_the_steps_apart(Rig::new);
    front_end::completes_each_once_in_the_order_it_is_told(Rig::new);
    front_end::moves_data_one_way(Rig::new);
    front_end::tells_failures(Rig::new);
    front_end::gives_up_without_a_trace(Rig::new);
    front_end::lies_beside_the_truth(Rig::new);
}

#[test]
fn a_lie_without_room_is_left_out_and_the_truth_told() {
    let mut rig = Rig::new();
    let mut tags = Vec::new();
    // Three twice, one in the last place, one that waits.
    for _ in 0..5 {
        tags.push(rig.submit(Operation::Write, 0, 1));
        let token = rig.queue.next().unwrap().unwrap().token;
        let lie = Some(Lie::DuplicateId);
        rig.queue.complete(token, Outcome::ok(0), lie).unwrap();
    }
    rig.queue.publish().unwrap();
    let first: Vec<Tag> = rig.seen().into_iter().map(|(tag, _)| tag).collect();
    // What waited comes with the room.
    assert!(matches!(rig.queue.next(), Ok(None)));
    let rest = rig.seen().into_iter().map(|(tag, _)| tag);
    let mut all: Vec<Tag> = first.into_iter().chain(rest).collect();
    assert_eq!(all.len(), 8, "three were told twice");
    all.dedup();
    assert_eq!(all, tags);
}

#[test]
fn requests_carry_force_unit_access_and_deallocation() {
    let mut rig = Rig::new();
    let mut command = transfer(opcode::WRITE, 0, 0, DATA);
    command[51] = 0x40;
    rig.put(command);
    let request = rig.queue.next().unwrap().unwrap().request;
    assert!(request.is_ok_and(|request| request.durable));
    command[0] = opcode::WRITE_ZEROES;
    command[51] = 0x02;
    rig.put(command);
    let request = rig.queue.next().unwrap().unwrap().request.unwrap();
    let expected = Request {
        unmap: true,
        ..Request::transfer(Operation::WriteZeroes, Sector(0), 1)
    };
    assert_eq!(request, expected);
}

#[test]
fn an_interrupt_waits_for_more_on_its_vector_and_no_longer_than_its_time() {
    let mut rig = Rig::new();
    // Two completions, or 100 us.
    rig.coalescing.set(1 << 8 | 1);
    let at = Nanos::from_micros;
    show(&mut rig);
    assert_eq!(rig.queue.coalesces_until(at(5)), Some(at(105)));
    show(&mut rig);
    assert_eq!(rig.queue.coalesces_until(at(50)), None, "these are two");
    assert_eq!(rig.queue.wants_interrupt(), Ok(true));
    show(&mut rig);
    assert_eq!(rig.queue.coalesces_until(at(60)), Some(at(160)));
    assert_eq!(
        rig.queue.coalesces_until(at(160)),
        None,
        "its time has come"
    );
    assert_eq!(rig.queue.wants_interrupt(), Ok(true));
    show(&mut rig);
    // Another queue's completion on the vector.
    rig.coalescing.wait_until(1, 1, at(200));
    assert_eq!(rig.queue.coalesces_until(at(201)), None);
}

/// Takes a write and shows that it is done.
fn show(rig: &mut Rig) {
    rig.submit(Operation::Write, 0, 1);
    let token = rig.queue.next().unwrap().unwrap().token;
    rig.queue.complete(token, Outcome::ok(0), None).unwrap();
    rig.queue.publish().unwrap();
}

#[test]
fn a_driver_has_yet_to_read_from_an_interrupt_until_its_head_is_past_what_that_told_of() {
    let mut rig = Rig::of(DoorbellMode::Mapped, terms(1));
    // More than twice around the queue.
    for round in 0..9 {
        show(&mut rig);
        assert!(!rig.queue.is_yet_to_read(), "{round}: nobody was told");
        rig.queue.signal();
        show(&mut rig);
        assert!(rig.queue.is_yet_to_read() && rig.completions.is_awaited());
        assert_eq!(rig.seen().len(), 2);
        assert!(!rig.queue.is_yet_to_read() && !rig.completions.is_awaited());
    }
    show(&mut rig);
    rig.queue.signal();
    show(&mut rig);
    rig.head = (rig.head + 1) % SIZE;
    rig.completions.ring_doorbell(rig.head);
    assert!(!rig.queue.is_yet_to_read(), "of the second it was not told");
    assert_eq!(rig.queue.wants_interrupt(), Ok(true));
}

#[test]
fn a_driver_has_read_everything_once_its_head_is_at_the_last_entry_shown() {
    let mut rig = Rig::new();
    for _ in 0..9 {
        show(&mut rig);
        assert!(!rig.queue.has_been_read());
        assert_eq!(rig.seen().len(), 1);
        assert!(rig.queue.has_been_read());
        assert_eq!(rig.queue.wants_interrupt(), Ok(true), "it may all the same");
    }
}

#[test]
fn a_driver_with_shadow_doorbells_says_that_it_has_read_unless_someone_looks() {
    let mut rig = Rig::new();
    rig.shadow
        .configure(GuestAddress(SHADOW), GuestAddress(EVENTS));
    let event = |rig: &Rig| -> u32 { rig.memory.read_obj(GuestAddress(EVENTS + 12)).unwrap() };
    let write = |rig: &Rig, at: u64, value: u32| {
        rig.memory.write_obj(value, GuestAddress(at)).unwrap();
    };
    for (tail, polled) in [(1, true), (2, false)] {
        rig.queue.set_polled(polled);
        rig.submit(Operation::Write, 0, 1);
        write(&rig, SHADOW + 8, tail);
        let token = rig.queue.next().unwrap().unwrap().token;
        rig.queue.complete(token, Outcome::ok(0), None).unwrap();
        rig.queue.publish().unwrap();
        rig.queue.signal();
        write(&rig, EVENTS + 12, 77);
        assert!(rig.queue.is_yet_to_read());
        assert_eq!(event(&rig), if polled { 77 } else { 1 });
        write(&rig, SHADOW + 12, tail);
        assert!(!rig.queue.is_yet_to_read());
    }
}

/// Where shadow doorbells and event indices are: for tail 1, the third dword,
/// and for head 1 the fourth.
const SHADOW: u64 = 0x1_0000;
const EVENTS: u64 = 0x1_1000;

#[test]
fn a_driver_with_shadow_doorbells_is_asked_to_kick_only_before_the_device_sleeps() {
    let mut rig = Rig::new();
    rig.shadow
        .configure(GuestAddress(SHADOW), GuestAddress(EVENTS));
    let write = |rig: &Rig, at: u64, value: u32| {
        rig.memory.write_obj(value, GuestAddress(at)).unwrap();
    };
    let event = |rig: &Rig| -> u32 { rig.memory.read_obj(GuestAddress(EVENTS + 8)).unwrap() };
    rig.queue.set_polled(true);
    for tail in 1..=3 {
        rig.submit(Operation::Write, 0, 1);
        write(&rig, SHADOW + 8, tail);
        assert!(rig.queue.next().unwrap().is_some());
        assert!(rig.queue.next().unwrap().is_none());
    }
    assert_eq!(event(&rig), 0, "it is looked at anyway");
    rig.queue.set_polled(false);
    assert!(rig.queue.next().unwrap().is_none());
    assert_eq!(event(&rig), 3, "the next one is to kick");
    rig.submit(Operation::Write, 0, 1);
    assert!(
        rig.queue.next().unwrap().is_none(),
        "the register is a kick"
    );
    write(&rig, SHADOW + 8, 4);
    assert!(rig.queue.next().unwrap().is_some());
}
