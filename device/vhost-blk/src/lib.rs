// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The virtio-blk front-end: descriptor chains, rings and call fds over
//! vhost-user.
//!
//! A [`Server`] takes one vhost-user connection after another. Over each the
//! front-end (QEMU, or any other) negotiates features, maps the guest's memory
//! and sets up rings; a ring that is ready, enabled and has a kick fd becomes
//! a [`VirtioQueue`] and goes to the pump through its inbox, with the kick fd.
//! From there on only the pump's thread touches it: it parses what the driver
//! made available into requests and carries completions out in the four steps
//! that `RequestQueue` keeps apart. A ring that the front-end stops is taken
//! back from the pump first, so that nothing is in flight when its position is
//! reported.
//!
//! Every connection's messages pass through a relay, for the sake of three of
//! them: the fd that brings the interrupt of the configuration vector about,
//! and the two about the memory in which requests in flight outlive the device.
//!
//! No thread of vhost-user-backend touches a ring: its worker threads are not
//! used, since they would own the timing and stop at 64 queues.
//!
//! What a guest does wrong ends its request with an error status, or, where
//! the ring itself cannot be believed, stops the ring. Packed rings and
//! in-order use are never offered.

#![forbid(unsafe_code)]

mod avail;
mod backend;
mod chain;
mod config;
mod config_vector;
mod descriptors;
mod features;
mod inflight;
mod options;
mod parse;
mod queue;
mod relay;
mod server;
mod used;
mod vring;
mod wire;

pub use config_vector::{ConfigChange, UnknownConfigChange};
pub use features::{Features, UnknownFeature};
pub use options::{Options, OptionsError, Topology};
pub use queue::VirtioQueue;
pub use server::{ServeError, Server, SetupError};
