// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the daemon needs of a front-end, whichever it is.

use std::error::Error;
use std::os::unix::net::{UnixListener, UnixStream};

use irqstorm_core::queue::{ConfigLine, FailureLine, RequestQueue};

use crate::connections::{Connections, StopHandle, WaitError};
use crate::write_cache::CacheMode;

/// Why serving cannot go on, or why one connection was ended.
pub trait ServeFailure: Error + From<WaitError> {
    /// Whether it is no more than the end of a connection, whose other side did
    /// what cannot be served: the next one is waited for.
    fn is_of_one_connection(&self) -> bool;
}

/// A disk towards guests, over one transport. Its queues go to the pump
/// through the inbox that it was made with.
pub trait FrontEnd: Send + 'static {
    /// A queue of its.
    type Queue: RequestQueue + Send + 'static;

    /// Why serving cannot go on.
    type Error: ServeFailure + Send;

    /// The write cache mode that the driver sets: give it to a
    /// [`WriteCache`](crate::WriteCache) around the store.
    fn cache_mode(&self) -> CacheMode;

    /// The interrupt of the configuration, if this transport has one. It
    /// outlives connections: without one it does nothing.
    fn config_line(&self) -> Option<Box<dyn ConfigLine>>;

    /// How the device tells its driver that it has failed, if this transport
    /// lets it. It outlives connections as well.
    fn failure_line(&self) -> Option<Box<dyn FailureLine>>;

    /// Those that it serves.
    fn connections(&self) -> &Connections;

    /// What ends this from another thread.
    fn handle(&self) -> StopHandle {
        self.connections().handle()
    }

    /// Serves whoever connects, one after the other, until the handle stops
    /// it; one that cannot be served ends with a line in the log. The socket's
    /// file is the caller's.
    fn serve_listener(&self, listener: UnixListener) -> Result<(), Self::Error> {
        self.connections()
            .serve_each(&listener, |stream| match self.serve_stream(stream) {
                Err(why) if why.is_of_one_connection() => {
                    tracing::error!("ended a connection: {why}");
                    Ok(())
                }
                served => served,
            })
    }

    /// Serves one connection that exists already, to its end or until the
    /// handle stops it.
    fn serve_stream(&self, stream: UnixStream) -> Result<(), Self::Error>;
}
