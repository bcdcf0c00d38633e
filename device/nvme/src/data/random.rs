// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Whatever the pointers say, what is found is what they describe, byte by
//! byte, or an error; and nothing outside of guest memory.

use irqstorm_front_end::Segments;
use proptest::collection::vec;
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap, Permissions};

use super::{prp, reference, sgl};

/// Two regions with a hole between them, and one behind a larger hole.
const REGIONS: [(u64, usize); 3] = [(0, 0x8000), (0x9000, 0x7000), (0x4_0000, 0x1000)];

const PAGE: u64 = 0x1000;

fn memory(fill: &[u8]) -> GuestMemoryMmap {
    let regions = REGIONS.map(|(start, len)| (GuestAddress(start), len));
    let memory = GuestMemoryMmap::from_ranges(&regions).unwrap();
    for (start, len) in REGIONS {
        let bytes: Vec<u8> = fill.iter().copied().cycle().take(len).collect();
        memory.write_slice(&bytes, GuestAddress(start)).unwrap();
    }
    memory
}

/// Every byte that segments have, by its address.
fn bytes_of(segments: &Segments) -> Vec<u64> {
    let each = |start: u64, len: u32| start..start + u64::from(len);
    segments
        .iter()
        .flat_map(|s| each(s.start().0, s.len()))
        .collect()
}

fn is_there(address: u64) -> bool {
    let within = |(start, len): &(u64, usize)| (*start..*start + *len as u64).contains(&address);
    REGIONS.iter().any(within)
}

/// The start of a page, mostly of one that is there.
fn page() -> impl Strategy<Value = u64> {
    (0..17u64).prop_map(|page| page * PAGE)
}

/// Addresses that are mostly somewhere interesting.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..0x1_0000u64,
        2 => page(),
        1 => 0x3_f000..0x4_2000u64,
        1 => any::<u64>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.saturating_mul(2),
        ..ProptestConfig::default()
    })]

    /// A driver that keeps to the rules gets its data from where it put it.
    #[test]
    fn prp_entries_describe_their_pages_in_order(
        pages in vec(1..7u64, 1..40),
        offset in (0..1024u64).prop_map(|n| n * 4),
        cut in 0..PAGE,
        list_at in (0..512u64).prop_map(|n| 0x9000 + n * 8),
    ) {
        let memory = memory(&[0]);
        let all: Vec<u64> = pages.iter().map(|page| page * PAGE).collect();
        let len = (PAGE - offset) + (all.len() as u64 - 1) * PAGE;
        let len = len - cut.min(if all.len() > 1 { PAGE - 1 } else { len - 1 });
        let mut at = list_at;
        let mut left = all.len() - 1;
        for &entry in &all[1..] {
            if (at + 8).is_multiple_of(PAGE) && left > 1 {
                let next = 0xa000 + (at & 0xf000) - 0x9000;
                memory.write_slice(&next.to_le_bytes(), GuestAddress(at)).unwrap();
                at = next;
            }
            memory.write_slice(&entry.to_le_bytes(), GuestAddress(at)).unwrap();
            at += 8;
            left -= 1;
        }
        let prp2 = match all.len() {
            1 => 0,
            2 => all[1],
            _ => list_at,
        };
        let found = prp::walk(&memory, Permissions::Write, PAGE, (all[0] + offset, prp2), len);
        let skip = usize::try_from(offset).unwrap();
        let expected: Vec<u64> = all.iter().flat_map(|&page| page..page + PAGE)
            .skip(skip)
            .take(usize::try_from(len).unwrap())
            .collect();
        prop_assert_eq!(bytes_of(&found.unwrap()), expected);
    }

    #[test]
    fn whatever_prp_entries_say_is_all_there_or_an_error(
        fill in vec(any::<u8>(), 8..256),
        entries in vec(prop_oneof![6 => page(), 1 => address()], 1..64),
        (prp1, prp2) in (address(), prop_oneof![2 => Just(0x9000u64), 1 => page(), 1 => address()]),
        len in prop_oneof![4 => 1..0x6000u64, 1 => 1..0x10_0000u64],
    ) {
        let memory = memory(&fill);
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        memory.write_slice(&bytes, GuestAddress(0x9000)).unwrap();
        let found = prp::walk(&memory, Permissions::Write, PAGE, (prp1, prp2), len);
        let bytes = found.ok().map(|found| bytes_of(&found));
        prop_assert!(bytes.iter().flatten().all(|&byte| is_there(byte)));
        prop_assert_eq!(bytes, reference::prp(&memory, (prp1, prp2), len));
    }

    /// A driver that keeps to the rules gets its data from where it put it.
    #[test]
    fn sgl_descriptors_describe_their_blocks_in_order(
        blocks in vec((0..0x7000u64, 0..0x400u32), 1..64),
        each in 1..20usize,
    ) {
        let memory = memory(&[0]);
        let descriptor = |address: u64, len: u32, kind: u8| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&address.to_le_bytes());
            bytes[8..12].copy_from_slice(&len.to_le_bytes());
            bytes[15] = kind;
            bytes
        };
        // Segments from the last to the first, each where the next one ends.
        let mut lead = None;
        let mut at = 0x9000u64;
        for chunk in blocks.chunks(each).rev() {
            let mut list: Vec<u8> = chunk.iter().flat_map(|&(a, l)| descriptor(a, l, 0)).collect();
            let kind = if lead.is_some() { 0x20 } else { 0x30 };
            list.extend(lead.iter().flatten());
            memory.write_slice(&list, GuestAddress(at)).unwrap();
            lead = Some(descriptor(at, u32::try_from(list.len()).unwrap(), kind));
            at += list.len() as u64;
        }
        let expected: Vec<u64> = blocks.iter()
            .flat_map(|&(start, len)| start..start + u64::from(len))
            .collect();
        let len = expected.len() as u64;
        let found = sgl::walk(&memory, Permissions::Read, &lead.unwrap(), len).unwrap();
        prop_assert_eq!(bytes_of(&found), expected);
        let more = sgl::walk(&memory, Permissions::Read, &lead.unwrap(), len + 1);
        prop_assert!(more.is_err());
    }

    #[test]
    fn whatever_sgl_descriptors_say_is_all_there_or_an_error(
        fill in vec(any::<u8>(), 16..256),
        list in vec((address(), 0..0x2000u32, prop::sample::select(vec![0u8, 0, 0, 0x20, 0x30, 0x10, 0x41])), 1..64),
        len in 0..0x8000u64,
    ) {
        let memory = memory(&fill);
        let bytes: Vec<u8> = list.iter().flat_map(|&(address, len, kind)| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&address.to_le_bytes());
            bytes[8..12].copy_from_slice(&len.to_le_bytes());
            bytes[15] = kind;
            bytes
        }).collect();
        memory.write_slice(&bytes, GuestAddress(0x9000)).unwrap();
        let first = bytes[..16].try_into().unwrap();
        let found = sgl::walk(&memory, Permissions::Write, &first, len);
        let bytes = found.ok().map(|found| bytes_of(&found));
        prop_assert!(bytes.iter().flatten().all(|&byte| is_there(byte)));
        prop_assert_eq!(bytes, reference::sgl(&memory, first, len));
    }
}
