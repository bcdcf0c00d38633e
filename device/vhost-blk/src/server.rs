// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One connection after another.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use irqstorm_core::inbox::Inbox;
use irqstorm_core::queue::ConfigLine;
use rustix::event::{EventfdFlags, PollFd, PollFlags};
use vhost::vhost_user::{Error as ProtocolError, Listener};
use vhost_user_backend::{Error as DaemonError, ShutdownHandle, VhostUserDaemon};
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryBackend, GuestMemoryMmap};

use crate::backend::Backend;
use crate::config_vector::ConfigVector;
use crate::inflight::Handover;
use crate::options::{Options, OptionsError};
use crate::queue::VirtioQueue;
use crate::relay;
use crate::sharing;
use crate::vring::{Connection, with_connection};
use crate::write_cache::CacheMode;

/// A server that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The options make no disk.
    #[error("offer {0}")]
    Options(#[from] OptionsError),
    /// The eventfd that ends the waiting cannot be made.
    #[error("make the eventfd that stops the server: {0}")]
    Stop(#[source] io::Error),
}

/// Serving that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Waiting for a connection failed.
    #[error("wait for a vhost-user connection: {0}")]
    Wait(#[source] io::Error),
    /// A connection could not be joined to the server.
    #[error("take over a connected vhost-user socket: {0}")]
    TakeOver(#[source] io::Error),
    /// Taking a connection failed.
    #[error("take a vhost-user connection: {0}")]
    Accept(DaemonError),
    /// The rings of a connection could not be made.
    #[error("make the rings of a vhost-user connection: {0}")]
    Rings(DaemonError),
    /// The front-end did what cannot be served. A listener's connection ends
    /// so with a line in the log, and the next one is waited for.
    #[error("serve the front-end: {0}")]
    Dropped(String),
}

/// Serves a disk over vhost-user; its rings go to the pump through the inbox.
pub struct Server {
    options: Arc<Options>,
    inbox: Inbox<VirtioQueue>,
    cache_mode: CacheMode,
    config_vector: ConfigVector,
    stop: Arc<Stop>,
}

/// Ends a server from another thread; clones end the same one.
#[derive(Clone)]
pub struct ServerHandle(Arc<Stop>);

struct Stop {
    asked: AtomicBool,
    wake: OwnedFd,
    connection: Mutex<Option<ShutdownHandle>>,
}

impl ServerHandle {
    /// Ends the waiting for a connection and the connection being served.
    /// Does not wait for that; can be called again.
    pub fn stop(&self) {
        self.0.asked.store(true, Ordering::Release);
        // A full counter wakes as well as one more.
        let _ = rustix::io::write(&self.0.wake, &1u64.to_ne_bytes());
        let connection = self.0.lock();
        if let Some(connection) = connection.as_ref() {
            connection.shutdown();
        }
    }
}

impl Stop {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<ShutdownHandle>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Makes `connection` the one to be ended, at once if that was asked.
    fn watch(&self, connection: Option<ShutdownHandle>) {
        let mut watched = self.lock();
        *watched = connection;
        if let (true, Some(connection)) = (self.is_asked(), watched.as_ref()) {
            connection.shutdown();
        }
    }
}

impl Server {
    /// A server of the disk that `options` describe, whose rings go to `inbox`.
    pub fn new(options: Options, inbox: Inbox<VirtioQueue>) -> Result<Server, SetupError> {
        options.check()?;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wake = rustix::event::eventfd(0, flags).map_err(|e| SetupError::Stop(e.into()))?;
        let stop = Stop {
            asked: AtomicBool::new(false),
            wake,
            connection: Mutex::new(None),
        };
        Ok(Server {
            config_vector: ConfigVector::new(options.config_change),
            options: Arc::new(options),
            inbox,
            cache_mode: CacheMode::new(),
            stop: Arc::new(stop),
        })
    }

    /// The write cache mode that the driver sets: give it to a
    /// [`WriteCache`](crate::WriteCache) around the store.
    pub fn cache_mode(&self) -> CacheMode {
        self.cache_mode.clone()
    }

    /// The interrupt of the configuration vector of whoever is connected. It
    /// outlives connections: without one it does nothing.
    pub fn config_line(&self) -> impl ConfigLine + Clone + use<> {
        self.config_vector.clone()
    }

    /// What ends this server from another thread.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle(Arc::clone(&self.stop))
    }

    /// Serves whoever connects, one after the other, until the handle stops
    /// it. The socket's file is the caller's.
    pub fn serve_listener(&self, listener: UnixListener) -> Result<(), ServeError> {
        while self.wait_for_connection(&listener)? {
            let (stream, _) = match listener.accept() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                accepted => accepted.map_err(ServeError::Wait)?,
            };
            match self.serve_stream(stream) {
                Err(ServeError::Dropped(why)) => tracing::error!("dropped the front-end: {why}"),
                served => served?,
            }
        }
        Ok(())
    }

    /// Serves one connection that exists already, to its end or until the
    /// handle stops it.
    pub fn serve_stream(&self, stream: UnixStream) -> Result<(), ServeError> {
        let (listener, joint) = relay::listener_with_one().map_err(ServeError::TakeOver)?;
        let inflight = Handover::default();
        std::thread::scope(|scope| {
            let carrier = std::thread::Builder::new()
                .name("vhost-user-relay".to_owned())
                .spawn_scoped(scope, || {
                    let vector = &self.config_vector;
                    if let Err(error) = relay::carry(&stream, &joint, vector, &inflight) {
                        tracing::warn!("lost the front-end's connection: {error}");
                    }
                })
                .map_err(ServeError::TakeOver)?;
            let served = self.serve_next(&mut Listener::from(listener), inflight.clone());
            // Frees the carrier wherever it waits.
            let _ = stream.shutdown(Shutdown::Both);
            let _ = carrier.join();
            served
        })
    }

    /// Whether someone connected, rather than the server being stopped.
    fn wait_for_connection(&self, listener: &UnixListener) -> Result<bool, ServeError> {
        loop {
            if self.stop.is_asked() {
                return Ok(false);
            }
            let mut fds = [
                PollFd::new(listener, PollFlags::IN),
                PollFd::new(&self.stop.wake, PollFlags::IN),
            ];
            match rustix::event::poll(&mut fds, None) {
                Ok(_) if !fds[0].revents().is_empty() => return Ok(!self.stop.is_asked()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(ServeError::Wait(e.into())),
            }
        }
    }

    /// Serves one connection to its end. Its state goes with it: a connection
    /// finds the device as after reset, but for what it hands over as in
    /// flight.
    fn serve_next(&self, listener: &mut Listener, inflight: Handover) -> Result<(), ServeError> {
        let connection = Arc::new(Connection {
            options: Arc::clone(&self.options),
            inbox: self.inbox.clone(),
            acked: AtomicU64::new(0),
            inflight,
        });
        let backend = Arc::new(Backend::new(
            Arc::clone(&connection),
            self.cache_mode.clone(),
            self.config_vector.clone(),
        ));
        let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
        let mut daemon = with_connection(&connection, || {
            VhostUserDaemon::new("vhost-user".to_owned(), backend, memory.clone())
        })
        .map_err(ServeError::Rings)?;
        daemon.start(listener).map_err(ServeError::Accept)?;
        tracing::info!("front-end connected");
        self.stop.watch(daemon.shutdown_handle());
        let ended = daemon.wait();
        self.stop.watch(None);
        let abandoned = self.inbox.disconnect();
        tracing::info!(abandoned, "front-end gone");
        let agreed = connection.acked.load(Ordering::Acquire) != 0;
        let shares_nothing = agreed && memory.memory().num_regions() == 0;
        reason(ended, shares_nothing).map_or(Ok(()), |why| Err(ServeError::Dropped(why)))
    }
}

/// Why a connection was dropped; `None` if its front-end left, between two
/// messages or within one.
fn reason(ended: Result<(), DaemonError>, shares_nothing: bool) -> Option<String> {
    match ended {
        Ok(())
        | Err(DaemonError::HandleRequest(
            ProtocolError::Disconnected | ProtocolError::PartialMessage,
        )) => None,
        // QEMU passes over memory that it has no fd for, and starts rings in
        // the nothing that is left.
        Err(_) if shares_nothing => Some(format!("it shares no guest RAM; {}", sharing::ADVICE)),
        Err(DaemonError::HandleRequest(ProtocolError::ReqHandlerError(error))) => {
            Some(error.to_string())
        }
        Err(error) => Some(error.to_string()),
    }
}
