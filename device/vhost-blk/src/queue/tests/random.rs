// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Requests with descriptors of anything in them, and rings of anything:
//! whatever they say, nothing panics, the walk ends, and only bytes that a
//! writable descriptor names are written.

use super::*;
use proptest::prelude::*;

const MEMORY_LEN: usize = 0x20000;

/// Entries of the indirect table; behind them memory is zero.
const INDIRECT_LEN: u64 = 8;

/// A descriptor made to be nearly right.
#[derive(Clone, Copy, Debug)]
struct Wild {
    addr: u64,
    len: u32,
    flags: u16,
    next: u16,
}

fn wild() -> impl Strategy<Value = Wild> {
    let addr = prop_oneof![
        4 => HEADER..HEADER + 0x40,
        4 => DATA..DATA + 0x2000,
        2 => TABLE..TABLE + 0x100,
        1 => HOLE - 0x300..HOLE + 0x10,
        1 => 0..0x1000u64,
        1 => any::<u64>(),
    ];
    let len = prop_oneof![
        3 => Just(16u32),
        3 => Just(512u32),
        3 => Just(1u32),
        2 => 0..2000u32,
        1 => (0..80u32).prop_map(|entries| entries * 16),
        1 => any::<u32>(),
    ];
    let flags = prop_oneof![
        8 => 0..4u16,
        2 => 0..8u16,
        1 => any::<u16>(),
    ];
    let next = prop_oneof![8 => 0..RING_LEN, 1 => any::<u16>()];
    (addr, len, flags, next).prop_map(|(addr, len, flags, next)| Wild {
        // Elsewhere than in the indirect table there are no descriptors whose
        // buffers the test knows.
        addr: if flags & INDIRECT == 0 {
            addr
        } else {
            TABLE + addr % INDIRECT_LEN * 16
        },
        len,
        flags,
        next,
    })
}

/// A request with its data on the right side, in any cut.
fn request() -> impl Strategy<Value = (u32, Vec<Wild>)> {
    let kind = prop_oneof![
        4 => Just((IN, WRITE)),
        4 => Just((OUT, 0)),
        1 => Just((FLUSH, 0)),
        2 => Just((GET_ID, WRITE)),
        2 => Just((DISCARD, 0)),
        2 => Just((WRITE_ZEROES, 0)),
        1 => any::<u32>().prop_map(|kind| (kind, 0)),
    ];
    let segment = prop_oneof![
        4 => (1..4u32).prop_map(|sectors| sectors * 512),
        2 => (1..4u32).prop_map(|ranges| ranges * 16),
        1 => 0..600u32,
    ];
    let data = prop::collection::vec((0..0x20u64, segment), 0..4);
    (kind, 0..=16u32, data).prop_map(|((kind, side), cut, data)| {
        let mut buffers = vec![(HEADER, cut, 0), (HEADER + u64::from(cut), 16 - cut, 0)];
        buffers.extend(data.iter().map(|&(at, len)| (DATA + at * 0x100, len, side)));
        buffers.push((STATUS, 1, WRITE));
        let chained = (1u16..)
            .zip(buffers)
            .map(|(next, (addr, len, flags))| Wild {
                addr,
                len,
                flags: flags | NEXT,
                next,
            });
        let mut chain: Vec<Wild> = chained.collect();
        if let Some(last) = chain.last_mut() {
            last.flags = WRITE;
        }
        (kind, chain)
    })
}

fn sector() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..SECTORS + 4, 1 => any::<u64>()]
}

/// Which bytes of low memory the device may write: its used ring, and what
/// writable descriptors name, in the ring's table and in the indirect one.
fn writable(descriptors: &[Wild]) -> Vec<bool> {
    let mut writable = vec![false; MEMORY_LEN];
    let mut allow = |start: u64, len: u64| {
        let start = usize::try_from(start).unwrap_or(MEMORY_LEN);
        let len = usize::try_from(len).unwrap();
        writable
            .iter_mut()
            .skip(start)
            .take(len)
            .for_each(|byte| *byte = true);
    };
    allow(USED_FLAGS, USED_END - USED_FLAGS);
    for descriptor in descriptors.iter().filter(|d| d.flags & WRITE != 0) {
        allow(descriptor.addr, u64::from(descriptor.len));
    }
    writable
}

