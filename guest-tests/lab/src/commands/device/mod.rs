// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm device`: a device's files, read without one.

mod check;
mod diff;

use crate::cli::{DeviceArguments, DeviceCommand};
use crate::failure::{Exit, Failure};

/// Carries out one of them.
pub(crate) fn run(arguments: &DeviceArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        DeviceCommand::Check(arguments) => check::run(arguments),
        DeviceCommand::Diff(arguments) => diff::run(arguments),
    }
}
