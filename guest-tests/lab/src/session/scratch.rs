// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The disk of a machine, and the file for what else the device would keep in
//! memory: where QEMU serves the disk itself, or the device may be killed.

use std::fs::{self, File};
use std::path::PathBuf;

use crate::cli::{ControllerArguments, DiskKind, Doorbells};
use crate::device::{Disk, Store};
use crate::failure::{Failure, io_failure};
use crate::qemu::{Image, MachineDisk};
use crate::results::Folder;

/// A file that is gone with its owner.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is in the results folder, for everybody to see, if that fails.
        let _ = fs::remove_file(&self.0);
    }
}

/// A sparse file in a results folder, of so many MiB.
pub(crate) fn scratch(folder: &Folder, mib: u32) -> Result<(PathBuf, Scratch), Failure> {
    let path = folder.join("disk.img");
    File::create(&path)
        .and_then(|file| file.set_len(u64::from(mib) << 20))
        .map_err(io_failure("create", &path))?;
    Ok((path.clone(), Scratch(path)))
}

/// The disk as a machine has it, with at most so many queues, and what has to be
/// kept as long as that runs.
pub(crate) fn machine_disk(
    (kind, controller): (DiskKind, &ControllerArguments),
    disk: &Disk,
    queues: u16,
    folder: &Folder,
) -> Result<(MachineDisk, Option<Scratch>), Failure> {
    match kind {
        DiskKind::Virtio => return Ok((MachineDisk::VhostUser { reconnect: None }, None)),
        DiskKind::Nvme => {
            let nvme = MachineDisk::VfioUser {
                offered: queues,
                mapped: controller.doorbells == Some(Doorbells::Mapped),
            };
            return Ok((nvme, None));
        }
        DiskKind::QemuNvme => {}
    }
    let (path, scratch) = match &disk.store {
        Store::File(path) => (path.clone(), None),
        Store::Memory(mib) => {
            let (path, scratch) = scratch(folder, *mib)?;
            (path, Some(scratch))
        }
    };
    let image = Image {
        path,
        read_only: disk.read_only,
        block_size: disk.block_size,
    };
    Ok((MachineDisk::Emulated(image), scratch))
}
