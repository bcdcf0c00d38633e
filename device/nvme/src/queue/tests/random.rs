// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Commands with anything in them, and doorbells with any value: whatever they
//! say, a command is carried out as it is described or refused, and completed
//! once; only bytes that it describes are written; and a doorbell counts if its
//! queue has the value.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::data::reference;

/// Bytes of low memory that a snapshot has, and where the rest begins.
const LOW: usize = MEMORY[0].1;
const HIGH: (u64, usize) = MEMORY[1];

/// Where lists are looked for: pages that commands point to, and few others.
const LISTS: u64 = 0x6000;

const NAMESPACES: u16 = 2;

/// All of memory, by address.
fn snapshot(memory: &GuestMemoryMmap) -> Vec<(u64, u8)> {
    let mut bytes = vec![0; LOW + HIGH.1];
    let (low, high) = bytes.split_at_mut(LOW);
    memory.read_slice(low, GuestAddress(0)).unwrap();
    memory.read_slice(high, GuestAddress(HIGH.0)).unwrap();
    let addresses = (0..LOW as u64).chain(HIGH.0..);
    addresses.zip(bytes).collect()
}

/// Addresses that are mostly somewhere interesting, and mostly even.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => (0x4u64..0x20).prop_map(|page| page * 0x1000),
        3 => (0x4000..0x2_0000u64).prop_map(|at| at & !3),
        2 => (0..64u64).prop_map(|entry| LISTS + entry * 8),
        1 => (LISTS + 0xfc0..LISTS + 0x1000).prop_map(|at| at & !7),
        1 => 0x1_f000..0x2_3000u64,
        1 => any::<u64>(),
    ]
}

/// Entries of a PRP list, or a descriptor.
fn list() -> impl Strategy<Value = Vec<u8>> {
    let entry = address().prop_map(|entry| entry.to_le_bytes().to_vec());
    let kind = prop::sample::select(vec![0u8, 0, 0, 0, 0x20, 0x30, 0x10, 0x41]);
    let len = prop_oneof![
        4 => (0..4u32).prop_map(|n| n * 512),
        1 => (0..8u32).prop_map(|n| n * 16),
        1 => any::<u32>(),
    ];
    let descriptor = (address(), len, kind).prop_map(descriptor);
    let one = prop_oneof![2 => entry, 1 => descriptor];
    vec(one, 0..40).prop_map(|entries| entries.concat())
}

fn descriptor((address, len, kind): (u64, u32, u8)) -> Vec<u8> {
    let mut bytes = address.to_le_bytes().to_vec();
    bytes.extend(len.to_le_bytes());
    bytes.extend([0, 0, 0, kind]);
    bytes
}

/// A command that is nearly right.
fn command() -> impl Strategy<Value = [u8; SQE_LEN]> {
    let opcode = prop::sample::select(vec![0u8, 1, 1, 2, 2, 2, 5, 8, 9, 12, 0x7f]);
    let flags = prop_oneof![
        6 => Just(0u8),
        4 => Just(0x40),
        1 => Just(0x80),
        1 => any::<u8>(),
    ];
    let namespace = prop_oneof![8 => 1..=2u32, 1 => 0..4u32, 1 => Just(u32::MAX)];
    let blocks = prop_oneof![6 => 0..16u16, 1 => 0..300u16, 1 => any::<u16>()];
    let block = prop_oneof![8 => 0..1030u64, 1 => any::<u64>()];
    let pointer = prop_oneof![
        3 => (address(), address()).prop_map(|(one, two)| {
            [one.to_le_bytes(), two.to_le_bytes()].concat()
        }),
        2 => (address(), 0..17u32, Just(0u8)).prop_map(|(at, n, kind)| descriptor((at, n * 512, kind))),
        1 => (0..4u64, 1..9u32, prop::sample::select(vec![0x20u8, 0x30])).prop_map(|(at, n, kind)| {
            descriptor((LISTS + at * 16, n * 16, kind))
        }),
    ];
    let rest = vec(any::<u8>(), 16);
    (opcode, flags, namespace, pointer, block, blocks, rest).prop_map(
        |(opcode, flags, namespace, pointer, block, blocks, rest)| {
            let mut bytes = [0; SQE_LEN];
            (bytes[0], bytes[1]) = (opcode, flags);
            bytes[2..4].copy_from_slice(&rest[..2]);
            bytes[4..8].copy_from_slice(&namespace.to_le_bytes());
            bytes[24..40].copy_from_slice(&pointer);
            bytes[40..48].copy_from_slice(&block.to_le_bytes());
            bytes[48..50].copy_from_slice(&blocks.to_le_bytes());
            bytes[50..64].copy_from_slice(&rest[2..]);
            bytes
        },
    )
}

