// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Keys, and files that are whole or absent.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::error::{Error, io_error};

/// Names of folders that are being worked in begin so.
const UNFINISHED: &str = ".new-";

/// No build takes so long: what is older was left by a process that was killed.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Names a product after everything that went into it.
#[derive(Default)]
pub(crate) struct KeyBuilder(Sha256);

impl KeyBuilder {
    /// Adds an ingredient under a label: both change the key.
    pub(crate) fn add(&mut self, label: &str, bytes: &[u8]) -> &mut KeyBuilder {
        for part in [label.as_bytes(), bytes] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    /// Adds a file's content under its name.
    pub(crate) fn add_file(&mut self, path: &Path) -> Result<&mut KeyBuilder, Error> {
        let content = fs::read(path).map_err(io_error("read", path))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(self.add(&name, &content))
    }

    /// The key: 16 hexadecimal digits.
    pub(crate) fn finish(&self) -> String {
        hex(&self.0.clone().finalize())[..16].to_owned()
    }
}

/// Names a file's content, as the products of the cache are named: a program
/// that was built anew and came out the same keeps its key.
pub fn file_key(path: &Path) -> Result<String, Error> {
    Ok(KeyBuilder::default().add_file(path)?.finish())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path).map_err(io_error("open", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).map_err(io_error("read", path))?;
        if count == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..count]);
    }
}

pub(crate) fn create_dir(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(io_error("create folder", path))
}

/// A new folder in `parent` that vanishes with its owner.
pub(crate) fn scratch(parent: &Path) -> Result<tempfile::TempDir, Error> {
    create_dir(parent)?;
    tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(parent)
        .map_err(io_error("create a folder in", parent))
}

/// A new folder beside `target`, on the same file system, that vanishes unless
/// it is published. What killed processes left there goes first.
pub(crate) fn staging(target: &Path) -> Result<tempfile::TempDir, Error> {
    let parent = target.parent().unwrap_or(Path::new("."));
    create_dir(parent)?;
    remove_unfinished(parent, ABANDONED)?;
    scratch(parent)
}

/// Removes the folders that a killed process was working in, if they have not
/// been touched for so long.
pub(crate) fn remove_unfinished(parent: &Path, age: Duration) -> Result<(), Error> {
    for entry in fs::read_dir(parent).map_err(io_error("list", parent))? {
        let entry = entry.map_err(io_error("list", parent))?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            continue;
        }
        let path = entry.path();
        let touched = entry.metadata().and_then(|metadata| metadata.modified());
        // One that another process has removed by now is as good.
        if touched.is_ok_and(|time| time.elapsed().is_ok_and(|elapsed| elapsed >= age)) {
            fs::remove_dir_all(&path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

/// Refuses at once what would fill the disk: `bytes` are needed at `folder`.
pub(crate) fn require_space(folder: &Path, bytes: u64) -> Result<(), Error> {
    let disk = rustix::fs::statvfs(folder)
        .map_err(|errno| io_error("ask for the free space at", folder)(errno.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= bytes {
        return Ok(());
    }
    Err(Error::NoSpace {
        folder: folder.to_owned(),
        free_mib: free >> 20,
        needed_mib: bytes >> 20,
    })
}

/// Makes a finished folder appear at `target`, all at once. If another process
/// was first, its product stays and ours vanishes: they are the same.
pub(crate) fn publish(staged: tempfile::TempDir, target: &Path) -> Result<(), Error> {
    match fs::rename(staged.path(), target) {
        Ok(()) => {
            // It moved: nothing is left to remove.
            let _ = staged.keep();
            Ok(())
        }
        Err(_) if target.exists() => Ok(()),
        Err(source) => Err(io_error("move a finished build to", target)(source)),
    }
}

/// Writes a file so that it is there whole or not at all.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(Path::new("."));
    create_dir(parent)?;
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        io::Write::write_all(&mut file, content)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(mode)?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(io_error("write", path))
}

/// Where everything is kept: $XDG_CACHE_HOME/irqstorm, or ~/.cache/irqstorm.
pub fn default_dir() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = match set("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(set("HOME")?).join(".cache"),
    };
    Some(base.join("irqstorm"))
}

/// Holds a tree for one process; others wait, and say so.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn take(path: &Path, mut on_wait: impl FnMut()) -> Result<Lock, Error> {
        if let Some(parent) = path.parent() {
            create_dir(parent)?;
        }
        let file = File::create(path).map_err(io_error("open lock", path))?;
        if file.try_lock().is_err() {
            on_wait();
            file.lock().map_err(io_error("lock", path))?;
        }
        Ok(Lock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[(&str, &[u8])]) -> String {
        let mut key = KeyBuilder::default();
        for (label, bytes) in parts {
            key.add(label, bytes);
        }
        key.finish()
    }

    #[test]
    fn every_label_byte_and_border_changes_a_key() {
        let one = key(&[("a", b"bc"), ("d", b"")]);
        assert_eq!(one, key(&[("a", b"bc"), ("d", b"")]));
        assert_eq!(one.len(), 16);
        for other in [
            key(&[("a", b"bx"), ("d", b"")]),
            key(&[("x", b"bc"), ("d", b"")]),
            key(&[("ab", b"c"), ("d", b"")]),
            key(&[("a", b"bc")]),
            key(&[("d", b""), ("a", b"bc")]),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_product_is_whole_or_absent() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("kernels/k");
        let staged = staging(&target).unwrap();
        fs::write(staged.path().join("bzImage"), "half").unwrap();
        assert!(!target.exists());
        drop(staged);
        let staged = staging(&target).unwrap();
        fs::write(staged.path().join("bzImage"), "whole").unwrap();
        publish(staged, &target).unwrap();
        let content = fs::read_to_string(target.join("bzImage")).unwrap();
        assert_eq!(content, "whole");
        assert_eq!(
            fs::read_dir(folder.path().join("kernels")).unwrap().count(),
            1
        );
    }

    #[test]
    fn the_second_to_publish_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("k");
        let (first, second) = (staging(&target).unwrap(), staging(&target).unwrap());
        for (staged, content) in [(first, "first"), (second, "second")] {
            fs::write(staged.path().join("f"), content).unwrap();
            publish(staged, &target).unwrap();
        }
        assert_eq!(fs::read_to_string(target.join("f")).unwrap(), "first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_abandoned_work_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let keep = folder.path().join("kernel");
        let work = folder.path().join(".new-x");
        fs::create_dir(&keep).unwrap();
        fs::create_dir(&work).unwrap();
        remove_unfinished(folder.path(), ABANDONED).unwrap();
        assert!(work.exists());
        remove_unfinished(folder.path(), Duration::ZERO).unwrap();
        assert!(!work.exists() && keep.exists());
    }

    #[test]
    fn a_disk_too_small_is_refused_with_both_figures() {
        let folder = tempfile::tempdir().unwrap();
        require_space(folder.path(), 1).unwrap();
        let error = require_space(folder.path(), u64::MAX).unwrap_err();
        assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    }
}
