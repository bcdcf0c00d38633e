// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the front-ends have in common: everything between a Unix socket and
//! the pump that is neither virtio nor NVMe.
//!
//! [`Connections`] waits for whoever connects; [`socket`] carries messages and
//! the fds that come with them. A queue signals through a [`LineSlot`] and finds
//! its data in [`Segments`] of guest memory, which it reaches through [`Near`];
//! [`sharing`] tells whether that
//! memory is shared at all. A [`WriteCache`] stands before the store, and a
//! [`Limiter`] before the log. The daemon drives any [`FrontEnd`].
//!
//! Nothing here knows a message, a ring or a register.

#![deny(unsafe_code)]

mod buffers;
mod connections;
mod front_end;
mod limited;
mod line;
#[allow(unsafe_code)]
mod near;
mod past;
mod serial;
pub mod sharing;
pub mod socket;
mod write_cache;

pub use buffers::{DataBuffers, Segment, Segments, Spare};
pub use connections::{Connections, StopHandle, WaitError};
pub use front_end::{FrontEnd, ServeFailure};
pub use limited::Limiter;
pub use line::LineSlot;
pub use near::Near;
pub use past::Past;
pub use serial::{SERIAL_LEN, Serial, SerialError};
pub use write_cache::{CacheMode, WriteCache};

/// Guest memory as a connection shares it: replaced whole when a region is
/// mapped or unmapped, read through snapshots.
pub type Memory = vm_memory::GuestMemoryAtomic<vm_memory::GuestMemoryMmap>;
