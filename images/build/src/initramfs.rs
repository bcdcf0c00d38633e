// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The guest's root: a compressed cpio archive with what is put into it, and
//! nothing else.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cpio::newc::{self, ModeFileType};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::cache::{self, KeyBuilder};
use crate::error::{Error, io_error};

/// A file of the host's at a place in the guest, executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitramfsFile {
    /// Its path in the guest, without the leading slash.
    pub guest: String,
    /// Where it is on the host.
    pub host: PathBuf,
}

/// Makes an initramfs of these files, or finds the one made of them before.
pub(crate) fn build(cache_dir: &Path, files: &[InitramfsFile]) -> Result<PathBuf, Error> {
    let mut key = KeyBuilder::default();
    let mut contents = Vec::new();
    for file in files {
        let content = fs::read(&file.host).map_err(io_error("read", &file.host))?;
        key.add(&file.guest, &content);
        contents.push((file.guest.as_str(), content));
    }
    let path = cache_dir
        .join("initramfs")
        .join(format!("{}.cpio.gz", key.finish()));
    if !path.is_file() {
        let archive = archive(&contents).map_err(io_error("make", &path))?;
        cache::write_whole(&path, &archive)?;
    }
    Ok(path)
}

/// The archive's bytes: the same files give the same bytes.
fn archive(files: &[(&str, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut archive = GzEncoder::new(Vec::new(), Compression::fast());
    let mut inode = 1;
    let mut add =
        |name: &str, kind: ModeFileType, mode: u32, device: (u32, u32), content: &[u8]| {
            inode += 1;
            let size = u32::try_from(content.len()).map_err(io::Error::other)?;
            let mut entry = newc::Builder::new(name)
                .ino(inode)
                .nlink(1)
                .mode(mode)
                .set_mode_file_type(kind)
                .rdev_major(device.0)
                .rdev_minor(device.1)
                .write(&mut archive, size);
            entry.write_all(content)?;
            entry.finish().map(|_| ())
        };
    let mut folders = vec!["dev".to_owned()];
    for (name, _) in files {
        let mut parents: Vec<&Path> = Path::new(name).ancestors().skip(1).collect();
        parents.reverse();
        for parent in parents {
            let parent = parent.to_string_lossy().into_owned();
            if !parent.is_empty() && !folders.contains(&parent) {
                folders.push(parent);
            }
        }
    }
    for folder in &folders {
        add(folder, ModeFileType::Directory, 0o755, (0, 0), &[])?;
    }
    // The kernel opens /dev/console for init before anything is mounted:
    // major 5, minor 1 of Documentation/admin-guide/devices.txt.
    add("dev/console", ModeFileType::Char, 0o600, (5, 1), &[])?;
    for (name, content) in files {
        add(name, ModeFileType::Regular, 0o755, (0, 0), content)?;
    }
    newc::trailer(&mut archive)?;
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_archive_has_the_files_and_their_folders() {
        let bytes = archive(&[
            ("init", b"agent".to_vec()),
            ("lib/probe.ko", b"ko".to_vec()),
        ])
        .unwrap();
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..])
            .read_to_end(&mut plain)
            .unwrap();
        let mut rest = &plain[..];
        let mut names = Vec::new();
        loop {
            let mut reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            names.push((reader.entry().name().to_owned(), content));
            rest = reader.finish().unwrap();
        }
        let expected = [
            ("dev", ""),
            ("lib", ""),
            ("dev/console", ""),
            ("init", "agent"),
            ("lib/probe.ko", "ko"),
        ];
        let expected =
            expected.map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec()));
        assert_eq!(names, expected);
    }

    #[test]
    fn the_same_files_give_the_same_archive_and_path() {
        let folder = tempfile::tempdir().unwrap();
        let host = folder.path().join("agent");
        fs::write(&host, "one").unwrap();
        let files = [InitramfsFile {
            guest: "init".into(),
            host: host.clone(),
        }];
        let first = build(folder.path(), &files).unwrap();
        let bytes = fs::read(&first).unwrap();
        fs::remove_file(&first).unwrap();
        assert_eq!(build(folder.path(), &files).unwrap(), first);
        assert_eq!(fs::read(&first).unwrap(), bytes);
        fs::write(&host, "two").unwrap();
        assert_ne!(build(folder.path(), &files).unwrap(), first);
    }
}