/// Takes what there is, fills every buffer to the brim, and completes it.
fn serve(bench: &mut Bench) -> Result<(), TestCaseError> {
    for _ in 0..=RING_LEN {
        let Ok(taken) = bench.queue.next() else {
            return Ok(());
        };
        let Some(Taken { token, request }) = taken else {
            return Ok(());
        };
        let outcome = match &request {
            Ok(request) => {
                for extent in &request.extents {
                    prop_assert!(extent.fits(SECTORS));
                }
                fill(bench, &token)
            }
            Err(status) => Outcome::failed(*status),
        };
        let head = u32::from(token.head);
        prop_assert!(bench.queue.complete(token, outcome, None).is_ok());
        prop_assert!(bench.queue.publish().is_ok());
        prop_assert_eq!(bench.last_used().0, head);
    }
    Err(TestCaseError::fail("more requests than the ring holds"))
}

fn fill(bench: &Bench, token: &Token) -> Outcome {
    bench.queue.with_buffers(token, |buffers| {
        let len = usize::try_from(buffers.len()).unwrap();
        let mut bytes = vec![0xee; len];
        let filled = if token.to_guest {
            buffers.write(0, &bytes)
        } else {
            buffers.read(0, &mut bytes)
        };
        match filled {
            Ok(()) => Outcome::ok(if token.to_guest { buffers.len() } else { 0 }),
            Err(_) => Outcome::failed(Status::IoError),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.saturating_mul(8),
        ..ProptestConfig::default()
    })]

    #[test]
    fn only_what_is_described_is_written(
        (kind, mut chain) in request(),
        changes in prop::collection::vec((0..8usize, wild()), 0..3),
        through_a_table in any::<bool>(),
        sector in sector(),
        ranges in prop::collection::vec((sector(), 0..20u32, 0..3u32), 4),
    ) {
        let memory = memory();
        let mut bench = Bench::new(&memory);
        bench.header(kind, sector);
        let ranges: Vec<u8> = ranges
            .iter()
            .flat_map(|&(sector, sectors, flags)| requests::range(sector, sectors, flags))
            .collect();
        bench.write(DATA, &ranges);
        for (at, wild) in changes {
            if let Some(descriptor) = chain.get_mut(at) {
                *descriptor = wild;
            }
        }
        for (number, d) in (0u16..).zip(&chain) {
            let at = GuestAddress(TABLE + u64::from(number) * 16);
            memory.write_obj(Descriptor::new(d.addr, d.len, d.flags, d.next), at).unwrap();
            if !through_a_table {
                bench.describe(number, d.addr, d.len, d.flags, d.next);
            }
        }
        if through_a_table {
            bench.describe(0, TABLE, 16 * 8, INDIRECT, 0);
        }
        bench.make_available(0);

        let before = bench.bytes(0, MEMORY_LEN);
        serve(&mut bench)?;
        let after = bench.bytes(0, MEMORY_LEN);
        let allowed = writable(&chain);
        let strayed = (0..MEMORY_LEN).find(|&at| before[at] != after[at] && !allowed[at]);
        prop_assert_eq!(strayed, None);
    }

    #[test]
    fn a_ring_of_random_bytes_is_served_or_stopped(
        bytes in prop::collection::vec(any::<u8>(), 0x800),
        avail in any::<u16>(),
        rounds in 1..5usize,
    ) {
        let memory = memory();
        let mut bench = Bench::new(&memory);
        bench.write(0, &bytes);
        for round in 0..rounds {
            bench.set(AVAIL_IDX, avail.wrapping_add(u16::try_from(round).unwrap()) % 40);
            serve(&mut bench)?;
        }
    }
}
