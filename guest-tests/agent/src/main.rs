// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The agent: PID 1 of the guest.

fn main() {}
