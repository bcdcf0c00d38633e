// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A disk in a raw file or on a block device of the host.

use std::fs::{File, TryLockError};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::aligned::AlignedBuffer;
use super::{Geometry, Store, admit};
use crate::queue::GuestBuffers;
use crate::request::{Extent, Operation, Outcome, Request, SECTOR_SIZE, Status};

/// Bytes that move between guest and file at once.
const BOUNCE: usize = 1 << 20;

/// Where memory must begin for O_DIRECT: the strictest that hosts of today ask.
const DIRECT_ALIGN: usize = 4096;

/// How a file is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// Logical block size told to the guest, in bytes.
    pub block_size: u32,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether the host's page cache is passed by (O_DIRECT).
    pub direct: bool,
}

/// A file that cannot be a disk.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system's own refusal.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another device has it.
    #[error("use {path}: another process has it locked; end that, or open both with --read-only")]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Neither a file nor a block device.
    #[error("use {path}: it is neither a regular file nor a block device")]
    NotADisk {
        /// The path.
        path: PathBuf,
    },
    /// No data.
    #[error("use {path}: it is empty; 'truncate -s 1G {path}' makes a sparse disk of it")]
    Empty {
        /// The path.
        path: PathBuf,
    },
    /// A size between two blocks.
    #[error(
        "use {path}: its size of {size} bytes is not a multiple of the block size of \
         {block_size}; 'truncate -s %{block_size} {path}' rounds it up"
    )]
    OddSize {
        /// The path.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// What it should be a multiple of.
        block_size: u32,
    },
    /// O_DIRECT with blocks smaller than the host's.
    #[error(
        "read {path} past the page cache in blocks of {block_size} bytes: {source}; \
         try --block-size 4096, or leave --direct out"
    )]
    Direct {
        /// The path.
        path: PathBuf,
        /// What was tried.
        block_size: u32,
        /// The host's refusal.
        source: io::Error,
    },
}

/// A disk in a raw file or on a block device. Flush means fdatasync.
pub struct FileStore {
    file: File,
    direct: bool,
    geometry: Geometry,
    bounce: AlignedBuffer,
}

