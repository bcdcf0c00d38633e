// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The probe's ways around the device: bios that no device completes, windows
//! hit at an instruction, and load beside the deferral. The same structures as
//! in `guest-tests/probe/irqstorm_probe.h`.

use rustix::io::Errno;
use rustix::ioctl::{self, Opcode, Setter, Updater, opcode};

use super::probe::ProbeDevice;

const ENDIO: Opcode = opcode::read_write::<EndIo>(b'q', 16);
const WINDOW: Opcode = opcode::read_write::<RawWindow>(b'q', 17);
const HOG: Opcode = opcode::write::<Hog>(b'q', 18);
const SATURATE: Opcode = opcode::read_write::<Saturation>(b'q', 19);

/// What came of bios that a preemptible task completed: `struct
/// irqstorm_endio`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EndIo {
    cpu: u32,
    bios: u32,
    /// By the task itself, before bio_endio() returned.
    pub(crate) ended_in_call: u64,
    /// Anywhere else.
    pub(crate) ended_elsewhere: u64,
    /// Not within seconds.
    pub(crate) never_ended: u64,
    /// Works that the calls of bio_endio() queued.
    pub(crate) queue_calls: u64,
}

/// What comes in between at an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Between {
    /// In the worker: an interrupt that defers another bio.
    InterruptWorker,
    /// In a caller that defers a second bio: the worker, for the first.
    PreemptCaller,
    /// In a caller that defers a bio: it goes on on another CPU.
    MoveCaller,
}

impl Between {
    fn code(self) -> u32 {
        match self {
            Between::InterruptWorker => 0,
            Between::PreemptCaller => 1,
            Between::MoveCaller => 2,
        }
    }
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct RawWindow {
    what: u32,
    cpu: u32,
    other_cpu: u32,
    offset: u32,
    timeout_ms: u32,
    size: u32,
    hit: u32,
    deferred: u32,
    never_ended: u32,
    elsewhere: u32,
}

/// What came of one window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Whether the instruction was reached.
    pub(crate) hit: bool,
    /// Bios that their caller did not end itself.
    pub(crate) deferred: u32,
    /// Bios that did not end in time.
    pub(crate) never_ended: u32,
    /// Bios that one CPU's worker ended on another CPU.
    pub(crate) elsewhere: u32,
}

/// What a window may turn out to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    /// One; what came of it.
    Window(Window),
    /// No instruction begins at the offset, or none that can be stopped at.
    NoInstruction,
    /// The function ends before it.
    End,
    /// This kernel has no such function, or no such caller.
    NoFunction,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Hog {
    cpu: u32,
    busy_us: u32,
    sleep_us: u32,
}

/// Works that wait on the system's workqueue: `struct irqstorm_saturate`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Saturation {
    cpu: u32,
    on: u32,
    /// Works queued.
    pub(crate) queued: u32,
    /// Works that have begun; the workqueue has no room for the rest.
    pub(crate) running: u32,
}

/// Has a preemptible task on the CPU complete so many tagged bios.
pub(crate) fn end_in_task(probe: &ProbeDevice, cpu: u32, bios: u32) -> Result<EndIo, String> {
    let mut arg = EndIo {
        cpu,
        bios,
        ..EndIo::default()
    };
    // SAFETY: the opcode is the probe's, and `EndIo` is what it reads and fills.
    let asked = unsafe { ioctl::ioctl(probe.file(), Updater::<ENDIO, EndIo>::new(&mut arg)) };
    asked.map_err(|e| format!("have the probe complete bios in a task: {e}"))?;
    Ok(arg)
}

/// Has something come in between at the offset of the function that has such
/// windows, with a CPU's worker or with a caller on it, and waits so long for
/// each bio.
pub(crate) fn window(
    probe: &ProbeDevice,
    between: Between,
    cpus: (u32, u32),
    offset: u32,
    timeout_ms: u32,
) -> Result<Found, String> {
    let mut arg = RawWindow {
        what: between.code(),
        cpu: cpus.0,
        other_cpu: cpus.1,
        offset,
        timeout_ms,
        ..RawWindow::default()
    };
    // SAFETY: the opcode is the probe's, and `RawWindow` is what it reads and
    // fills.
    let asked = unsafe { ioctl::ioctl(probe.file(), Updater::<WINDOW, RawWindow>::new(&mut arg)) };
    match asked {
        Ok(()) => Ok(Found::Window(Window {
            hit: arg.hit != 0,
            deferred: arg.deferred,
            never_ended: arg.never_ended,
            elsewhere: arg.elsewhere,
        })),
        Err(Errno::ILSEQ) if arg.size > 0 && offset >= arg.size => Ok(Found::End),
        Err(Errno::ILSEQ) => Ok(Found::NoInstruction),
        Err(Errno::NOENT | Errno::OPNOTSUPP) => Ok(Found::NoFunction),
        Err(e) => Err(format!(
            "have {between:?} come in between at offset {offset}: {e}"
        )),
    }
}

/// Has a SCHED_FIFO thread run and sleep by turns on a CPU, from now on.
pub(crate) fn start_hog(
    probe: &ProbeDevice,
    cpu: u32,
    busy_us: u32,
    sleep_us: u32,
) -> Result<(), String> {
    set_hog(
        probe,
        Hog {
            cpu,
            busy_us,
            sleep_us,
        },
    )
}

/// Ends that thread.
pub(crate) fn stop_hog(probe: &ProbeDevice) -> Result<(), String> {
    set_hog(
        probe,
        Hog {
            cpu: 0,
            busy_us: 0,
            sleep_us: 0,
        },
    )
}

fn set_hog(probe: &ProbeDevice, hog: Hog) -> Result<(), String> {
    // SAFETY: the opcode is the probe's, and `Hog` is what it reads.
    let asked = unsafe { ioctl::ioctl(probe.file(), Setter::<HOG, Hog>::new(hog)) };
    asked.map_err(|e| format!("set the probe's SCHED_FIFO thread: {e}"))
}

/// Queues more works that wait than the system's workqueue runs on a CPU, or
/// lets all of them go.
pub(crate) fn saturate(probe: &ProbeDevice, cpu: u32, on: bool) -> Result<Saturation, String> {
    let mut arg = Saturation {
        cpu,
        on: on.into(),
        ..Saturation::default()
    };
    // SAFETY: the opcode is the probe's, and `Saturation` is what it reads and
    // fills.
    let asked =
        unsafe { ioctl::ioctl(probe.file(), Updater::<SATURATE, Saturation>::new(&mut arg)) };
    asked.map_err(|e| format!("fill the system's workqueue on CPU {cpu}: {e}"))?;
    Ok(arg)
}
