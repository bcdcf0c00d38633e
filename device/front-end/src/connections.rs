// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One connection after another, until another thread says that it is enough.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, PollFd, PollFlags};

/// Waiting for a connection, or taking it over, failed.
#[derive(Debug, thiserror::Error)]
#[error("wait for a connection: {0}")]
pub struct WaitError(#[source] pub io::Error);

/// What a server does with its connections.
pub struct Connections(Arc<Stop>);

/// Ends a server from another thread; clones end the same one.
#[derive(Clone)]
pub struct StopHandle(Arc<Stop>);

struct Stop {
    asked: AtomicBool,
    wake: OwnedFd,
    /// The one being served.
    connection: Mutex<Option<UnixStream>>,
}

impl Stop {
    fn lock(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

/// Ends a connection, on both sides.
fn end(connection: &UnixStream) {
    // Ended already: nothing to do.
    let _ = connection.shutdown(Shutdown::Both);
}

impl StopHandle {
    /// Ends the waiting for a connection and the connection being served.
    /// Does not wait for that; can be called again.
    pub fn stop(&self) {
        self.0.asked.store(true, Ordering::Release);
        // A full counter wakes as well as one more.
        let _ = rustix::io::write(&self.0.wake, &1u64.to_ne_bytes());
        if let Some(connection) = self.0.lock().as_ref() {
            end(connection);
        }
    }
}

impl Connections {
    /// None yet.
    pub fn new() -> io::Result<Connections> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let stop = Stop {
            asked: AtomicBool::new(false),
            wake: rustix::event::eventfd(0, flags)?,
            connection: Mutex::new(None),
        };
        Ok(Connections(Arc::new(stop)))
    }

    /// What ends them from another thread.
    pub fn handle(&self) -> StopHandle {
        StopHandle(Arc::clone(&self.0))
    }

    /// Hands whoever connects to `serve`, one after the other, until the handle
    /// stops that or `serve` fails.
    pub fn serve_each<E: From<WaitError>>(
        &self,
        listener: &UnixListener,
        mut serve: impl FnMut(UnixStream) -> Result<(), E>,
    ) -> Result<(), E> {
        while self.wait_for_one(listener)? {
            match listener.accept() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(WaitError(e).into()),
                Ok((stream, _)) => serve(stream)?,
            }
        }
        Ok(())
    }

    /// Has the handle end `stream` while `serve` runs, at once if it was
    /// stopped already.
    pub fn watching<R>(
        &self,
        stream: &UnixStream,
        serve: impl FnOnce() -> R,
    ) -> Result<R, WaitError> {
        let watched = stream.try_clone().map_err(WaitError)?;
        *self.0.lock() = Some(watched);
        if self.0.is_asked() {
            end(stream);
        }
        let served = serve();
        *self.0.lock() = None;
        Ok(served)
    }

    /// Whether someone connected, rather than this being stopped.
    fn wait_for_one(&self, listener: &UnixListener) -> Result<bool, WaitError> {
        loop {
            if self.0.is_asked() {
                return Ok(false);
            }
            let mut fds = [
                PollFd::new(listener, PollFlags::IN),
                PollFd::new(&self.0.wake, PollFlags::IN),
            ];
            match rustix::event::poll(&mut fds, None) {
                Ok(_) if !fds[0].revents().is_empty() => return Ok(!self.0.is_asked()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(WaitError(e.into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_stop_ends_the_connection_that_is_served_and_the_waiting_for_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let connections = Connections::new().unwrap();
        let handle = connections.handle();
        let mut client = UnixStream::connect(&path).unwrap();
        let mut served = 0;
        let result: Result<(), WaitError> = connections.serve_each(&listener, |mut stream| {
            served += 1;
            connections.watching(&stream.try_clone().unwrap(), || {
                handle.stop();
                assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            })
        });
        result.unwrap();
        assert_eq!(served, 1);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn what_is_stopped_already_serves_no_one() {
        let connections = Connections::new().unwrap();
        connections.handle().stop();
        let (near, mut far) = UnixStream::pair().unwrap();
        connections.watching(&near, || {}).unwrap();
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
    }
}
