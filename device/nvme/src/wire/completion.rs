// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A completion queue entry (4.6).

use super::StatusCode;

/// Bytes of an entry: what CC.IOCQES has to say, as a power of two (3.1.3.5).
pub(crate) const CQE_LEN: usize = 16;

/// One entry, without its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    /// Dword 0: the command's own.
    pub(crate) result: u32,
    /// Where the controller is in the submission queue.
    pub(crate) sq_head: u16,
    /// The submission queue.
    pub(crate) sq_id: u16,
    /// The command.
    pub(crate) command_id: u16,
    /// How it ended.
    pub(crate) status: StatusCode,
}

impl Completion {
    /// Where the half-word with status and phase lies in an entry.
    pub(crate) const STATUS_OFFSET: u64 = 14;

    /// The half-word of status and phase.
    pub(crate) fn status_and_phase(&self, phase: bool) -> u16 {
        self.status.field() | u16::from(phase)
    }

    /// The entry's bytes.
    pub(crate) fn bytes(&self, phase: bool) -> [u8; CQE_LEN] {
        let mut bytes = [0; CQE_LEN];
        let queue = u32::from(self.sq_id) << 16 | u32::from(self.sq_head);
        let status = u32::from(self.status_and_phase(phase)) << 16 | u32::from(self.command_id);
        for (to, dword) in bytes
            .chunks_exact_mut(4)
            .zip([self.result, 0, queue, status])
        {
            to.copy_from_slice(&dword.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_lies_where_the_specification_puts_it() {
        let entry = Completion {
            result: 0x0403_0201,
            sq_head: 0x0605,
            sq_id: 0x0807,
            command_id: 0x0a09,
            status: StatusCode::INVALID_OPCODE,
        };
        let expected = [1, 2, 3, 4, 0, 0, 0, 0, 5, 6, 7, 8, 9, 10, 0x03, 0x80];
        assert_eq!(entry.bytes(true), expected);
    }
}
