// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A mirror of two block devices, by md's interface in sysfs
//! (Documentation/admin-guide/md.rst): a guest has no mdadm. It has no
//! superblock, and its halves pass for equal: nothing is written by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use irqstorm_agent::protocol::Disk;

const NEW_ARRAY: &str = "/sys/module/md_mod/parameters/new_array";

/// Arrays by name begin with "md_".
const NAME: &str = "md_irqstorm";

/// Whoever has it open is about to close it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The array.
pub(crate) struct Mirror {
    sectors: u64,
}

impl Mirror {
    /// Whether the kernel has md.
    pub(crate) fn is_known() -> bool {
        Path::new(NEW_ARRAY).exists()
    }

    /// Makes one of two block devices, by name, of so many sectors each.
    pub(crate) fn create(halves: [&str; 2], sectors: u64) -> Result<Mirror, String> {
        fs::write(NEW_ARRAY, NAME).map_err(|e| format!("create {NAME}: {e}"))?;
        let mirror = Mirror { sectors };
        match mirror.set_up(halves) {
            Ok(()) => Ok(mirror),
            Err(reason) => {
                let _ = mirror.stop();
                Err(reason)
            }
        }
    }

    fn set_up(&self, halves: [&str; 2]) -> Result<(), String> {
        tell("metadata_version", "none")?;
        tell("level", "raid1")?;
        tell("raid_disks", "2")?;
        for (slot, half) in halves.iter().enumerate() {
            let path = format!("/sys/block/{half}/dev");
            let number = fs::read_to_string(&path).map_err(|e| format!("read {path}: {e}"))?;
            tell("new_dev", number.trim())?;
            tell(&format!("dev-{half}/slot"), &slot.to_string())?;
        }
        // In KiB.
        tell("component_size", &(self.sectors / 2).to_string())?;
        tell("resync_start", "none")?;
        tell("array_state", "active")
    }

    /// It as a disk.
    pub(crate) fn disk(&self) -> Disk {
        Disk {
            name: NAME.to_owned(),
            sectors: self.sectors,
            queues: 0,
        }
    }

    /// Ends it, once nobody has it open.
    pub(crate) fn stop(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match tell("array_state", "clear") {
                // What had it open closes it a little later.
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                told => return told,
            }
        }
    }
}

fn tell(what: &str, value: &str) -> Result<(), String> {
    let path = PathBuf::from("/sys/block").join(NAME).join("md").join(what);
    fs::write(&path, value).map_err(|e| format!("set {what} of {NAME} to {value}: {e}"))
}
