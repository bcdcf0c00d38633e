// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Listening sockets that take nothing over and leave nothing behind.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For how long the lock on a socket's folder is tried: five seconds.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A path that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// Somebody listens there.
    #[error("listen on {0}: another process does; end it, or choose another path")]
    InUse(PathBuf),
    /// Something else is there.
    #[error(
        "listen on {0}: a file is there that is no socket; it is left alone, choose another path"
    )]
    NotASocket(PathBuf),
    /// The operating system's refusal.
    #[error("listen on {path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A listening socket whose file goes when this does.
#[derive(Debug)]
pub(crate) struct OwnedSocket {
    path: PathBuf,
    /// Device and inode of the file that is ours.
    identity: (u64, u64),
}

/// The same, on a socket that is its user's alone.
pub(crate) fn listen_privately(path: &Path) -> Result<(UnixListener, OwnedSocket), SocketError> {
    let listening = listen(path)?;
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path, mode).map_err(|source| SocketError::Io {
        path: path.to_owned(),
        source,
    })?;
    Ok(listening)
}

/// Listens on a path. A socket that a dead process has left is replaced.
pub(crate) fn listen(path: &Path) -> Result<(UnixListener, OwnedSocket), SocketError> {
    let failed = |source| SocketError::Io {
        path: path.to_owned(),
        source,
    };
    // Two that start at once are ordered by a lock on the folder, so that none
    // takes away the socket that the other has just made.
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let _lock = lock(folder).map_err(failed)?;
    remove_stale(path)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    let socket = OwnedSocket {
        path: path.to_owned(),
        identity: (metadata.dev(), metadata.ino()),
    };
    Ok((listener, socket))
}

/// Locks a folder against others that make a socket in it, which takes them
/// no time; whoever holds the lock for longer is none of them.
fn lock(folder: &Path) -> io::Result<File> {
    let folder = File::open(folder)?;
    for _ in 0..LOCK_TRIES {
        match folder.try_lock() {
            Ok(()) => return Ok(folder),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
    Err(io::Error::other(
        "another process keeps a lock on the folder; choose another one",
    ))
}

fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Io {
        path: path.to_owned(),
        source,
    };
    let metadata = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(failed)?,
    };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match probe(path) {
        Err(rustix::io::Errno::CONNREFUSED) => {
            tracing::info!(
                "replacing {}: nobody listens there any more",
                path.display()
            );
            fs::remove_file(path).map_err(failed)
        }
        _ => Err(SocketError::InUse(path.to_owned())),
    }
}

/// Connects, without waiting should the other side not accept.
fn probe(path: &Path) -> rustix::io::Result<()> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)
}

impl Drop for OwnedSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (_listener, socket) = listen(&path).unwrap();
        assert!(path.exists());
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_private_socket_is_its_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let _socket = listen_privately(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_live_socket_is_not_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = listen(&path).unwrap();
        assert!(matches!(listen(&path), Err(SocketError::InUse(_))));
        UnixStream::connect(&path).unwrap();
        drop(first);
    }

    #[test]
    fn a_stale_socket_is_replaced_and_anothers_file_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, socket) = listen(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        drop(socket);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert!(matches!(listen(&path), Err(SocketError::NotASocket(_))));
    }
}
