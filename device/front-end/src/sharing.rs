// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Whether the guest's memory is shared with us, or only looks so.
//!
//! QEMU passes the fd of a memory backend even with `share=off`. It then maps
//! the file privately, so that what the guest writes never reaches the file:
//! its rings would look empty for ever, with nothing said. Nothing in the
//! protocol tells the difference, but the kernel lists who maps the file how.

use std::fs::File;
use std::path::Path;

use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

/// What to start QEMU with, as advice in a message.
pub const ADVICE: &str = "start QEMU with '-object memory-backend-memfd,id=mem,size=SIZE,share=on \
     -machine memory-backend=mem'";

/// Guest memory in which the device would see nothing of what the guest writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("guest RAM is not shared: process {pid} maps it privately; {ADVICE}")]
pub struct NotShared {
    pid: u32,
}

/// A file as `/proc/PID/maps` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    major: u32,
    minor: u32,
    inode: u64,
}

/// Refuses memory that some process maps only privately. Processes that this
/// one may not look at are passed over.
pub fn check(memory: &GuestMemoryMmap) -> Result<(), NotShared> {
    let mut checked = Vec::new();
    for region in memory.iter() {
        let file = region.file_offset().and_then(|at| FileId::of(at.file()));
        let Some(file) = file.filter(|file| !checked.contains(file)) else {
            continue;
        };
        if let Some(pid) = private_owner(Path::new("/proc"), file) {
            return Err(NotShared { pid });
        }
        checked.push(file);
    }
    Ok(())
}

impl FileId {
    fn of(file: &File) -> Option<FileId> {
        let stat = rustix::fs::fstat(file).ok()?;
        Some(FileId {
            major: rustix::fs::major(stat.st_dev),
            minor: rustix::fs::minor(stat.st_dev),
            inode: stat.st_ino,
        })
    }
}

/// A process that maps `file`, and nowhere as shared.
fn private_owner(proc: &Path, file: FileId) -> Option<u32> {
    std::fs::read_dir(proc).ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let maps = std::fs::read(entry.path().join("maps")).ok()?;
        maps_privately(&String::from_utf8_lossy(&maps), file).then_some(pid)
    })
}

fn maps_privately(maps: &str, file: FileId) -> bool {
    let mut private = false;
    for (permissions, mapped) in maps.lines().filter_map(mapping) {
        if mapped == file {
            if permissions.ends_with('s') {
                return false;
            }
            private = true;
        }
    }
    private
}

/// Permissions and file of one line of maps: address, permissions, offset,
/// major:minor, inode, name (proc(5)).
fn mapping(line: &str) -> Option<(&str, FileId)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let permissions = fields.next()?;
    let (major, minor) = fields.nth(1)?.split_once(':')?;
    let file = FileId {
        major: u32::from_str_radix(major, 16).ok()?,
        minor: u32::from_str_radix(minor, 16).ok()?,
        inode: fields.next()?.parse().ok()?,
    };
    Some((permissions, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId {
        major: 0,
        minor: 0x1f,
        inode: 4711,
    };

    const PRIVATE: &str = "\
7f0000000000-7f0010000000 rw-p 00000000 00:1f 4711   /memfd:memory-backend-memfd (deleted)
7f0020000000-7f0020001000 r--s 00000000 00:1f 4712   /memfd:other (deleted)
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0      [stack]
";

    const SHARED: &str = "\
7f0000000000-7f0010000000 rw-s 00000000 00:1f 4711   /memfd:memory-backend-memfd (deleted)
7f0020000000-7f0020001000 rw-p 00000000 00:1f 4711   /memfd:memory-backend-memfd (deleted)
";

    #[test]
    fn memory_mapped_only_privately_is_told_from_memory_mapped_shared() {
        assert!(maps_privately(PRIVATE, FILE));
        assert!(!maps_privately(SHARED, FILE));
        let elsewhere = FileId { minor: 1, ..FILE };
        assert!(!maps_privately(PRIVATE, elsewhere));
        assert!(!maps_privately("nonsense\n\n1 2 3 4 5\n", FILE));
    }

    #[test]
    fn the_process_that_maps_it_privately_is_named() {
        let proc = tempfile::tempdir().unwrap();
        for (name, maps) in [
            ("1", ""),
            ("20", SHARED),
            ("300", PRIVATE),
            ("self", PRIVATE),
        ] {
            std::fs::create_dir(proc.path().join(name)).unwrap();
            std::fs::write(proc.path().join(name).join("maps"), maps).unwrap();
        }
        std::fs::create_dir(proc.path().join("4000")).unwrap();
        assert_eq!(private_owner(proc.path(), FILE), Some(300));
        std::fs::remove_dir_all(proc.path().join("300")).unwrap();
        assert_eq!(private_owner(proc.path(), FILE), None);
    }

    #[test]
    fn a_file_is_named_as_the_kernel_lists_it() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let region = vm_memory::FileOffset::new(file.try_clone().unwrap(), 0);
        let memory = GuestMemoryMmap::<()>::from_ranges_with_files([(
            vm_memory::GuestAddress(0),
            4096,
            Some(region),
        )])
        .unwrap();
        let id = FileId::of(&file).unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let listed: Vec<_> = maps
            .lines()
            .filter_map(mapping)
            .filter(|(_, mapped)| *mapped == id)
            .collect();
        assert_eq!(listed, [("rw-s", id)]);
        assert_eq!(check(&memory), Ok(()));
    }
}
