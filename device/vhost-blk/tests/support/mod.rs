// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A device and a driver for tests of the server: a loop with as little in it
//! as the seams allow, and a vhost-user front-end made by hand.

mod device;
mod driver;

pub(crate) use device::{Device, options};
pub(crate) use driver::{Descriptor, Driver, RING_LEN, Used, header, wait_readable};
