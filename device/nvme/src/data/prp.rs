// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Physical region pages: where a command's data lies (4.1.1).

use irqstorm_front_end::Segments;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap, Permissions};

use super::found::Found;
use crate::wire::StatusCode;

/// Bytes of an entry of a PRP list.
const ENTRY_LEN: u64 = 8;

/// The `len` bytes that two PRP entries describe, in pages of `page` bytes,
/// all of them in guest memory.
pub(crate) fn walk(
    memory: &GuestMemoryMmap,
    access: Permissions,
    page: u64,
    (prp1, prp2): (u64, u64),
    len: u64,
) -> Result<Segments, StatusCode> {
    let mut found = Found::new(memory, access);
    if len == 0 {
        return found.all();
    }
    if !prp1.is_multiple_of(4) {
        return Err(StatusCode::PRP_OFFSET);
    }
    let first = len.min(page - prp1 % page);
    found.add(prp1, first)?;
    let rest = len - first;
    if rest > page {
        walk_list(&mut found, page, prp2, rest)?;
    } else if rest > 0 {
        found.add(whole_page(page, prp2)?, rest)?;
    }
    found.all()
}

/// An entry that has to be the start of a page.
fn whole_page(page: u64, entry: u64) -> Result<u64, StatusCode> {
    match entry.is_multiple_of(page) {
        true => Ok(entry),
        false => Err(StatusCode::PRP_OFFSET),
    }
}

/// Follows a list from page to page: the last entry of a page that does not
/// describe all of the rest is where the next page of entries is.
fn walk_list(found: &mut Found, page: u64, mut list: u64, mut rest: u64) -> Result<(), StatusCode> {
    if !list.is_multiple_of(ENTRY_LEN) {
        return Err(StatusCode::PRP_OFFSET);
    }
    while rest > 0 {
        let room = (page - list % page) / ENTRY_LEN;
        let wanted = rest.div_ceil(page);
        let entries = read_entries(found.memory(), list, room.min(wanted))?;
        let (data, next) = match entries.split_last() {
            Some((&next, data)) if wanted > room => (data, Some(next)),
            _ => (entries.as_slice(), None),
        };
        for &entry in data {
            let now = rest.min(page);
            found.add(whole_page(page, entry)?, now)?;
            rest -= now;
        }
        match next {
            Some(next) => list = whole_page(page, next)?,
            None => return Ok(()),
        }
    }
    Ok(())
}

/// No more than a page of them.
fn read_entries(memory: &GuestMemoryMmap, at: u64, count: u64) -> Result<Vec<u64>, StatusCode> {
    let len = usize::try_from(count * ENTRY_LEN).map_err(|_| StatusCode::DATA_TRANSFER)?;
    let mut bytes = vec![0; len];
    memory
        .read_slice(&mut bytes, GuestAddress(at))
        .map_err(|_| StatusCode::DATA_TRANSFER)?;
    let (entries, _) = bytes.as_chunks();
    Ok(entries.iter().copied().map(u64::from_le_bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 0x1000;

    fn memory() -> GuestMemoryMmap {
        GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x4_0000)]).unwrap()
    }

    fn list(memory: &GuestMemoryMmap, at: u64, entries: &[u64]) {
        for (index, &entry) in (0..).zip(entries) {
            let at = GuestAddress(at + index * ENTRY_LEN);
            memory.write_slice(&entry.to_le_bytes(), at).unwrap();
        }
    }

    /// Starts and lengths of what is found.
    fn walked(
        memory: &GuestMemoryMmap,
        prps: (u64, u64),
        len: u64,
    ) -> Result<Vec<(u64, u32)>, StatusCode> {
        let segments = walk(memory, Permissions::Read, PAGE, prps, len)?;
        Ok(segments.iter().map(|s| (s.start().0, s.len())).collect())
    }

    #[test]
    fn one_two_and_many_pages_are_each_described_in_their_own_way() {
        let memory = memory();
        assert_eq!(walked(&memory, (0x2000, 9), 512), Ok(vec![(0x2000, 512)]));
        assert_eq!(
            walked(&memory, (0x2e00, 0x5000), 0x400),
            Ok(vec![(0x2e00, 0x200), (0x5000, 0x200)])
        );
        assert_eq!(
            walked(&memory, (0x2e00, 0x5000), 0x1200),
            Ok(vec![(0x2e00, 0x200), (0x5000, 0x1000)])
        );
        list(&memory, 0x8000, &[0x5000, 0x7000]);
        assert_eq!(
            walked(&memory, (0x2e00, 0x8000), 0x1400),
            Ok(vec![(0x2e00, 0x200), (0x5000, 0x1000), (0x7000, 0x200)])
        );
    }

    #[test]
    fn pages_that_touch_are_one_segment() {
        let memory = memory();
        list(&memory, 0x8000, &[0x3000, 0x4000, 0x6000]);
        assert_eq!(
            walked(&memory, (0x2000, 0x8000), 0x4000),
            Ok(vec![(0x2000, 0x3000), (0x6000, 0x1000)])
        );
    }

    #[test]
    fn a_list_goes_on_in_the_page_that_its_last_entry_names() {
        let memory = memory();
        // Room for two entries in the first page, of which one is data.
        list(&memory, 0x8ff0, &[0x2000, 0x9000]);
        list(&memory, 0x9000, &[0x4000, 0x6000]);
        assert_eq!(
            walked(&memory, (0x1000, 0x8ff0), 0x4000),
            Ok(vec![(0x1000, 0x2000), (0x4000, 0x1000), (0x6000, 0x1000)])
        );
        // All of the rest fits: the last entry is data.
        list(&memory, 0x8ff0, &[0x2000, 0x4000]);
        assert_eq!(
            walked(&memory, (0x1000, 0x8ff0), 0x3000),
            Ok(vec![(0x1000, 0x2000), (0x4000, 0x1000)])
        );
    }

    #[test]
    fn offsets_where_there_must_be_none_are_refused() {
        let memory = memory();
        list(&memory, 0x8000, &[0x5000, 0x7200]);
        list(&memory, 0x8ff0, &[0x2000, 0x9008]);
        for (prps, len) in [
            ((0x2002, 0), 512),
            ((0x2000, 0x5004), 0x1200),
            ((0x2000, 0x8004), 0x3000),
            ((0x2000, 0x8000), 0x3000),
            ((0x2000, 0x8ff0), 0x5000),
        ] {
            let refused = Err(StatusCode::PRP_OFFSET);
            assert_eq!(walked(&memory, prps, len), refused, "{prps:x?}");
        }
    }

    #[test]
    fn what_lies_outside_guest_memory_is_refused() {
        let memory = memory();
        list(&memory, 0x8000, &[0x5000, 0x4_0000]);
        list(&memory, 0x8ff0, &[0x2000, u64::MAX - 0xfff]);
        for (prps, len) in [
            ((0x3_fe00, 0x4_0000), 0x400),
            ((u64::MAX - 0xfff, 0), 0x1000),
            ((0x2000, 0x8000), 0x3000),
            ((0x2000, 0x4_0000), 0x3000),
            ((0x2000, 0x8ff0), 0x5000),
        ] {
            let refused = Err(StatusCode::DATA_TRANSFER);
            assert_eq!(walked(&memory, prps, len), refused, "{prps:x?}");
        }
    }
}
