// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Memory that begins where O_DIRECT wants it to.

/// A buffer of fixed length and alignment.
pub(super) struct AlignedBuffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zero bytes at a multiple of `align`, a power of two.
    pub(super) fn new(len: usize, align: usize) -> AlignedBuffer {
        let memory = vec![0; len + align];
        // The vector is never resized, so its memory stays where it is.
        let start = memory.as_ptr().align_offset(align).min(align);
        AlignedBuffer { memory, start, len }
    }

    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_is_aligned_and_as_long_as_asked() {
        for align in [512, 4096] {
            let mut buffer = AlignedBuffer::new(8192, align);
            assert_eq!(buffer.as_mut().as_ptr() as usize % align, 0);
            assert_eq!(buffer.as_mut().len(), 8192);
        }
    }
}
