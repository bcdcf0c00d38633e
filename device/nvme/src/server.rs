// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One connection after another.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use irqstorm_core::inbox::Inbox;
use irqstorm_core::queue::{ConfigLine, FailureLine};
use irqstorm_front_end::{CacheMode, Connections, FrontEnd, ServeFailure, WaitError};

use crate::controller::{Identity, Parts};
use crate::device::Function;
use crate::options::{Options, OptionsError};
use crate::queue::NvmeQueue;
use crate::vfio_user;

/// A server that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The options make no controller.
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
    /// There is no memory for doorbells that the guest writes.
    #[error("make the doorbells: {0}")]
    Doorbells(#[source] io::Error),
    /// The VMM did what cannot be served.
    #[error("serve the VMM: {0}")]
    Dropped(String),
}

/// Serves a controller over vfio-user; its queues go to the pump through the
/// inbox.
pub struct Server {
    parts: Parts,
    connections: Connections,
}

impl Server {
    /// A server of the controller that `options` describe, whose queues go to
    /// `inbox`.
    pub fn new(options: Options, inbox: Inbox<NvmeQueue>) -> Result<Server, SetupError> {
        options.check()?;
        let parts = Parts {
            options: Arc::new(options),
            identity: random_identity(),
            inbox,
            cache_mode: CacheMode::new(),
            activity: Arc::default(),
            fatal: Arc::default(),
        };
        Ok(Server {
            parts,
            connections: Connections::new().map_err(SetupError::Stop)?,
        })
    }
}

/// CSTS.CFS of the controller that is served.
struct FatalStatus(Arc<AtomicBool>);

impl FailureLine for FatalStatus {
    fn fail(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl ServeFailure for ServeError {
    fn is_of_one_connection(&self) -> bool {
        matches!(self, ServeError::Dropped(_))
    }
}

impl FrontEnd for Server {
    type Queue = NvmeQueue;
    type Error = ServeError;

    fn cache_mode(&self) -> CacheMode {
        self.parts.cache_mode.clone()
    }

    /// NVMe has no interrupt for its configuration.
    fn config_line(&self) -> Option<Box<dyn ConfigLine>> {
        None
    }

    /// CSTS.CFS (3.1.3.6).
    fn failure_line(&self) -> Option<Box<dyn FailureLine>> {
        Some(Box::new(FatalStatus(Arc::clone(&self.parts.fatal))))
    }

    fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The controller's state goes with its connection: the next one finds it
    /// as after a reset.
    fn serve_stream(&self, stream: UnixStream) -> Result<(), ServeError> {
        tracing::info!("VMM connected");
        self.parts.cache_mode.set_writeback(true);
        let mut function = Function::new(self.parts.clone()).map_err(ServeError::Doorbells)?;
        let served = self
            .connections
            .watching(&stream, || vfio_user::serve(&stream, &mut function))?;
        let abandoned = self.parts.inbox.disconnect();
        tracing::info!(abandoned, "VMM gone");
        served.map_err(|error| ServeError::Dropped(error.to_string()))
    }
}

/// Two controllers of one guest must not be taken for one.
fn random_identity() -> Identity {
    let half = |salt: u8| u128::from(RandomState::new().hash_one((std::process::id(), salt)));
    Identity(half(0) << 64 | half(1))
}
