// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The guest's console: kept in a file, watched for the kernel's complaints,
//! each of which belongs to the test during which it came.

mod splat;
mod watch;

pub(crate) use splat::Splat;
pub(crate) use watch::Console;
