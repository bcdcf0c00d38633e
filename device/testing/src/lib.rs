// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Fake driver, event recorder and the conformance suites that every store and
//! every front-end's queue must pass: tests of the device with no guest, no
//! socket and no clock; and a driver for NVMe controllers, over their socket.

pub mod bench;
pub mod buffers;
pub mod driver;
pub mod events;
pub mod front_end;
pub mod later;
pub mod memory;
pub mod nvme;
pub mod store;

pub use bench::Bench;
pub use buffers::Bytes;
pub use driver::{FakeDriver, FakeQueue};
pub use events::Recorder;
pub use later::{Disk, Slow, Waited};
pub use memory::SharedMemory;
