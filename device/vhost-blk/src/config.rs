// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The configuration space as the driver reads it (Virtio 1.2, 5.2.4).

use std::mem::offset_of;

use virtio_bindings::bindings::virtio_blk::virtio_blk_config;

use crate::options::Options;

/// Bytes of config space that vhost-user can address
/// (VHOST_USER_MAX_CONFIG_SIZE). Past the fields known here they are zero, so
/// that a front-end that knows a longer layout can read it.
const CONFIG_LEN: usize = 256;

/// Where the write cache mode lies.
const WCE_OFFSET: usize = offset_of!(virtio_blk_config, wce);

/// The most sectors of one discard or write zeroes range: 2 GiB.
pub(crate) const MAX_RANGE_SECTORS: u32 = 1 << 22;

/// The most ranges of one discard or write zeroes request: a page of them,
/// which is what Linux gathers at most.
pub(crate) const MAX_RANGES: u32 = 256;

/// What of the config a write asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Completed writes may be in a cache (true), or must be durable (false).
    WriteBack(bool),
}

/// A write to a field that is not the driver's to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at offset {offset} are not the write cache byte at {WCE_OFFSET}")]
pub(crate) struct NotWritable {
    offset: u32,
    len: usize,
}

/// What of the config space is not as the options say for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    /// The write cache mode.
    pub(crate) writeback: bool,
    /// Whether the disk is shown one logical block larger than it is.
    pub(crate) grown: bool,
}

/// Whether such a read takes the capacity in.
pub(crate) fn shows_capacity(offset: u32, size: u32) -> bool {
    offset == 0 && size >= 8
}

/// The bytes from `offset`, as many as `size`; `None` outside the space.
pub(crate) fn read(options: &Options, now: Now, offset: u32, size: u32) -> Option<Vec<u8>> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    space(options, now).get(start..end).map(<[u8]>::to_vec)
}

/// What a driver's write of `bytes` at `offset` means.
pub(crate) fn write(offset: u32, bytes: &[u8]) -> Result<Change, NotWritable> {
    match bytes {
        [mode] if usize::try_from(offset) == Ok(WCE_OFFSET) => Ok(Change::WriteBack(*mode != 0)),
        _ => Err(NotWritable {
            offset,
            len: bytes.len(),
        }),
    }
}

fn space(options: &Options, now: Now) -> [u8; CONFIG_LEN] {
    let mut space = [0; CONFIG_LEN];
    let mut put = |offset: usize, bytes: &[u8]| {
        for (to, from) in space.iter_mut().skip(offset).zip(bytes) {
            *to = *from;
        }
    };
    macro_rules! field {
        ($field:ident, $value:expr) => {
            put(offset_of!(virtio_blk_config, $field), &$value.to_le_bytes())
        };
    }
    let block_size = options.geometry.block_size;
    let ranges_aligned_to = block_size / 512;
    let one_block = if now.grown { block_size / 512 } else { 0 };
    let capacity = options.geometry.sectors.saturating_add(one_block.into());
    field!(capacity, capacity);
    field!(size_max, options.size_max.unwrap_or(0));
    field!(seg_max, options.seg_max);
    field!(blk_size, block_size);
    field!(physical_block_exp, options.topology.physical_block_exp);
    field!(alignment_offset, options.topology.alignment_offset);
    field!(min_io_size, options.topology.min_io_size);
    field!(opt_io_size, options.topology.opt_io_size);
    field!(wce, u8::from(now.writeback));
    field!(num_queues, options.queues);
    field!(max_discard_sectors, MAX_RANGE_SECTORS);
    field!(max_discard_seg, MAX_RANGES);
    field!(discard_sector_alignment, ranges_aligned_to);
    field!(max_write_zeroes_sectors, MAX_RANGE_SECTORS);
    field!(max_write_zeroes_seg, MAX_RANGES);
    field!(write_zeroes_may_unmap, 1u8);
    space
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_core::store::Geometry;

    fn options() -> Options {
        Options {
            queues: 3,
            ..Options::new(Geometry {
                sectors: 0x0102_0304_0506_0709,
                block_size: 4096,
                read_only: false,
            })
        }
    }

    const NOW: Now = Now {
        writeback: true,
        grown: false,
    };

    #[test]
    fn each_field_lies_where_the_specification_puts_it() {
        let space = read(&options(), NOW, 0, 60).unwrap();
        assert_eq!(space[0..8], 0x0102_0304_0506_0709u64.to_le_bytes());
        assert_eq!(space[12..16], 126u32.to_le_bytes());
        assert_eq!(space[20..24], 4096u32.to_le_bytes());
        assert_eq!(space[32], 1, "writeback");
        assert_eq!(space[34..36], 3u16.to_le_bytes());
        assert_eq!(space[36..40], MAX_RANGE_SECTORS.to_le_bytes());
        assert_eq!(space[40..44], MAX_RANGES.to_le_bytes());
        assert_eq!(space[44..48], 8u32.to_le_bytes());
        assert_eq!(space[48..52], MAX_RANGE_SECTORS.to_le_bytes());
        assert_eq!(space[52..56], MAX_RANGES.to_le_bytes());
        assert_eq!(space[56], 1, "write zeroes may unmap");
    }

    #[test]
    fn a_grown_disk_is_one_block_larger_and_else_the_same() {
        let grown = Now { grown: true, ..NOW };
        let space = read(&options(), grown, 0, 60).unwrap();
        assert_eq!(space[0..8], 0x0102_0304_0506_0711u64.to_le_bytes());
        assert_eq!(space[8..], read(&options(), NOW, 8, 52).unwrap());
    }

    #[test]
    fn a_longer_layout_reads_zeroes_and_nothing_outside_is_read() {
        assert_eq!(read(&options(), NOW, 60, 196).unwrap(), vec![0; 196]);
        assert_eq!(read(&options(), NOW, 256, 0), Some(Vec::new()));
        assert_eq!(read(&options(), NOW, 0, 257), None);
        assert_eq!(read(&options(), NOW, 255, 2), None);
        assert_eq!(read(&options(), NOW, u32::MAX, u32::MAX), None);
    }

    #[test]
    fn only_the_write_cache_byte_can_be_written() {
        assert_eq!(write(32, &[0]), Ok(Change::WriteBack(false)));
        assert_eq!(write(32, &[1]), Ok(Change::WriteBack(true)));
        for (offset, bytes) in [
            (0, &[0u8; 8][..]),
            (31, &[0]),
            (32, &[]),
            (32, &[0, 0]),
            (u32::MAX, &[0]),
        ] {
            assert!(write(offset, bytes).is_err(), "{offset} {bytes:?}");
        }
    }
}
