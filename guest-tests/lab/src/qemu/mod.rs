// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! QEMU: which one, with what arguments, on what accelerator, and its monitor.

mod accel;
mod arguments;
mod disk;
mod host_files;
mod qmp;
mod version;

pub(crate) use accel::{Accel, Choice, choose};
pub(crate) use arguments::{Machine, Sockets};
pub(crate) use disk::{Image, MachineDisk, Plug};
pub(crate) use host_files::{HostFiles, check_sharing};
pub(crate) use qmp::Qmp;
pub(crate) use version::{PACKAGE, Version, check, has_device};
