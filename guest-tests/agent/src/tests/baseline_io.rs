// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The disk works: blocks written with O_DIRECT read back the same. Needs no
//! probe and no flag, so that every kernel that boots runs something.

use super::{Bench, Stop, fail};
use crate::guest::disk::{self, BLOCK, DirectBuffer};

const BLOCKS: u64 = 400;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let blocks = bench.param("blocks", BLOCKS)?;
    let device = bench.disk()?;
    let count = device.sectors * 512 / BLOCK as u64;
    if count < blocks {
        return fail(format!("{} is too small for {blocks} blocks", device.name));
    }
    let file = disk::open_direct(&device).map_err(|e| format!("open {}: {e}", device.name))?;
    let mut buffer = DirectBuffer::new(BLOCK);
    // Spread over all of the disk, each block once.
    let place = |i: u64| i * (count / blocks);
    for i in 0..blocks {
        fill(buffer.bytes(), bench.seed, i);
        disk::write_block(&file, &mut buffer, place(i)).map_err(|e| format!("write: {e}"))?;
    }
    let mut expected = vec![0; BLOCK];
    for i in 0..blocks {
        disk::read_block(&file, &mut buffer, place(i)).map_err(|e| format!("read: {e}"))?;
        fill(&mut expected, bench.seed, i);
        if buffer.bytes() != &expected[..] {
            return fail(format!("block {} read back differently", place(i)));
        }
    }
    bench.figure("blocks written and read back", blocks);
    Ok(())
}

/// Fills a block with what belongs to it and to no other.
fn fill(block: &mut [u8], seed: u64, index: u64) {
    // The step and multiplier of Knuth's 64-bit generator: nothing repeats.
    let mut state = seed ^ index.wrapping_mul(6_364_136_223_846_793_005);
    for word in block.chunks_exact_mut(8) {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        word.copy_from_slice(&state.to_le_bytes());
    }
}
