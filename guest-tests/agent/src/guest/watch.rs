// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Calls of the kernel's functions, counted by the probe where they come from.
//! The same structure as in `guest-tests/probe/irqstorm_probe.h`.

use rustix::io::Errno;
use rustix::ioctl::{self, Opcode, Updater, opcode};

use super::probe::ProbeDevice;

const WATCH: Opcode = opcode::read_write::<RawWatch>(b'q', 20);

const NAME: usize = 64;

/// `struct irqstorm_watch`.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawWatch {
    function: [u8; NAME],
    on: u32,
    reserved: u32,
    hardirq: u64,
    softirq: u64,
    task: u64,
}

/// Calls, by the context that they came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// From hardirqs and softirqs.
    pub(crate) interrupts: u64,
    /// From tasks.
    pub(crate) tasks: u64,
}

/// Counts calls as long as it is there.
pub(crate) struct Watch {
    probe: ProbeDevice,
    function: String,
    ended: bool,
}

impl Watch {
    /// Counts the calls of a function from now on; `None` if the kernel has no
    /// such function, or none that can be stopped at.
    pub(crate) fn start(probe: &ProbeDevice, function: &str) -> Result<Option<Watch>, String> {
        match ask(probe, function, true) {
            Ok(_) => Ok(Some(Watch {
                probe: probe.clone(),
                function: function.to_owned(),
                ended: false,
            })),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(e) => Err(format!("watch {function}(): {e}")),
        }
    }

    /// Ends it: what it has counted.
    pub(crate) fn end(mut self) -> Result<Calls, String> {
        self.ended = true;
        let function = &self.function;
        ask(&self.probe, function, false).map_err(|e| format!("stop watching {function}(): {e}"))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.ended {
            // It fails only if it has ended already.
            let _ = ask(&self.probe, &self.function, false);
        }
    }
}

fn ask(probe: &ProbeDevice, function: &str, on: bool) -> Result<Calls, Errno> {
    let mut name = [0; NAME];
    for (byte, letter) in name.iter_mut().zip(function.bytes().take(NAME - 1)) {
        *byte = letter;
    }
    let mut arg = RawWatch {
        function: name,
        on: on.into(),
        reserved: 0,
        hardirq: 0,
        softirq: 0,
        task: 0,
    };
    // SAFETY: the opcode is the probe's, and `RawWatch` is what it reads and
    // fills.
    unsafe { ioctl::ioctl(probe.file(), Updater::<WATCH, RawWatch>::new(&mut arg)) }?;
    Ok(Calls {
        interrupts: arg.hardirq + arg.softirq,
        tasks: arg.task,
    })
}
