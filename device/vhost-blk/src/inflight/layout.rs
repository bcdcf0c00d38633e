// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where what lies in a region of split rings (vhost-user, "Inflight I/O
//! tracking", `QueueRegionSplit` and `DescStateSplit`). All fields are in the
//! host's byte order.

/// The only version of the layout. Zero: not set up yet.
pub(super) const VERSION: u16 = 1;

/// Fields of a ring's header, in bytes from its start. Before them stand eight
/// bytes of features, of which there are none.
pub(super) const VERSION_AT: usize = 8;
pub(super) const DESC_NUM_AT: usize = 10;
pub(super) const LAST_BATCH_HEAD_AT: usize = 12;
pub(super) const USED_IDX_AT: usize = 14;

/// Bytes of the header, and of the entry of each head behind it.
const HEADER_LEN: usize = 16;
const ENTRY_LEN: usize = 16;

/// Fields of an entry.
const INFLIGHT: usize = 0;
const NEXT: usize = 6;
const COUNTER: usize = 8;

/// Rings begin at multiples of this: what the back-ends that exist take, so
/// that one can go on where another was.
const ALIGNMENT: usize = 64;

/// Bytes from one ring to the next, for rings of `size` entries.
pub(super) const fn stride(size: u16) -> usize {
    (HEADER_LEN + ENTRY_LEN * size as usize).next_multiple_of(ALIGNMENT)
}

/// Where the entry of a head says whether the device has it.
pub(super) const fn inflight_at(head: u16) -> usize {
    entry(head) + INFLIGHT
}

/// Where it says which head was completed before it.
pub(super) const fn next_at(head: u16) -> usize {
    entry(head) + NEXT
}

/// Where it says as how manieth the head was taken.
pub(super) const fn counter_at(head: u16) -> usize {
    entry(head) + COUNTER
}

const fn entry(head: u16) -> usize {
    HEADER_LEN + ENTRY_LEN * head as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use vhost::vhost_user::message::{DescStateSplit, QueueRegionSplit};

    #[test]
    fn the_layout_is_that_of_the_protocols_structures() {
        // The last field of the header stands for the entries behind it.
        assert_eq!(std::mem::size_of::<QueueRegionSplit>() - 8, HEADER_LEN);
        assert_eq!(std::mem::size_of::<DescStateSplit>(), ENTRY_LEN);
        assert_eq!(
            std::mem::offset_of!(QueueRegionSplit, used_idx),
            USED_IDX_AT
        );
        assert_eq!(std::mem::offset_of!(DescStateSplit, next), NEXT);
        assert_eq!(std::mem::offset_of!(DescStateSplit, counter), COUNTER);
    }

    #[test]
    fn rings_begin_at_whole_lines() {
        assert_eq!(stride(1), 64);
        assert_eq!(stride(3), 64);
        assert_eq!(stride(4), 128);
        assert_eq!(stride(1024), 16_448);
    }
}
