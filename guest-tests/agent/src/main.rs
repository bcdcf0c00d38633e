// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The agent: PID 1 of the guest. It mounts, loads the probe, runs the tests
//! that the lab asks for, and powers off.

mod guest;
mod tests;

use guest::{boot, serve};

fn main() {
    if std::process::id() != 1 {
        eprintln!("irqstorm-agent: this is the init of a test guest; 'irqstorm run' boots it");
        std::process::exit(2);
    }
    boot::mount_all();
    if let Err(reason) = serve::serve() {
        boot::log(&format!("irqstorm: the agent failed to {reason}"));
    }
    boot::power_off();
}
