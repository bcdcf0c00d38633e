// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Keys, and files that are whole or absent.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, io_error};

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

/// A new folder beside `target`, on the same file system, that vanishes unless
/// it is published.
pub(crate) fn staging(target: &Path) -> Result<tempfile::TempDir, Error> {
    let parent = target.parent().unwrap_or(Path::new("."));
    create_dir(parent)?;
    tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(parent)
        .map_err(io_error("create a folder in", parent))
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
