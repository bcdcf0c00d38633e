// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One queue of a disk: the CPU whose requests go to it, its interrupt,
//! and reads through it, of which each is one request.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use irqstorm_agent::interrupts::Interrupts;
use irqstorm_agent::protocol::Disk;

use super::cpu;
use super::disk::{self, BLOCK, DirectBuffer};

/// Blocks from one read to the next: far enough apart that no two are merged.
const STRIDE: u64 = 7919;

/// A queue.
pub(crate) struct Queue {
    /// Its number, the same in blk-mq and at the device, where NVMe's admin
    /// queue has none.
    pub(crate) id: u16,
    /// The name of its interrupt in /proc/interrupts.
    pub(crate) interrupt: String,
    /// The number of its interrupt.
    pub(crate) irq: u32,
    cpu: u32,
    file: Arc<File>,
    blocks: u64,
}

/// Whether a disk is behind an NVMe controller.
pub(crate) fn is_nvme(disk: &Disk) -> bool {
    disk.name.starts_with("nvme")
}

/// The device of a disk, as its interrupts are called: `virtio0`, `nvme0`.
pub(crate) fn device_name(disk: &Disk) -> io::Result<String> {
    let device = fs::canonicalize(format!("/sys/block/{}/device", disk.name))?;
    let name = device.file_name().and_then(|name| name.to_str());
    let nameless = || io::Error::other(format!("{} has no device", disk.name));
    name.map(str::to_owned).ok_or_else(nameless)
}

/// The name of a queue's interrupt, as its driver has asked for it:
/// init_vq() of virtio_blk.c; queue_request_irq() of nvme's pci.c, where queue 0
/// is the admin queue.
fn interrupt_name(disk: &Disk, id: u16) -> io::Result<String> {
    let device = device_name(disk)?;
    Ok(match is_nvme(disk) {
        true => format!("{device}q{}", u32::from(id) + 1),
        false => format!("{device}-req.{id}"),
    })
}

impl Queue {
    /// A queue of the disk by its number.
    pub(crate) fn open(disk: &Disk, id: u16) -> io::Result<Queue> {
        let folder = PathBuf::from(format!("/sys/block/{}/mq/{id}", disk.name));
        let cpus = fs::read_to_string(folder.join("cpu_list"))?;
        let first = cpus.split(',').next().unwrap_or_default().trim();
        let cpu = first
            .parse()
            .map_err(|_| io::Error::other(format!("queue {id} has no CPU: {cpus:?}")))?;
        let interrupt = interrupt_name(disk, id)?;
        let missing = || io::Error::other(format!("there is no interrupt {interrupt}"));
        let irq = Interrupts::now()?
            .number_of(&interrupt)
            .ok_or_else(missing)?;
        Ok(Queue {
            id,
            irq,
            cpu,
            file: Arc::new(disk::open_direct(disk)?),
            blocks: (disk.sectors * 512 / BLOCK as u64).max(1),
            interrupt,
        })
    }

    /// Has the calling thread submit to this queue from now on. Its interrupt
    /// comes on the same CPU.
    pub(crate) fn pin(&self) -> io::Result<()> {
        cpu::pin(self.cpu)
    }

    /// Reads the n-th of some blocks that lie far apart: one request. The
    /// calling thread has been pinned.
    pub(crate) fn read(&self, n: u64) -> io::Result<()> {
        let mut buffer = DirectBuffer::new(BLOCK);
        disk::read_block(
            &self.file,
            &mut buffer,
            n.wrapping_mul(STRIDE) % self.blocks,
        )
    }

    /// Submits the same read from a thread of its own, which waits for it.
    pub(crate) fn start_read(self: &Arc<Queue>, n: u64) -> PendingRead {
        let queue = Arc::clone(self);
        PendingRead(thread::spawn(move || {
            queue.pin()?;
            queue.read(n)
        }))
    }
}

/// A read that may not have ended yet.
pub(crate) struct PendingRead(JoinHandle<io::Result<()>>);

impl PendingRead {
    /// Whether it has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.0.is_finished()
    }

    /// How it ended; waits for that.
    pub(crate) fn result(self) -> io::Result<()> {
        let panicked = |_| Err(io::Error::other("the thread that reads panicked"));
        self.0.join().unwrap_or_else(panicked)
    }
}