/// Where a transfer's data lies, if it can be carried out at all; nothing if it
/// is another command.
fn expected(memory: &GuestMemoryMmap, bytes: [u8; SQE_LEN]) -> Option<reference::Described> {
    let command = Command::new(bytes);
    let each = SECTORS / u64::from(NAMESPACES);
    let (first, blocks) = (command.qword(10), u64::from(command.dword(12) & 0xffff) + 1);
    let len = blocks * 512;
    if !matches!(
        command.opcode(),
        opcode::READ | opcode::WRITE | opcode::COMPARE
    ) {
        return None;
    }
    let there = (1..=u32::from(NAMESPACES)).contains(&command.namespace())
        && first.checked_add(blocks).is_some_and(|end| end <= each);
    if !there || command.is_fused() || len > 1 << 20 {
        return Some(None);
    }
    Some(match command.pointer_kind() {
        0 => reference::prp(memory, (command.prp1(), command.prp2()), len),
        1 | 2 => reference::sgl(memory, command.sgl(), len),
        _ => None,
    })
}

/// The byte of the disk at a place.
fn of_disk(place: u64) -> u8 {
    (place * 31 % 251) as u8 ^ 0x5a
}

/// What a store would do with a request; for a write, what it was given.
fn carry_out(rig: &Rig, token: &Token, request: &Request) -> Vec<u8> {
    let start = request.start().0 * 512;
    rig.queue.with_buffers(token, |buffers| {
        let mut bytes: Vec<u8> = (start..)
            .map(of_disk)
            .take(usize::try_from(buffers.len()).unwrap())
            .collect();
        match request.operation {
            Operation::Read => buffers.write(0, &bytes).unwrap(),
            Operation::Write => buffers.read(0, &mut bytes).unwrap(),
            _ => {}
        }
        bytes
    })
}

/// Takes the one command that was put, carries it out and completes it.
fn serve(rig: &mut Rig, bytes: [u8; SQE_LEN]) -> Result<(), TestCaseError> {
    // The command itself may be taken for a list.
    let at = GuestAddress(SUBMISSIONS + u64::from(rig.next) * SQE_LEN as u64);
    rig.memory.write_slice(&bytes, at).unwrap();
    let expected = expected(&rig.memory, bytes);
    // Who has data put over its queues cannot tell any more what is what.
    let queues = SUBMISSIONS..COMPLETIONS + 0x1000;
    let addresses = expected.iter().flatten().flatten();
    if addresses.clone().any(|at| queues.contains(at)) {
        return Ok(());
    }
    rig.put(bytes);
    let before = snapshot(&rig.memory);
    let Taken { token, request } = rig.queue.next().unwrap().unwrap();
    if let Some(described) = &expected {
        prop_assert_eq!(request.is_ok(), described.is_some());
    }
    let each = SECTORS / u64::from(NAMESPACES);
    let base = u64::from(token.namespace.saturating_sub(1)) * each;
    let moved = match &request {
        Ok(request) => {
            for extent in &request.extents {
                prop_assert!(extent.start.0 >= base, "another namespace's");
                prop_assert!(extent.start.0 + extent.sectors <= base + each);
            }
            carry_out(rig, &token, request)
        }
        Err(_) => Vec::new(),
    };
    let described = expected.flatten().unwrap_or_default();
    let reads = bytes[0] == opcode::READ && request.is_ok();
    let mut allowed: Vec<u64> = Vec::new();
    if reads {
        // What was described twice has what was written last.
        prop_assert_eq!(moved.len(), described.len());
        allowed.extend(&described);
    }
    if bytes[0] == opcode::WRITE && request.is_ok() {
        let byte = |at: &u64| rig.memory.read_obj::<u8>(GuestAddress(*at)).unwrap();
        prop_assert_eq!(&moved, &described.iter().map(byte).collect::<Vec<u8>>());
    }
    let slot = COMPLETIONS + u64::from(rig.head) * 16;
    allowed.extend(slot..slot + 16);
    let outcome = match request {
        Ok(_) => Outcome::ok(0),
        Err(status) => Outcome::failed(status),
    };
    rig.queue.complete(token, outcome, None).unwrap();
    rig.queue.publish().unwrap();
    allowed.sort_unstable();
    let after = snapshot(&rig.memory);
    let changed = before.iter().zip(&after).filter(|(one, two)| one != two);
    let strayed = changed
        .map(|(&(at, _), _)| at)
        .find(|at| allowed.binary_search(at).is_err());
    prop_assert_eq!(strayed, None, "an address that nothing describes");
    if reads {
        let mut last = std::collections::BTreeMap::new();
        last.extend(described.into_iter().zip(moved));
        for (at, byte) in last {
            prop_assert_eq!(rig.memory.read_obj::<u8>(GuestAddress(at)).unwrap(), byte);
        }
    }
    let id = u16::from_le_bytes([bytes[2], bytes[3]]);
    let seen = rig.seen();
    prop_assert_eq!(seen.len(), 1);
    prop_assert_eq!(seen[0].0, id);
    Ok(())
}

