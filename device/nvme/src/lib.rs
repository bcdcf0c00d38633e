// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The NVMe front-end: an I/O controller of NVM Express 2.0 over vfio-user.
//!
//! A [`Server`] takes one vfio-user connection after another. Over each the
//! VMM (QEMU's vfio-user-pci, or any other) maps the guest's memory, hands over
//! eventfds for interrupts, and passes on what the guest does to the PCI
//! function: its configuration space and BAR 0. Behind that BAR is a
//! controller: registers, doorbells, an admin queue. An I/O submission queue
//! that the driver creates becomes an [`NvmeQueue`] and goes to the pump through
//! its inbox. From there on only the pump's thread touches it: it parses
//! commands into requests and carries completions out in the four steps that
//! `RequestQueue` keeps apart: the entry written with its old phase, the phase
//! turned, the driver's wish looked at, the vector signalled.
//!
//! What a guest does wrong ends its command with the status that the
//! specification names, is told as an asynchronous event, or, where a queue
//! itself cannot be reached, is fatal to the controller until it is reset.
//!
//! The disk is one namespace or cut into several, without metadata or protection
//! information.

#![forbid(unsafe_code)]

mod activity;
mod bar;
mod coalescing;
mod complaints;
mod completion_queue;
mod config_space;
mod controller;
mod data;
mod device;
mod doorbell;
mod interrupts;
mod mapped;
mod memory;
mod namespaces;
mod options;
mod parse;
mod queue;
mod registers;
mod server;
mod shadow;
mod vfio_user;
mod wire;

pub use options::{
    DoorbellMode, MAX_NAMESPACES, MAX_QUEUE_SIZE, MAX_QUEUES, Options, OptionsError,
};
pub use queue::NvmeQueue;
pub use server::{ServeError, Server, SetupError};
