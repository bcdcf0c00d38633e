// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The ring under the suite that every front-end's queue must pass.

use irqstorm_core::request::Operation;
use irqstorm_testing::front_end::{self, Driven, Tag};

use super::*;

/// Descriptors of a request: header, data, status.
const CHAIN_LEN: u16 = 3;

struct Rig<'a> {
    bench: Bench<'a>,
    /// The used index as far as it was read.
    read: u16,
}

impl<'a> Rig<'a> {
    /// Without EVENT_IDX, a driver that does nothing wants every interrupt.
    fn new(memory: &'a GuestMemoryMmap) -> Rig<'a> {
        Rig {
            bench: Bench::with(memory, &options(), Features::EVENT_IDX, 0),
            read: 0,
        }
    }
}

/// Where a request's parts lie, by its head.
fn places(head: Tag) -> (u64, u64, u64) {
    let slot = u64::from(head / CHAIN_LEN);
    (HEADER + slot * 16, DATA + slot * 512, STATUS + slot)
}

impl Driven for Rig<'_> {
    type Queue = VirtioQueue;

    fn queue(&mut self) -> &mut VirtioQueue {
        &mut self.bench.queue
    }

    fn capacity(&self) -> u16 {
        RING_LEN / CHAIN_LEN
    }

    fn submit(&mut self, operation: Operation, block: u64, fill: u8) -> Tag {
        let next = self.bench.free;
        let head = if next + CHAIN_LEN > RING_LEN { 0 } else { next };
        let (header, data, status) = places(head);
        let (kind, flags) = match operation {
            Operation::Read => (IN, WRITE),
            _ => (OUT, 0),
        };
        let fields = [&kind.to_le_bytes()[..], &[0; 4], &block.to_le_bytes()[..]].concat();
        self.bench.write(header, &fields);
        self.bench.write(data, &[fill; 512]);
        self.bench.write(status, &[UNTOUCHED]);
        let chain = [(header, 16, 0), (data, 512, flags), (status, 1, WRITE)];
        assert_eq!(self.bench.submit(&chain), head);
        head
    }

    fn seen(&mut self) -> Vec<(Tag, bool)> {
        let mut seen = Vec::new();
        while self.read != self.bench.field(USED_IDX) {
            let (head, _) = self.bench.used(self.read);
            let head = Tag::try_from(head).unwrap();
            let (_, _, status) = places(head);
            seen.push((head, self.bench.bytes(status, 1) == [0]));
            self.read = self.read.wrapping_add(1);
        }
        seen
    }

    fn data(&self, tag: Tag) -> Vec<u8> {
        let (_, data, _) = places(tag);
        self.bench.bytes(data, 512)
    }

    fn signals(&mut self) -> u64 {
        signals(&self.bench.call)
    }
}

#[test]
fn the_ring_keeps_to_what_every_front_end_must() {
    let memory = memory();
    front_end::keeps_the_steps_apart(|| Rig::new(&memory));
    front_end::completes_each_once_in_the_order_it_is_told(|| Rig::new(&memory));
    front_end::moves_data_one_way(|| Rig::new(&memory));
    front_end::tells_failures(|| Rig::new(&memory));
    front_end::gives_up_without_a_trace(|| Rig::new(&memory));
    front_end::knows_what_a_look_has_found(|| Rig::new(&memory));
    front_end::lies_beside_the_truth(|| Rig::new(&memory));
}