/// What a driver may write where its doorbells are.
fn doorbell() -> impl Strategy<Value = u32> {
    prop_oneof![
        6 => 0..u32::from(SIZE),
        2 => u32::from(SIZE)..u32::from(SIZE) + 3,
        1 => any::<u32>(),
    ]
}

/// Where shadow doorbells and event indices are.
const PAGES: (u64, u64) = (0x1_0000, 0x1_1000);

/// Writes a doorbell of queue 1 where a driver of this mode would: 0 for the
/// tail, 1 for the head.
fn say(rig: &Rig, bell: u32, value: u32) {
    let number = 2 + bell;
    match rig.doorbells.pages() {
        Some(pages) => pages.set(number, value),
        None => {
            let at = GuestAddress(PAGES.0 + u64::from(number) * 4);
            rig.memory.write_obj(value, at).unwrap();
        }
    }
}

/// The entries of the completion queue.
fn entries(rig: &Rig) -> Vec<[u8; 16]> {
    let entry = |slot: u16| {
        let at = COMPLETIONS + u64::from(slot) * 16;
        rig.memory.read_obj(GuestAddress(at)).unwrap()
    };
    (0..SIZE).map(entry).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.saturating_mul(2),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_command_is_carried_out_as_described_or_refused_and_writes_nothing_else(
        lists in vec(list(), 3),
        commands in vec(command(), 1..12),
    ) {
        let mut rig = Rig::of(DoorbellMode::Socket, terms(NAMESPACES));
        for (list, at) in lists.iter().zip([LISTS, LISTS + 0xfc0, 0x8000]) {
            rig.memory.write_slice(list, GuestAddress(at)).unwrap();
        }
        for command in commands {
            serve(&mut rig, command)?;
        }
    }

    #[test]
    fn a_doorbell_counts_if_its_queue_has_the_value_and_nothing_unread_is_overwritten(
        mapped in any::<bool>(),
        said in vec((doorbell(), doorbell()), 1..40),
    ) {
        let mode = if mapped { DoorbellMode::Mapped } else { DoorbellMode::Shadow };
        let mut rig = Rig::of(mode, terms(1));
        rig.shadow.configure(GuestAddress(PAGES.0), GuestAddress(PAGES.1));
        let size = u32::from(SIZE);
        // What the driver is believed to have said, where the device is in the
        // submission queue, and where in the completion queue.
        let (mut believed, mut taken, mut shown) = ([0; 2], 0, 0);
        for (tail, head) in said {
            let before = entries(&rig);
            for (bell, value) in [(0, tail), (1, head)] {
                say(&rig, bell, value);
                let value = value & 0xffff;
                if value < size {
                    believed[bell as usize] = value;
                }
            }
            // What is written over before anyone looks was never said.
            rig.tail.get(&rig.memory);
            rig.completions.room(&rig.memory);
            let [tail, head] = believed;
            let unread = (shown + size - head) % size;
            let mut new = 0;
            // As the pump does: until there is nothing, or no room.
            while let Some(Taken { token, .. }) = rig.queue.next().unwrap() {
                prop_assert_ne!(taken, tail, "more commands than were submitted");
                taken = (taken + 1) % size;
                rig.queue.complete(token, Outcome::ok(0), None).unwrap();
                rig.queue.publish().unwrap();
                new += 1;
                prop_assert!(new < size);
            }
            let after = entries(&rig);
            for slot in 0..size {
                let is_unread = (slot + size - head) % size < unread;
                let same = before[slot as usize] == after[slot as usize];
                prop_assert!(same || !is_unread, "slot {} was not read yet", slot);
            }
            let congested = rig.completions.is_congested();
            prop_assert!(congested || taken == tail, "commands are left lying");
            shown = u32::from(rig.completions.tail());
        }
    }
}
