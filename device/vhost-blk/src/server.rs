// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One connection after another.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use irqstorm_core::inbox::Inbox;
use irqstorm_core::queue::{ConfigLine, FailureLine};
use irqstorm_front_end::{CacheMode, Connections, FrontEnd, ServeFailure, WaitError, sharing};
use vhost::vhost_user::{Error as ProtocolError, Listener};
use vhost_user_backend::{Error as DaemonError, VhostUserDaemon};
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryBackend, GuestMemoryMmap};

use crate::backend::Backend;
use crate::config_vector::ConfigVector;
use crate::inflight::Handover;
use crate::options::{Options, OptionsError};
use crate::queue::VirtioQueue;
use crate::relay;
use crate::vring::{Connection, with_connection};

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
    #[error("{0}")]
    Wait(#[from] WaitError),
    /// A connection could not be joined to the server.
    #[error("take over a connected vhost-user socket: {0}")]
    TakeOver(#[source] io::Error),
    /// Taking a connection failed.
    #[error("take a vhost-user connection: {0}")]
    Accept(DaemonError),
    /// The rings of a connection could not be made.
    #[error("make the rings of a vhost-user connection: {0}")]
    Rings(DaemonError),
    /// The front-end did what cannot be served.
    #[error("serve the front-end: {0}")]
    Dropped(String),
}

/// Serves a disk over vhost-user; its rings go to the pump through the inbox.
pub struct Server {
    options: Arc<Options>,
    inbox: Inbox<VirtioQueue>,
    cache_mode: CacheMode,
    config_vector: ConfigVector,
    connections: Connections,
}

impl Server {
    /// A server of the disk that `options` describe, whose rings go to `inbox`.
    pub fn new(options: Options, inbox: Inbox<VirtioQueue>) -> Result<Server, SetupError> {
        options.check()?;
        Ok(Server {
            config_vector: ConfigVector::new(options.config_change),
            options: Arc::new(options),
            inbox,
            cache_mode: CacheMode::new(),
            connections: Connections::new().map_err(SetupError::Stop)?,
        })
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
        let ended = daemon.wait();
        let abandoned = self.inbox.disconnect();
        tracing::info!(abandoned, "front-end gone");
        let agreed = connection.acked.load(Ordering::Acquire) != 0;
        let shares_nothing = agreed && memory.memory().num_regions() == 0;
        reason(ended, shares_nothing).map_or(Ok(()), |why| Err(ServeError::Dropped(why)))
    }
}

impl ServeFailure for ServeError {
    fn is_of_one_connection(&self) -> bool {
        matches!(self, ServeError::Dropped(_))
    }
}

impl FrontEnd for Server {
    type Queue = VirtioQueue;
    type Error = ServeError;

    fn cache_mode(&self) -> CacheMode {
        self.cache_mode.clone()
    }

    fn config_line(&self) -> Option<Box<dyn ConfigLine>> {
        Some(Box::new(self.config_vector.clone()))
    }

    /// The status register is the VMM's, which asks no back-end for it.
    fn failure_line(&self) -> Option<Box<dyn FailureLine>> {
        None
    }

    fn connections(&self) -> &Connections {
        &self.connections
    }

    fn serve_stream(&self, stream: UnixStream) -> Result<(), ServeError> {
        let (listener, joint) = relay::listener_with_one().map_err(ServeError::TakeOver)?;
        let inflight = Handover::default();
        self.connections.watching(&stream, || {
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
        })?
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