impl FileStore {
    /// Opens a file that exists. Nothing of it is changed by opening.
    pub fn open(path: &Path, options: FileOptions) -> Result<FileStore, FileError> {
        let failed = |action, source: io::Error| FileError::Io {
            action,
            path: path.to_owned(),
            source,
        };
        let mut flags = OFlags::CLOEXEC;
        flags |= match options.read_only {
            true => OFlags::RDONLY,
            false => OFlags::RDWR,
        };
        if options.direct {
            flags |= OFlags::DIRECT;
        }
        let file: File = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|e| failed("open", e.into()))?
            .into();
        let metadata = file.metadata().map_err(|e| failed("look at", e))?;
        let kind = metadata.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(FileError::NotADisk {
                path: path.to_owned(),
            });
        }
        lock(&file, options.read_only).map_err(|e| match e {
            TryLockError::WouldBlock => FileError::InUse {
                path: path.to_owned(),
            },
            TryLockError::Error(source) => failed("lock", source),
        })?;
        // Works for block devices too, whose metadata has no size.
        let size =
            io::Seek::seek(&mut &file, io::SeekFrom::End(0)).map_err(|e| failed("measure", e))?;
        check_size(path, size, options.block_size)?;
        let mut store = FileStore {
            file,
            direct: options.direct,
            geometry: Geometry {
                sectors: size / SECTOR_SIZE,
                block_size: options.block_size,
                read_only: options.read_only,
            },
            bounce: AlignedBuffer::new(BOUNCE, DIRECT_ALIGN),
        };
        if options.direct {
            store.try_direct().map_err(|source| FileError::Direct {
                path: path.to_owned(),
                block_size: options.block_size,
                source,
            })?;
        }
        Ok(store)
    }

    /// Whether the host's page cache is passed by.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// Carries a read out if the host's page cache has all of it, and none that
    /// would wait for the disk. Through O_DIRECT there is no page cache, and
    /// some file systems cannot tell; [`FileStore::tells_what_waits`] can.
    pub fn read_cached(
        &mut self,
        request: &Request,
        buffers: &dyn GuestBuffers,
    ) -> Option<Outcome> {
        let extent = request.extents.first()?;
        let read = self.transfer(extent, |file, piece, offset, done| {
            let mut into = [IoSliceMut::new(piece)];
            let read = preadv2(file, &mut into, offset, ReadWriteFlags::NOWAIT)?;
            match read == piece.len() {
                true => buffers.write(done, piece).map_err(io::Error::other),
                false => Err(io::ErrorKind::WouldBlock.into()),
            }
        });
        read.is_ok().then(|| Outcome::ok(request.bytes()))
    }

    /// Whether the file system can tell a read that would wait for the disk from
    /// one that would not.
    pub fn tells_what_waits(&self) -> bool {
        let mut byte = [0];
        let mut into = [IoSliceMut::new(&mut byte)];
        let read = preadv2(&self.file, &mut into, 0, ReadWriteFlags::NOWAIT);
        !self.direct && matches!(read, Ok(_) | Err(Errno::AGAIN))
    }

    /// Reads one block: alignment that the host refuses shows up here rather
    /// than as the guest's I/O errors.
    fn try_direct(&mut self) -> io::Result<()> {
        let block = usize::try_from(self.geometry.block_size).unwrap_or(BOUNCE);
        self.file
            .read_exact_at(&mut self.bounce.as_mut()[..block], 0)
    }

    /// Moves an extent's data through the bounce buffer.
    fn transfer(
        &mut self,
        extent: &Extent,
        mut step: impl FnMut(&File, &mut [u8], u64, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let (Some(offset), Some(bytes)) = (extent.byte_offset(), extent.byte_len()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut done = 0;
        while done < bytes {
            let count = BOUNCE.min(usize::try_from(bytes - done).unwrap_or(BOUNCE));
            let piece = &mut self.bounce.as_mut()[..count];
            step(&self.file, piece, offset + done, done)?;
            done += count as u64;
        }
        Ok(())
    }

    fn read(&mut self, extent: &Extent, buffers: &dyn GuestBuffers) -> io::Result<()> {
        self.transfer(extent, |file, piece, offset, done| {
            file.read_exact_at(piece, offset)?;
            buffers.write(done, piece).map_err(io::Error::other)
        })
    }

    fn write(&mut self, extent: &Extent, buffers: &dyn GuestBuffers) -> io::Result<()> {
        self.transfer(extent, |file, piece, offset, done| {
            buffers.read(done, piece).map_err(io::Error::other)?;
            file.write_all_at(piece, offset)
        })
    }

    /// Gives the space back if the host can; a discard is only a hint.
    fn discard(&mut self, extent: &Extent) -> io::Result<()> {
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match self.allocate(extent, punch) {
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(()),
            result => result,
        }
    }

    fn write_zeroes(&mut self, extent: &Extent, unmap: bool) -> io::Result<()> {
        let flags = match unmap {
            true => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            false => FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE,
        };
        match self.allocate(extent, flags) {
            Err(e) if e.kind() == io::ErrorKind::Unsupported => {
                self.transfer(extent, |file, piece, offset, _| {
                    piece.fill(0);
                    file.write_all_at(piece, offset)
                })
            }
            result => result,
        }
    }

    fn allocate(&self, extent: &Extent, flags: FallocateFlags) -> io::Result<()> {
        let (Some(offset), Some(bytes)) = (extent.byte_offset(), extent.byte_len()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if bytes == 0 {
            return Ok(());
        }
        rustix::fs::fallocate(&self.file, flags, offset, bytes).map_err(io::Error::from)
    }

    fn carry_out(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> io::Result<()> {
        if request.operation == Operation::Flush {
            return self.file.sync_data();
        }
        for extent in &request.extents {
            match request.operation {
                Operation::Read => self.read(extent, buffers)?,
                Operation::Write => self.write(extent, buffers)?,
                Operation::Discard => self.discard(extent)?,
                Operation::WriteZeroes => self.write_zeroes(extent, request.unmap)?,
                Operation::Flush | Operation::Identify | Operation::Malformed => {}
            }
        }
        Ok(())
    }
}

/// The file: for other ways to read and write it.
impl AsFd for FileStore {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Keeps other devices from a disk that one writes to; readers share it. The
/// lock goes with the file.
fn lock(file: &File, read_only: bool) -> Result<(), TryLockError> {
    match read_only {
        true => file.try_lock_shared(),
        false => file.try_lock(),
    }
}

fn check_size(path: &Path, size: u64, block_size: u32) -> Result<(), FileError> {
    if size == 0 {
        return Err(FileError::Empty {
            path: path.to_owned(),
        });
    }
    if !size.is_multiple_of(u64::from(block_size)) {
        return Err(FileError::OddSize {
            path: path.to_owned(),
            size,
            block_size,
        });
    }
    Ok(())
}

impl Store for FileStore {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn execute(&mut self, request: &Request, buffers: &dyn GuestBuffers) -> Outcome {
        if let Err(status) = admit(&self.geometry, request, buffers) {
            return Outcome::failed(status);
        }
        match self.carry_out(request, buffers) {
            Ok(()) if request.operation == Operation::Read => Outcome::ok(request.bytes()),
            Ok(()) => Outcome::ok(0),
            Err(_) => Outcome::failed(Status::IoError),
        }
    }
}
