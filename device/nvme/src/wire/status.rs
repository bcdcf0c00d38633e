// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How a command ends (4.6).

/// A status code type and a status code: `SCT << 8 | SC` (4.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusCode(pub(crate) u16);

impl StatusCode {
    // Generic command status (Figure 95).
    pub(crate) const SUCCESS: StatusCode = StatusCode(0x00);
    pub(crate) const INVALID_OPCODE: StatusCode = StatusCode(0x01);
    pub(crate) const INVALID_FIELD: StatusCode = StatusCode(0x02);
    pub(crate) const DATA_TRANSFER: StatusCode = StatusCode(0x04);
    pub(crate) const INTERNAL: StatusCode = StatusCode(0x06);
    /// Command Abort Requested.
    pub(crate) const ABORT_REQUESTED: StatusCode = StatusCode(0x07);
    pub(crate) const INVALID_NAMESPACE: StatusCode = StatusCode(0x0b);
    pub(crate) const COMMAND_SEQUENCE: StatusCode = StatusCode(0x0c);
    pub(crate) const SGL_SEGMENT: StatusCode = StatusCode(0x0d);
    pub(crate) const SGL_COUNT: StatusCode = StatusCode(0x0e);
    pub(crate) const SGL_LENGTH: StatusCode = StatusCode(0x0f);
    pub(crate) const SGL_TYPE: StatusCode = StatusCode(0x11);
    pub(crate) const PRP_OFFSET: StatusCode = StatusCode(0x13);
    pub(crate) const WRITE_PROTECTED: StatusCode = StatusCode(0x20);
    // The NVM command set's (NVM Command Set 1.0, Figure 21).
    pub(crate) const LBA_RANGE: StatusCode = StatusCode(0x80);
    // Command specific (Figure 97).
    pub(crate) const COMPLETION_QUEUE: StatusCode = StatusCode(0x100);
    pub(crate) const QUEUE_ID: StatusCode = StatusCode(0x101);
    pub(crate) const QUEUE_SIZE: StatusCode = StatusCode(0x102);
    pub(crate) const ASYNC_EVENT_LIMIT: StatusCode = StatusCode(0x105);
    pub(crate) const INTERRUPT_VECTOR: StatusCode = StatusCode(0x108);
    pub(crate) const LOG_PAGE: StatusCode = StatusCode(0x109);
    pub(crate) const QUEUE_DELETION: StatusCode = StatusCode(0x10c);
    pub(crate) const NOT_SAVEABLE: StatusCode = StatusCode(0x10d);
    pub(crate) const NOT_OF_NAMESPACE: StatusCode = StatusCode(0x10f);
    // Media and data integrity (Figure 99).
    pub(crate) const COMPARE_FAILURE: StatusCode = StatusCode(0x285);

    /// The status field of a completion, without its phase: an error is
    /// marked as one that a retry would meet again (4.6.1, DNR); that a command
    /// was taken back is none.
    pub(crate) fn field(self) -> u16 {
        let do_not_retry = match self {
            StatusCode::SUCCESS | StatusCode::ABORT_REQUESTED => 0,
            _ => 1 << 15,
        };
        (self.0 & 0x7ff) << 1 | do_not_retry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_lies_where_the_specification_puts_it() {
        assert_eq!(StatusCode::SUCCESS.field(), 0);
        assert_eq!(StatusCode::INVALID_FIELD.field(), 0x8004);
        assert_eq!(StatusCode::ABORT_REQUESTED.field(), 0x000e);
        assert_eq!(StatusCode::QUEUE_ID.field(), 0x8202);
        assert_eq!(StatusCode::COMPARE_FAILURE.field(), 0x850a);
    }
}
