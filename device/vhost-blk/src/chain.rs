// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One descriptor chain, walked once: what the device may read, what it may
//! write, and where the status goes. Nothing of how the driver cut it into
//! descriptors is left (Virtio 1.2, 2.7.4).

use vm_memory::{GuestAddress, GuestMemory, Permissions};

use irqstorm_front_end::{Near, Segment, Segments};

use crate::descriptors::Descriptors;

/// The most descriptors of a chain, indirect ones included: the largest ring
/// that is accepted. A chain must not be longer than its ring (2.7.5.3.1).
const MAX_DESCRIPTORS: usize = 1024;

/// A chain that is not what the specification allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChainFault {
    /// It does not end: a loop, an index beyond its table, a table outside
    /// memory or of a wrong length, a table within a table, or more than 2^32
    /// bytes. Where its status would go is not known.
    #[error("its descriptors do not end")]
    Endless,
    /// More descriptors than the largest ring has.
    #[error("it has more than {MAX_DESCRIPTORS} descriptors")]
    TooLong,
    /// A buffer that guest memory does not have.
    #[error("a buffer lies outside guest memory")]
    Outside,
    /// A readable buffer after a writable one (2.7.4.2).
    #[error("a readable buffer follows a writable one")]
    OutOfOrder,
    /// No byte that the status can be written to.
    #[error("it has no byte for the status")]
    NoStatus,
}

/// What a chain consists of.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// What the driver filled: the header, and a write's data.
    pub(crate) readable: Segments,
    /// What the device fills, without the status byte.
    pub(crate) writable: Segments,
    /// Where the status byte goes; `None` if that cannot be known.
    pub(crate) status: Option<GuestAddress>,
}

/// Walks `chain` to its end, and says in `layout`, which is empty, what it
/// consists of. Even a faulty chain has its status byte, if it can be found.
pub(crate) fn walk(
    memory: &Near,
    mut chain: Descriptors,
    layout: &mut Layout,
) -> Result<(), ChainFault> {
    let mut fault = None;
    let mut ends = false;
    for _ in 0..MAX_DESCRIPTORS {
        let Some(descriptor) = chain.next(memory) else {
            break;
        };
        let found = layout.add(
            memory,
            descriptor.start,
            descriptor.len,
            descriptor.is_writable(),
        );
        fault = fault.or(found);
        ends = !descriptor.has_next();
    }
    if !ends {
        layout.clear();
        return Err(match chain.next(memory) {
            Some(_) => ChainFault::TooLong,
            None => ChainFault::Endless,
        });
    }
    layout.take_status(memory);
    if layout.status.is_none() {
        fault = fault.or(Some(ChainFault::NoStatus));
    }
    fault.map_or(Ok(()), Err)
}

impl Layout {
    /// Forgets everything, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.readable.clear();
        self.writable.clear();
        self.status = None;
    }

    fn add(
        &mut self,
        memory: &Near,
        start: GuestAddress,
        len: u32,
        writable: bool,
    ) -> Option<ChainFault> {
        if len == 0 {
            return None;
        }
        let Some(segment) = Segment::new(start, len) else {
            return Some(ChainFault::Outside);
        };
        let (side, access) = if writable {
            (&mut self.writable, Permissions::Write)
        } else {
            (&mut self.readable, Permissions::Read)
        };
        side.push(segment);
        if !segment.lies_in(memory, access) {
            return Some(ChainFault::Outside);
        }
        let out_of_order = !writable && self.writable.count() > 0;
        out_of_order.then_some(ChainFault::OutOfOrder)
    }

    /// The status is the last byte that the device can write (5.2.6).
    fn take_status(&mut self, memory: &Near) {
        self.status = self
            .writable
            .pop_byte()
            .filter(|&at| memory.check_range(at, 1, Permissions::Write));
    }
}
