// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The data of one request: segments of guest memory read as one run of bytes.

use irqstorm_core::queue::{BufferError, GuestBuffers};
use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};

use crate::near::Near;

/// A run of guest memory: never empty, and never past the end of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    start: GuestAddress,
    len: u32,
}

impl Segment {
    /// `None` for no bytes, and for bytes past the end of addresses.
    #[inline]
    pub fn new(start: GuestAddress, len: u32) -> Option<Segment> {
        start.0.checked_add(u64::from(len.checked_sub(1)?))?;
        Some(Segment { start, len })
    }

    /// Where it begins.
    pub fn start(&self) -> GuestAddress {
        self.start
    }

    /// Its bytes: one at least.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether guest memory has all of it, for `access`.
    #[inline]
    pub fn lies_in(&self, memory: &impl GuestMemory, access: Permissions) -> bool {
        memory.check_range(self.start, self.len as usize, access)
    }

    /// The part from `skip` on, at most `most` bytes; `None` if that is empty.
    fn part(&self, skip: u64, most: u64) -> Option<Segment> {
        let left = u64::from(self.len).checked_sub(skip)?;
        let len = u32::try_from(left.min(most)).ok()?;
        let start = self.start.0.checked_add(skip)?;
        Segment::new(GuestAddress(start), len)
    }
}

/// Segments one after the other, as a run of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    list: Vec<Segment>,
    /// Bytes in all: under 2^64, since there are fewer than 2^32 segments.
    len: u64,
}

impl Segments {
    /// Adds one behind the others.
    #[inline]
    pub fn push(&mut self, segment: Segment) {
        self.len += u64::from(segment.len);
        self.list.push(segment);
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.list.iter()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Bytes in all.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is not a byte.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The first sixteen bytes, if there are as many.
    #[inline]
    pub fn first_sixteen(&self, memory: &Near) -> Result<[u8; 16], BufferError> {
        match self.list.first() {
            Some(first) if first.len >= 16 => {
                memory.sixteen(first.start).map_err(|_| BufferError(0))
            }
            _ => {
                let mut bytes = [0; 16];
                self.read(memory, 0, &mut bytes)?;
                Ok(bytes)
            }
        }
    }

    /// Forgets them all, and keeps the room that they took for others.
    #[inline]
    pub fn clear(&mut self) {
        self.list.clear();
        self.len = 0;
    }

    /// Cuts off the last byte, and says where it is.
    #[inline]
    pub fn pop_byte(&mut self) -> Option<GuestAddress> {
        let last = self.list.last_mut()?;
        let before = last.len - 1;
        let at = GuestAddress(last.start.0 + u64::from(before));
        match before {
            0 => drop(self.list.pop()),
            _ => last.len = before,
        }
        self.len -= 1;
        Some(at)
    }

    /// Cuts off the first `count` bytes; all if there are fewer.
    pub fn skip(&mut self, count: u64) {
        let mut left = count.min(self.len);
        self.len -= left;
        let whole = self.list.iter().take_while(|segment| {
            let rest = left.checked_sub(u64::from(segment.len));
            left = rest.unwrap_or(left);
            rest.is_some()
        });
        let whole = whole.count();
        self.list.drain(..whole);
        if let Some(first) = self.list.first_mut()
            && let Some(rest) = first.part(left, u64::MAX)
        {
            *first = rest;
        }
    }

    /// The segments of `most` bytes from `offset` on, or fewer at the end.
    fn range(&self, offset: u64, most: u64) -> impl Iterator<Item = Segment> {
        let mut skip = offset;
        let mut left = most;
        self.list.iter().filter_map(move |segment| {
            let part = segment.part(skip, left);
            skip = skip.saturating_sub(u64::from(segment.len));
            left -= part.map_or(0, |part| u64::from(part.len));
            part
        })
    }

    /// Fills `to` from `offset` on.
    pub fn read(
        &self,
        memory: &impl GuestMemory,
        offset: u64,
        to: &mut [u8],
    ) -> Result<(), BufferError> {
        self.within(offset, to.len() as u64)?;
        let mut rest = to;
        for part in self.range(offset, rest.len() as u64) {
            let (now, later) = std::mem::take(&mut rest).split_at_mut(part.len as usize);
            memory
                .read_slice(now, part.start)
                .map_err(|_| BufferError(offset))?;
            rest = later;
        }
        Ok(())
    }

    /// Puts all of `from` at `offset`.
    pub fn write(
        &self,
        memory: &impl GuestMemory,
        offset: u64,
        from: &[u8],
    ) -> Result<(), BufferError> {
        self.within(offset, from.len() as u64)?;
        let mut rest = from;
        for part in self.range(offset, rest.len() as u64) {
            let (now, later) = rest.split_at(part.len as usize);
            memory
                .write_slice(now, part.start)
                .map_err(|_| BufferError(offset))?;
            rest = later;
        }
        Ok(())
    }

    /// Fills `count` bytes from `offset` on with zeroes.
    pub fn fill_zero(&self, memory: &Near, offset: u64, count: u64) -> Result<(), BufferError> {
        self.within(offset, count)?;
        self.range(offset, count).try_for_each(|part| {
            let filled = memory.fill_zero(part.start, part.len as usize);
            filled.map_err(|_| BufferError(offset))
        })
    }

    fn within(&self, offset: u64, len: u64) -> Result<(), BufferError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(BufferError(offset)),
        }
    }
}

/// The most segments whose room is kept: those of a large request, in pages.
const MOST_KEPT: usize = 256;

/// Room of segments that are done with, so that those to come need no memory
/// of their own.
#[derive(Debug, Default)]
pub struct Spare(Vec<Segments>);

