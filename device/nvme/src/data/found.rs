// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Segments as they are found, those that touch made one.

use irqstorm_front_end::{Segment, Segments};
use vm_memory::{GuestAddress, GuestMemoryMmap, Permissions};

use crate::wire::StatusCode;

pub(super) struct Found<'a> {
    memory: &'a GuestMemoryMmap,
    access: Permissions,
    segments: Segments,
    /// Where the last one begins, and its bytes.
    last: Option<(u64, u64)>,
}

impl<'a> Found<'a> {
    pub(super) fn new(memory: &'a GuestMemoryMmap, access: Permissions) -> Found<'a> {
        Found {
            memory,
            access,
            segments: Segments::default(),
            last: None,
        }
    }

    pub(super) fn memory(&self) -> &'a GuestMemoryMmap {
        self.memory
    }

    /// Adds so many bytes; none are nothing.
    pub(super) fn add(&mut self, address: u64, len: u64) -> Result<(), StatusCode> {
        if len == 0 {
            return Ok(());
        }
        if let Some((start, before)) = self.last
            && start.checked_add(before) == Some(address)
        {
            self.last = Some((start, before + len));
            return Ok(());
        }
        self.close()?;
        self.last = Some((address, len));
        Ok(())
    }

    fn close(&mut self) -> Result<(), StatusCode> {
        let Some((start, len)) = self.last.take() else {
            return Ok(());
        };
        let len = u32::try_from(len).map_err(|_| StatusCode::DATA_TRANSFER)?;
        let segment = Segment::new(GuestAddress(start), len)
            .filter(|segment| segment.lies_in(self.memory, self.access))
            .ok_or(StatusCode::DATA_TRANSFER)?;
        self.segments.push(segment);
        Ok(())
    }

    pub(super) fn all(mut self) -> Result<Segments, StatusCode> {
        self.close()?;
        Ok(self.segments)
    }
}
