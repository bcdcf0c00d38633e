// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The NVMe controller, driven by a VMM and a driver over vfio-user.

mod claims;
mod confined;
mod controller;
mod doorbells;
mod failing;
mod io;
mod namespaces;
mod script;
mod vmm;

use irqstorm_testing::nvme::{Command, NvmeDriver, PAGE};

use crate::support::Daemon;

const IDENTIFY: u8 = 0x06;

/// A device with a disk of 8 MiB in memory that follows a scenario.
fn follow(scenario: &str) -> Daemon {
    Daemon::follow(scenario, &["--transport", "vfio-user"])
}

/// A driver of its controller, with so many I/O queues of 64 entries, each
/// with a vector of its own.
fn driver(daemon: &Daemon, queues: u16) -> NvmeDriver {
    let mut driver = NvmeDriver::connect(&daemon.scratch.socket());
    for vector in 1..=queues {
        driver.create_pair(64, vector);
    }
    driver
}

/// What identify (5.17) tells, or the status that it ends with.
fn identify(driver: &mut NvmeDriver, what: u32, namespace: u32) -> Result<Vec<u8>, u16> {
    let page = driver.pages(1);
    let command = Command::new(IDENTIFY, namespace).with(10, what).at(page, 0);
    match driver.admin(command).status {
        0 => Ok(driver.get(page, PAGE)),
        status => Err(status),
    }
}

/// Bytes that differ from place to place and from seed to seed.
fn pattern(seed: usize, len: usize) -> Vec<u8> {
    let byte = |i: usize| ((i / 512 * 7 + i) ^ seed).to_le_bytes()[0];
    (0..len).map(byte).collect()
}
