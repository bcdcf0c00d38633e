// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From the command line to the store with the disk's data.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use irqstorm_core::request::SECTOR_SIZE;
use irqstorm_core::store::{
    FileError, FileOptions, FileStore, Geometry, NullStore, RamStore, Store,
};
use irqstorm_uring::{Through, UringStore};

use crate::args::{Disk, FileIo};
use crate::size::Size;
use crate::{Failure, bad_input};

/// How long the kernel may take to end the I/O of a device that was killed: it
/// has its file until then.
const LETS_GO: Duration = Duration::from_secs(2);

/// From one look at a file that is in use to the next.
const LOOK: Duration = Duration::from_millis(5);

/// Opens what the command line says; nothing of a disk is opened after this.
pub(crate) fn open(disk: &Disk) -> Result<Box<dyn Store>, Failure> {
    if let Some(path) = &disk.blk_file {
        let options = FileOptions {
            block_size: disk.block_size,
            read_only: disk.read_only,
            direct: disk.direct,
        };
        let file = open_file(path, options).map_err(bad_input)?;
        return with_io(file, disk.file_io);
    }
    let geometry = |size: Size| {
        if !size.0.is_multiple_of(u64::from(disk.block_size)) {
            return Err(bad_input(anyhow!(
                "make a disk of {} bytes: its size is no multiple of the block size of {}; \
                 {} would be",
                size.0,
                disk.block_size,
                size.0.saturating_add(u64::from(disk.block_size) - 1) / u64::from(disk.block_size)
                    * u64::from(disk.block_size)
            )));
        }
        Ok(Geometry {
            sectors: size.0 / SECTOR_SIZE,
            block_size: disk.block_size,
            read_only: disk.read_only,
        })
    };
    match (disk.ram, disk.null) {
        (Some(size), _) => Ok(Box::new(RamStore::new(geometry(size)?))),
        (_, Some(size)) => Ok(Box::new(NullStore::new(geometry(size)?))),
        _ => Err(bad_input(anyhow!(
            "make a disk: say where its data is, with --ram SIZE, --blk-file FILE or --null SIZE"
        ))),
    }
}

/// A file that its last user is about to let go is waited for.
fn open_file(path: &Path, options: FileOptions) -> Result<FileStore, FileError> {
    let begun = Instant::now();
    loop {
        match FileStore::open(path, options) {
            Err(FileError::InUse { .. }) if begun.elapsed() < LETS_GO => thread::sleep(LOOK),
            opened => return opened,
        }
    }
}

/// The file, by io_uring if that is asked for, or can be and pays.
fn with_io(file: FileStore, io: FileIo) -> Result<Box<dyn Store>, Failure> {
    let through = match io {
        FileIo::Sync => None,
        FileIo::Uring => Some(Through::All),
        FileIo::Auto => Through::what_pays(&file),
    };
    let Some(through) = through else {
        tracing::info!("file I/O: one request after the other");
        return Ok(Box::new(file));
    };
    match UringStore::new(file, through) {
        Ok(store) => {
            let what = match through {
                Through::All => "",
                Through::Waits => " for what waits for the disk",
            };
            let registered = store.is_registered();
            tracing::info!(registered, "file I/O: io_uring{what}");
            Ok(Box::new(store))
        }
        Err(refused) if io == FileIo::Auto => {
            let why = refused.why;
            tracing::info!("file I/O: one request after the other; failed to {why}");
            Ok(Box::new(refused.file))
        }
        Err(refused) => Err(bad_input(anyhow!(
            "{}; --file-io sync does without",
            refused.why
        ))),
    }
}
