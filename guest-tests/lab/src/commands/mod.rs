// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The commands of the command line, one a file.

pub(crate) mod campaign;
pub(crate) mod compare;
pub(crate) mod ctl;
pub(crate) mod device;
pub(crate) mod exec;
pub(crate) mod faults;
pub(crate) mod kernel;
pub(crate) mod list;
pub(crate) mod mutants;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod setup;
pub(crate) mod top;
