// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A VMM and a driver for an NVMe controller behind vfio-user: what a test
//! needs of QEMU and of a guest.
//!
//! Everything here fails the test at hand by a panic.

#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod bar;
mod client;
mod driver;

pub use bar::Mapped;
pub use client::Client;
pub use driver::{Command, Ended, NvmeDriver, PAGE};
