// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A disk's image in few bytes: its size, then each block that is not zero
//! behind its offset. Numbers are of 64 bits, little-endian. Both ends are ours,
//! and the image is of the same build.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// Bytes of a block.
pub const BLOCK: usize = 4096;

/// Where the guest has the image of an empty file system.
pub fn guest_path(kind: &str) -> String {
    format!("/lib/empty.{kind}")
}

/// Writes the blocks of `image` that are not zero.
///
/// # Errors
///
/// Those of reading and writing, and an image that is no multiple of a block.
pub fn write(mut image: impl Read + Seek, mut to: impl Write) -> io::Result<()> {
    let size = image.seek(SeekFrom::End(0))?;
    image.rewind()?;
    to.write_all(&size.to_le_bytes())?;
    let mut block = [0; BLOCK];
    let mut offset = 0;
    while offset < size {
        image.read_exact(&mut block)?;
        if block != [0; BLOCK] {
            to.write_all(&offset.to_le_bytes())?;
            to.write_all(&block)?;
        }
        offset += BLOCK as u64;
    }
    to.flush()
}

/// The blocks of an image.
pub struct Reader<R> {
    from: R,
    size: u64,
    block: [u8; BLOCK],
}

impl<R: Read> Reader<R> {
    /// Begins with the size.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn new(mut from: R) -> io::Result<Reader<R>> {
        let mut size = [0; 8];
        from.read_exact(&mut size)?;
        Ok(Reader {
            from,
            size: u64::from_le_bytes(size),
            block: [0; BLOCK],
        })
    }

    /// Bytes of the whole image.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next block that is not zero, and its offset in bytes.
    ///
    /// # Errors
    ///
    /// Those of reading, and blocks that are cut short or lie outside.
    pub fn next_block(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        let mut offset = [0; 8];
        match self.from.read(&mut offset[..1])? {
            0 => return Ok(None),
            _ => self.from.read_exact(&mut offset[1..])?,
        }
        let offset = u64::from_le_bytes(offset);
        self.from.read_exact(&mut self.block)?;
        let end = offset.checked_add(BLOCK as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::Error::other(format!(
                "the block at {offset} is outside of {} bytes",
                self.size
            )));
        }
        Ok(Some((offset, &self.block)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn an_image_comes_back_with_its_zeros() {
        let mut image = vec![0; 5 * BLOCK];
        image[BLOCK + 7] = 1;
        image[5 * BLOCK - 1] = 2;
        let mut written = Vec::new();
        write(Cursor::new(&image), &mut written).unwrap();
        assert_eq!(written.len(), 8 + 2 * (8 + BLOCK));
        let mut reader = Reader::new(&written[..]).unwrap();
        let mut back = vec![0; usize::try_from(reader.size()).unwrap()];
        while let Some((offset, block)) = reader.next_block().unwrap() {
            let start = usize::try_from(offset).unwrap();
            back[start..start + BLOCK].copy_from_slice(block);
        }
        assert_eq!(back, image);
    }

    #[test]
    fn a_block_that_is_cut_short_or_outside_is_refused() {
        let mut written = Vec::new();
        write(Cursor::new(vec![1; BLOCK]), &mut written).unwrap();
        let read = |bytes: &[u8]| Reader::new(bytes).unwrap().next_block().map(|_| ());
        assert!(read(&written).is_ok());
        assert!(read(&written[..written.len() - 1]).is_err());
        assert!(read(&written[..11]).is_err());
        written[9] = 1;
        assert!(read(&written).is_err());
    }
}
