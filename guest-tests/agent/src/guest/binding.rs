// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A disk's device and the driver that it is bound to, which is as far as a
//! guest can plug and unplug it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use irqstorm_agent::protocol::Disk;

use super::queue::is_nvme;

/// A device on its bus.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    /// Its name there: `virtio0`, `0000:00:02.0`.
    pub(crate) name: String,
    driver: &'static str,
    device: PathBuf,
}

impl Binding {
    /// The device of a disk.
    pub(crate) fn of(disk: &Disk) -> io::Result<Binding> {
        let (driver, link) = match is_nvme(disk) {
            // The disk is its controller's, which is the PCI device's.
            true => ("/sys/bus/pci/drivers/nvme", "device/device"),
            false => ("/sys/bus/virtio/drivers/virtio_blk", "device"),
        };
        let device = fs::canonicalize(Path::new("/sys/block").join(&disk.name).join(link))?;
        let name = device.file_name().and_then(|name| name.to_str());
        let nameless = || io::Error::other(format!("{} has no device", disk.name));
        Ok(Binding {
            name: name.ok_or_else(nameless)?.to_owned(),
            driver,
            device,
        })
    }

    /// Takes the disk away; returns when it is gone.
    pub(crate) fn unbind(&self) -> io::Result<()> {
        fs::write(Path::new(self.driver).join("unbind"), &self.name)
    }

    /// Brings it back; it may take a moment to be there.
    pub(crate) fn bind(&self) -> io::Result<()> {
        fs::write(Path::new(self.driver).join("bind"), &self.name)
    }

    /// The name of its disk, if it has one: `vda`, `nvme0n1`.
    pub(crate) fn disk(&self) -> Option<String> {
        disk_in(&self.device)
    }
}

/// The name of the disk of a device, by its folder.
pub(super) fn disk_in(device: &Path) -> Option<String> {
    let block = device.join("block");
    let disks = match block.is_dir() {
        true => names_in(&block),
        // A controller `nvmeX`, and in it a namespace `nvmeXnY`.
        false => {
            let controllers = device.join("nvme");
            let controller = names_in(&controllers).into_iter().next()?;
            names_in(&controllers.join(controller))
        }
    };
    let is_disk = |name: &String| Path::new("/sys/block").join(name).is_dir();
    disks.into_iter().find(is_disk)
}

/// The names in a folder; none if there is no such folder.
pub(super) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.collect()
}
