// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Empty file systems for the guest, which has no mkfs: the host's makes each
//! once, in a sparse file, and what is kept is what the caller packs of it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{self, KeyBuilder};
use crate::command::{output_with_errors, run_logged};
use crate::error::{Error, io_error};

/// Where mkfs is, besides $PATH: ordinary users' is often without these.
const FOLDERS: &[&str] = &["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// One UUID for all: the same mkfs makes the same file system.
const UUID: &str = "6972714f-7374-6f72-6d00-000000000001";

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
}

impl FileSystem {
    /// All of them.
    pub const ALL: [FileSystem; 2] = [FileSystem::Ext4, FileSystem::Xfs];

    /// What mount(2) calls it.
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
        }
    }

    /// Bytes: no mkfs of either calls it too small.
    fn size(self) -> u64 {
        match self {
            FileSystem::Ext4 => 64 << 20,
            FileSystem::Xfs => 300 << 20,
        }
    }

    /// What mkfs is told, besides the image.
    fn arguments(self) -> Vec<String> {
        let words: &[&str] = match self {
            // Everything is written at once: nothing goes on in the background.
            FileSystem::Ext4 => &[
                "-q",
                "-F",
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0",
                "-U",
                UUID,
            ],
            FileSystem::Xfs => &["-q", "-f", "-m"],
        };
        let mut arguments: Vec<String> = words.iter().map(|&word| word.into()).collect();
        if self == FileSystem::Xfs {
            arguments.push(format!("uuid={UUID}"));
        }
        arguments
    }
}

/// The packed image of an empty file system, made if that has not been done.
pub(crate) fn empty(
    cache_dir: &Path,
    kind: FileSystem,
    pack: impl FnOnce(File, &mut Vec<u8>) -> io::Result<()>,
) -> Result<Option<PathBuf>, Error> {
    let Some(mkfs) = find(&format!("mkfs.{}", kind.name())) else {
        return Ok(None);
    };
    let version = output_with_errors(Command::new(&mkfs).arg("-V"))?;
    let mut key = KeyBuilder::default();
    key.add("mkfs", version.as_bytes());
    key.add("size", &kind.size().to_le_bytes());
    key.add("arguments", kind.arguments().join(" ").as_bytes());
    let folder = cache_dir.join("filesystems");
    let path = folder.join(format!("{}-{}", kind.name(), key.finish()));
    if path.is_file() {
        return Ok(Some(path));
    }
    let scratch = cache::scratch(&folder)?;
    let image = scratch.path().join("image");
    File::create(&image)
        .and_then(|file| file.set_len(kind.size()))
        .map_err(io_error("create", &image))?;
    let stage = format!("make an empty {}", kind.name());
    let mut make = Command::new(&mkfs);
    make.args(kind.arguments()).arg(&image);
    run_logged(&stage, &mut make, &path.with_extension("log"), |_| ())?;
    let mut packed = Vec::new();
    File::open(&image)
        .and_then(|file| pack(file, &mut packed))
        .map_err(io_error("pack", &image))?;
    cache::write_whole(&path, &packed)?;
    Ok(Some(path))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS.iter().map(PathBuf::from));
    let mut candidates = folders.map(|folder| folder.join(program));
    candidates.find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;

    #[test]
    fn a_file_system_is_made_once_and_has_its_magic() {
        let folder = tempfile::tempdir().unwrap();
        let mut packs = 0;
        for _ in 0..2 {
            let made = empty(folder.path(), FileSystem::Xfs, |image, to| {
                packs += 1;
                image.take(4).read_to_end(to).map(drop)
            });
            // A host without mkfs.xfs has nothing to show.
            let Some(path) = made.unwrap() else {
                return;
            };
            assert_eq!(fs::read(path).unwrap(), b"XFSB");
        }
        assert_eq!(packs, 1);
    }
}
