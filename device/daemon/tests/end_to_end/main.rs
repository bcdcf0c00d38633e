// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The real program, driven by a real vhost-user or vfio-user client and over
//! its control socket: everything but a guest. Nothing here asserts a time;
//! waits are bounded, and a wait that ends fails its test.

#![allow(clippy::unwrap_used)]

mod bad_input;
mod confined;
mod control;
mod cost;
mod decisions;
mod events;
mod faults;
mod file_io;
mod holding;
mod interrupts;
mod io;
mod killed;
mod knobs;
mod lifecycle;
mod nvme;
mod order;
mod phases;
mod polling;
mod precision;
mod protocol;
mod subscriptions;
mod support;
mod timelines;
