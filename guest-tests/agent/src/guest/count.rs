// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the kernel does while others submit, counted by the probe as for a run
//! of its own. The same structure as in `guest-tests/probe/irqstorm_probe.h`.

use rustix::io::Errno;
use rustix::ioctl::{self, Opcode, Updater, opcode};

use super::probe::{ProbeDevice, Summary};

const COUNT: Opcode = opcode::read_write::<RawCount>(b'q', 21);

/// `struct irqstorm_count`.
#[repr(C)]
struct RawCount {
    on: u32,
    reserved: u32,
    summary: Summary,
}

/// Counts as long as it is there. The probe takes no run meanwhile.
pub(crate) struct Count {
    probe: ProbeDevice,
    ended: bool,
}

impl Count {
    /// Counts from now on.
    pub(crate) fn start(probe: &ProbeDevice) -> Result<Count, String> {
        let started = ask(probe, true);
        started.map_err(|e| format!("have the probe count: {e}"))?;
        Ok(Count {
            probe: probe.clone(),
            ended: false,
        })
    }

    /// Ends it: what it has counted. Nothing in it is about bios of the probe's.
    pub(crate) fn end(mut self) -> Result<Summary, String> {
        self.ended = true;
        ask(&self.probe, false).map_err(|e| format!("ask the probe what it counted: {e}"))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if !self.ended {
            // It fails only if it has ended already.
            let _ = ask(&self.probe, false);
        }
    }
}

fn ask(probe: &ProbeDevice, on: bool) -> Result<Summary, Errno> {
    let mut arg = RawCount {
        on: on.into(),
        reserved: 0,
        summary: Summary::default(),
    };
    // SAFETY: the opcode is the probe's, and `RawCount` is what it reads and
    // fills.
    unsafe { ioctl::ioctl(probe.file(), Updater::<COUNT, RawCount>::new(&mut arg)) }?;
    Ok(arg.summary)
}
