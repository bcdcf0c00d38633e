// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The guest's side: what the lab and the agent have in common.
//!
//! The agent itself, PID 1 of the guest, is this crate's binary.

pub mod blocks;
pub mod catalogue;
pub mod interrupts;
pub mod points;
pub mod program;
pub mod protocol;