impl Spare {
    /// Segments of which there are none yet.
    #[inline]
    pub fn take(&mut self) -> Segments {
        self.0.pop().unwrap_or_default()
    }

    /// Keeps the room of segments that are done with.
    #[inline]
    pub fn keep(&mut self, mut done: Segments) {
        if (1..=MOST_KEPT).contains(&done.list.capacity()) {
            done.clear();
            self.0.push(done);
        }
    }
}

/// A request's data as the store sees it: a write's can only be read, a
/// read's only be written.
#[derive(Clone, Copy, Debug)]
pub struct DataBuffers<'a> {
    /// Where the guest's memory is now.
    pub memory: &'a Near<'a>,
    /// Where in it the data is.
    pub data: &'a Segments,
    /// Whether data goes to the guest rather than comes from it.
    pub to_guest: bool,
}

impl GuestBuffers for DataBuffers<'_> {
    fn len(&self) -> u64 {
        self.data.len()
    }

    fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), BufferError> {
        if self.to_guest && !to.is_empty() {
            return Err(BufferError(offset));
        }
        self.data.read(self.memory, offset, to)
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), BufferError> {
        if !self.to_guest && !from.is_empty() {
            return Err(BufferError(offset));
        }
        self.data.write(self.memory, offset, from)
    }

    fn fill_zero(&self, offset: u64, count: u64) -> Result<(), BufferError> {
        if !self.to_guest && count > 0 {
            return Err(BufferError(offset));
        }
        self.data.fill_zero(self.memory, offset, count)
    }
}

#[cfg(test)]
mod tests {
    use vm_memory::GuestMemoryMmap;

    use super::*;

    fn memory() -> GuestMemoryMmap {
        let regions = [(GuestAddress(0), 0x1000), (GuestAddress(0x1000), 0x1000)];
        GuestMemoryMmap::from_ranges(&regions).unwrap()
    }

    fn segments(of: &[(u64, u32)]) -> Segments {
        let mut segments = Segments::default();
        for &(start, len) in of {
            segments.push(Segment::new(GuestAddress(start), len).unwrap());
        }
        segments
    }

    #[test]
    fn a_segment_is_never_empty_nor_past_the_end_of_addresses() {
        assert_eq!(Segment::new(GuestAddress(7), 0), None);
        assert_eq!(Segment::new(GuestAddress(u64::MAX), 2), None);
        assert!(Segment::new(GuestAddress(u64::MAX), 1).is_some());
    }

    #[test]
    fn a_read_gathers_over_segments_and_regions() {
        let memory = memory();
        memory.write_slice(b"abcdef", GuestAddress(0x0ffd)).unwrap();
        let segments = segments(&[(0x1002, 1), (0x0ffd, 5)]);
        let mut all = [0; 6];
        segments.read(&memory, 0, &mut all).unwrap();
        assert_eq!(&all, b"fabcde");
        let mut some = [0; 3];
        segments.read(&memory, 2, &mut some).unwrap();
        assert_eq!(&some, b"bcd");
    }

    #[test]
    fn a_write_scatters_and_touches_nothing_else() {
        let memory = memory();
        segments(&[(0x10, 2), (0x20, 3)])
            .write(&memory, 1, b"xyz")
            .unwrap();
        let mut found = [0; 0x40];
        memory.read_slice(&mut found, GuestAddress(0)).unwrap();
        let mut expected = [0; 0x40];
        expected[0x11] = b'x';
        expected[0x20..0x22].copy_from_slice(b"yz");
        assert_eq!(found, expected);
    }

    #[test]
    fn access_past_the_data_is_refused_whole() {
        let memory = memory();
        let segments = segments(&[(0, 4)]);
        assert_eq!(segments.read(&memory, 3, &mut [0; 2]), Err(BufferError(3)));
        assert_eq!(segments.write(&memory, 4, &[1]), Err(BufferError(4)));
        assert_eq!(
            segments.read(&memory, u64::MAX, &mut [0; 2]),
            Err(BufferError(u64::MAX))
        );
        assert_eq!(segments.read(&memory, 4, &mut []), Ok(()));
    }

    #[test]
    fn the_last_byte_is_cut_off_wherever_the_segments_end() {
        let mut some = segments(&[(0x10, 2), (0x20, 1)]);
        assert_eq!(some.pop_byte(), Some(GuestAddress(0x20)));
        assert_eq!(some, segments(&[(0x10, 2)]));
        assert_eq!(some.pop_byte(), Some(GuestAddress(0x11)));
        assert_eq!(some, segments(&[(0x10, 1)]));
        assert_eq!(some.pop_byte(), Some(GuestAddress(0x10)));
        assert_eq!(some.pop_byte(), None);
    }

    #[test]
    fn skipping_cuts_within_and_across_segments() {
        let mut some = segments(&[(0x10, 4), (0x20, 16), (0x40, 8)]);
        some.skip(6);
        assert_eq!(some, segments(&[(0x22, 14), (0x40, 8)]));
        some.skip(99);
        assert_eq!(some.len(), 0);
    }

    #[test]
    fn data_moves_only_in_the_direction_of_the_request() {
        let memory = memory();
        let data = segments(&[(0, 4)]);
        let near = Near::new(&memory);
        let buffers = |to_guest| DataBuffers {
            memory: &near,
            data: &data,
            to_guest,
        };
        assert!(buffers(true).write(0, &[1]).is_ok());
        assert!(buffers(true).fill_zero(0, 4).is_ok());
        assert!(buffers(true).fill_zero(1, 4).is_err());
        assert!(buffers(false).fill_zero(0, 1).is_err());
        assert!(buffers(true).read(0, &mut [0]).is_err());
        assert!(buffers(false).read(0, &mut [0]).is_ok());
        assert!(buffers(false).write(0, &[1]).is_err());
    }
}
