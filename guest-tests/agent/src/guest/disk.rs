// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The disk under test, and aligned memory to read it into.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use irqstorm_agent::interrupts::Interrupts;
use irqstorm_agent::protocol::Disk;
use rustix::fs::OFlags;
use rustix::ioctl::{self, Opcode, Setter, opcode};

use super::queue;

/// Disks under test by name, the first that is there.
const NAMES: [&str; 2] = ["vda", "nvme0n1"];

/// What O_DIRECT wants of offsets, lengths and memory: the largest logical
/// block that the device has.
pub(crate) const BLOCK: usize = 4096;

/// Sets the block size of a disk's page cache (include/uapi/linux/fs.h).
const BLKBSZSET: Opcode = opcode::write::<usize>(0x12, 113);

const PAGE_SIZE: i32 = 4096;

fn sys(name: &str) -> PathBuf {
    PathBuf::from("/sys/block").join(name)
}

/// Finds the disk; `None` if the machine has none.
pub(crate) fn find() -> Option<Disk> {
    let name = NAMES.into_iter().find(|name| sys(name).is_dir())?;
    let sectors = fs::read_to_string(sys(name).join("size")).ok()?;
    let disk = Disk {
        name: name.to_owned(),
        sectors: sectors.trim().parse().ok()?,
        queues: 0,
    };
    let queues = queues_of(&disk).ok()?;
    Some(Disk { queues, ..disk })
}

/// The queues that interrupt: of NVMe's in blk-mq some may be for polling alone.
fn queues_of(disk: &Disk) -> io::Result<u32> {
    let queues = match queue::is_nvme(disk) {
        true => Interrupts::now()?.queues_of(&queue::device_name(disk)?),
        false => fs::read_dir(sys(&disk.name).join("mq"))?.count(),
    };
    u32::try_from(queues).map_err(io::Error::other)
}

/// Where the completion of a request goes that another CPU submitted than the
/// one that is interrupted: the disk's rq_affinity
/// (Documentation/ABI/stable/sysfs-block).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Affinity {
    /// It stays.
    Interrupted,
    /// To the submitter's if they share no cache: the default.
    Group,
    /// To the submitter's, by IPI.
    Submitter,
}

/// Sets the disk up: no scheduler in between, and completions where they are
/// to go.
pub(crate) fn prepare(disk: &Disk, affinity: Affinity) -> io::Result<()> {
    let queue = sys(&disk.name).join("queue");
    let rq_affinity = match affinity {
        Affinity::Interrupted => "0",
        Affinity::Group => "1",
        Affinity::Submitter => "2",
    };
    fs::write(queue.join("scheduler"), "none")?;
    fs::write(queue.join("rq_affinity"), rq_affinity)
}

/// The disk for direct I/O.
pub(crate) fn open_direct(disk: &Disk) -> io::Result<File> {
    let direct = i32::try_from(OFlags::DIRECT.bits()).map_err(io::Error::other)?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(direct)
        .open(format!("/dev/{}", disk.name))
}

/// Has the page cache of a disk work in whole pages: whoever mounted it before
/// may have left smaller blocks behind.
pub(crate) fn cache_in_pages(file: &File) -> io::Result<()> {
    // SAFETY: the kernel reads an int for this opcode, whatever its size says.
    unsafe { ioctl::ioctl(file, Setter::<BLKBSZSET, i32>::new(PAGE_SIZE)) }?;
    Ok(())
}

/// Memory for direct I/O.
pub(crate) struct DirectBuffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl DirectBuffer {
    /// `len` bytes at a block's border.
    pub(crate) fn new(len: usize) -> DirectBuffer {
        let memory = vec![0; len + BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK).min(BLOCK);
        DirectBuffer { memory, start, len }
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

/// Reads one block.
pub(crate) fn read_block(file: &File, buffer: &mut DirectBuffer, block: u64) -> io::Result<()> {
    file.read_exact_at(buffer.bytes(), block * BLOCK as u64)
}

/// Writes one block.
pub(crate) fn write_block(file: &File, buffer: &mut DirectBuffer, block: u64) -> io::Result<()> {
    file.write_all_at(buffer.bytes(), block * BLOCK as u64)
}
