// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A disk in a file, read and written through io_uring.
//!
//! Flow: a request's data goes through memory of the store's own ([`pool`]),
//! never straight between guest and file: a driver that goes away leaves no
//! one writing into its memory, and O_DIRECT has its alignment. A request is
//! cut into pieces ([`cut`]) that are each one entry of the ring ([`ring`]); all that
//! came since are handed to the kernel at once; what the kernel ends short is
//! gone on with, and when the last piece has ended, so has the request
//! ([`store`]).
//!
//! The ring can read, write, flush and allocate, and nothing else: it is
//! restricted to that before it is used, so that it is no way around a sandbox
//! of system calls.
//!
//! What this does not do: it opens no file. It stands on a
//! [`FileStore`](irqstorm_core::store::FileStore), which also carries out what
//! there is no room for, and waits while it does.

mod cut;
mod pool;
mod ring;
mod store;
mod work;

pub use ring::UringError;
pub use store::{Refused, Through, UringStore};
