// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Empty file systems, made by the host's mkfs when the initramfs was, put onto
//! the disk and mounted.
//!
//! What the initramfs has of one is `irqstorm_agent::blocks`: its size, and its
//! blocks that are not zero.

use std::fs::{self, File, OpenOptions};
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::Path;

use irqstorm_agent::blocks;
use irqstorm_agent::protocol::Disk;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Where tests mount what they have made.
pub(crate) const PLACE: &str = "/mnt";

/// Why there is no file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoFileSystem {
    /// The host or the kernel does not know it; why.
    Unknown(String),
    /// It could not be made or mounted; why.
    Failed(String),
}

/// A mounted file system, at [`PLACE`].
#[derive(Debug)]
pub(crate) struct Mounted {
    kind: &'static str,
    device: String,
    mounted: bool,
}

impl Mounted {
    /// Makes an empty one, "xfs" or "ext4", at the begin of a disk.
    pub(crate) fn make(kind: &'static str, disk: &Disk) -> Result<Mounted, NoFileSystem> {
        let device = format!("/dev/{}", disk.name);
        put_onto(kind, &device)?;
        let mut made = Mounted {
            kind,
            device,
            mounted: false,
        };
        made.mount()?;
        Ok(made)
    }

    /// Mounts it, when it has been unmounted.
    pub(crate) fn mount(&mut self) -> Result<(), NoFileSystem> {
        let Mounted { kind, device, .. } = self;
        let failed = |e: std::io::Error| {
            NoFileSystem::Failed(format!(
                "mount {device} as {kind}: {e}; the console says more"
            ))
        };
        fs::create_dir_all(PLACE).map_err(failed)?;
        match mount(
            &**device,
            PLACE,
            *kind,
            MountFlags::NOATIME,
            None::<&std::ffi::CStr>,
        ) {
            Ok(()) => {
                self.mounted = true;
                Ok(())
            }
            Err(Errno::NODEV) => Err(NoFileSystem::Unknown(format!("this kernel has no {kind}"))),
            Err(e) => Err(failed(e.into())),
        }
    }

    /// Unmounts it: all that is dirty has been written when this returns.
    pub(crate) fn unmount(&mut self) -> Result<(), String> {
        unmount(PLACE, UnmountFlags::empty()).map_err(|e| format!("unmount {PLACE}: {e}"))?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.mounted {
            // The disk is the next test's.
            let _ = unmount(PLACE, UnmountFlags::DETACH);
        }
    }
}

fn put_onto(kind: &str, device: &str) -> Result<(), NoFileSystem> {
    let path = blocks::guest_path(kind);
    if !Path::new(&path).exists() {
        return Err(NoFileSystem::Unknown(format!(
            "the host has no mkfs.{kind}; 'irqstorm setup' brings it"
        )));
    }
    let failed =
        |what: &str, e: &dyn std::fmt::Display| NoFileSystem::Failed(format!("{what} {path}: {e}"));
    let file = File::open(&path).map_err(|e| failed("open", &e))?;
    let mut reader = blocks::Reader::new(BufReader::new(file)).map_err(|e| failed("read", &e))?;
    let disk = OpenOptions::new()
        .write(true)
        .open(device)
        .map_err(|e| failed("open the disk for", &e))?;
    fallocate(&disk, FallocateFlags::ZERO_RANGE, 0, reader.size())
        .map_err(|e| failed("zero the disk for", &e))?;
    while let Some((offset, block)) = reader.next_block().map_err(|e| failed("read", &e))? {
        disk.write_all_at(block, offset)
            .map_err(|e| failed("write to the disk", &e))?;
    }
    disk.sync_all().map_err(|e| failed("write to the disk", &e))
}
