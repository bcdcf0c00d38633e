// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Guest memory that is a vector.

use std::cell::RefCell;

use irqstorm_core::queue::{BufferError, GuestBuffers};

/// The data of one request.
#[derive(Debug, Default)]
pub struct Bytes(pub RefCell<Vec<u8>>);

impl Bytes {
    /// Data that holds `bytes`.
    pub fn new(bytes: Vec<u8>) -> Bytes {
        Bytes(RefCell::new(bytes))
    }

    /// What it holds now.
    pub fn take(self) -> Vec<u8> {
        self.0.into_inner()
    }
}

fn range(offset: u64, count: usize, len: usize) -> Result<std::ops::Range<usize>, BufferError> {
    let start = usize::try_from(offset).map_err(|_| BufferError(offset))?;
    match start.checked_add(count) {
        Some(end) if end <= len => Ok(start..end),
        _ => Err(BufferError(offset)),
    }
}

impl GuestBuffers for Bytes {
    fn len(&self) -> u64 {
        self.0.borrow().len() as u64
    }

    fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), BufferError> {
        let bytes = self.0.borrow();
        to.copy_from_slice(&bytes[range(offset, to.len(), bytes.len())?]);
        Ok(())
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), BufferError> {
        let mut bytes = self.0.borrow_mut();
        let range = range(offset, from.len(), bytes.len())?;
        bytes[range].copy_from_slice(from);
        Ok(())
    }
}
