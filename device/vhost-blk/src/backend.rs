// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What vhost-user-backend asks of a device: features, config space, and when
//! a ring stops. Requests never come this way.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use irqstorm_front_end::{CacheMode, Limiter, Memory, sharing};
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost_user_backend::VhostUserBackend;
use vm_memory::GuestAddressSpace;
use vmm_sys_util::epoll::EventSet;

use crate::config::{self, Change, Now};
use crate::config_vector::ConfigVector;
use crate::features::Features;
use crate::vring::{Connection, Vring};

/// The device of one connection.
pub(crate) struct Backend {
    connection: Arc<Connection>,
    offered: Features,
    cache_mode: CacheMode,
    config_vector: ConfigVector,
    /// What the write cache byte of the config says: front-ends read it before
    /// any feature is agreed, and keep it.
    wce: AtomicBool,
    refusals: Mutex<Limiter>,
}

impl Backend {
    /// A device as a driver finds it after reset: write-back, nothing agreed.
    pub(crate) fn new(
        connection: Arc<Connection>,
        cache_mode: CacheMode,
        config_vector: ConfigVector,
    ) -> Backend {
        let backend = Backend {
            offered: connection.options.offered(),
            connection,
            cache_mode,
            config_vector,
            wce: AtomicBool::new(true),
            refusals: Mutex::default(),
        };
        backend.choose_cache_mode();
        backend
    }

    fn acked(&self) -> Features {
        Features::from_bits(self.connection.acked.load(Ordering::Acquire))
    }

    /// Without flush a completed write must be durable (Virtio 1.2, 5.2.6.2);
    /// with it, it need not be, unless the driver says otherwise (5.2.5.2).
    fn choose_cache_mode(&self) {
        let acked = self.acked();
        let cached = self.wce.load(Ordering::Acquire) || !acked.contains(Features::CONFIG_WCE);
        self.cache_mode
            .set_writeback(acked.contains(Features::FLUSH) && cached);
    }
}

impl VhostUserBackend for Backend {
    type Bitmap = ();
    type Vring = Vring;

    fn num_queues(&self) -> usize {
        usize::from(self.connection.options.queues)
    }

    fn max_queue_size(&self) -> usize {
        usize::from(self.connection.options.max_queue_size)
    }

    fn features(&self) -> u64 {
        self.offered.bits()
    }

    fn acked_features(&self, features: u64) {
        tracing::debug!(features = ?Features::from_bits(features), "driver agreed");
        self.connection.acked.store(features, Ordering::Release);
        self.choose_cache_mode();
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        Features::protocol()
    }

    fn reset_device(&self) {
        self.wce.store(true, Ordering::Release);
        self.acked_features(0);
    }

    /// Each ring is told itself.
    fn set_event_idx(&self, _enabled: bool) {}

    /// An answer of another length than asked for is an error to the caller.
    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let now = Now {
            writeback: self.wce.load(Ordering::Acquire),
            grown: config::shows_capacity(offset, size) && self.config_vector.reading(),
        };
        config::read(&self.connection.options, now, offset, size).unwrap_or_default()
    }

    /// What is not the driver's to write stays as it is (Virtio 1.2, 5.2.5.2).
    /// That is no error here: an error would end the connection, and a guest
    /// must not be able to.
    fn set_config(&self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        let acked = self.acked();
        let refused = match config::write(offset, bytes) {
            Ok(Change::WriteBack(writeback)) if acked.contains(Features::CONFIG_WCE) => {
                tracing::debug!(writeback, "driver switched the write cache");
                self.wce.store(writeback, Ordering::Release);
                self.choose_cache_mode();
                return Ok(());
            }
            Ok(Change::WriteBack(_)) => "the driver did not agree to config-wce".to_owned(),
            Err(refused) => refused.to_string(),
        };
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(suppressed) = refusals.admit(Instant::now()) {
            tracing::warn!(suppressed, "ignored a config write: {refused}");
        }
        Ok(())
    }

    /// The rings and the pump see it through the same handle.
    fn update_memory(&self, memory: Memory) -> io::Result<()> {
        sharing::check(&memory.memory()).map_err(io::Error::other)
    }

    /// No worker threads: the pump's loop watches the kick fds.
    fn queues_per_thread(&self) -> Vec<u64> {
        Vec::new()
    }

    /// Reached by no one: there is no worker thread.
    fn handle_event(&self, _: u16, _: EventSet, _: &[Vring], _: usize) -> io::Result<()> {
        Ok(())
    }
}
