// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a test has at hand in the guest: the disk, the probe, the device.

pub(crate) mod binding;
pub(crate) mod boot;
pub(crate) mod cached;
pub(crate) mod count;
pub(crate) mod cpu;
pub(crate) mod deferral;
pub(crate) mod device;
pub(crate) mod disk;
pub(crate) mod dm;
pub(crate) mod filesystem;
pub(crate) mod kmsg;
pub(crate) mod mirror;
pub(crate) mod ports;
pub(crate) mod probe;
pub(crate) mod program;
pub(crate) mod queue;
pub(crate) mod serve;
pub(crate) mod slot;
pub(crate) mod trace;
pub(crate) mod watch;
