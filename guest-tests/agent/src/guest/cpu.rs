// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! CPUs: how many, and taking one away.

use std::{fs, io};

use rustix::thread::{CpuSet, sched_setaffinity};

/// CPUs online.
pub(crate) fn online() -> u32 {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Has the calling thread run on this CPU alone.
pub(crate) fn pin(cpu: u32) -> io::Result<()> {
    let cpu = usize::try_from(cpu).map_err(io::Error::other)?;
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::Error::other(format!("there is no CPU {cpu}")));
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Takes a CPU offline or brings it back; returns when that is done.
pub(crate) fn set_online(cpu: u32, online: bool) -> io::Result<()> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/online");
    fs::write(path, if online { "1" } else { "0" })
}

/// Whether a CPU can be taken offline.
pub(crate) fn can_go_offline(cpu: u32) -> bool {
    fs::exists(format!("/sys/devices/system/cpu/cpu{cpu}/online")).unwrap_or(false)
}

/// The CPUs that are there and not online.
pub(crate) fn offline() -> Vec<u32> {
    let is_off = |cpu: &u32| {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/online");
        fs::read_to_string(path).is_ok_and(|state| state.trim() == "0")
    };
    // As many as the probe's masks have.
    (0..64).filter(is_off).collect()
}

/// Whether the kernel has its interrupts handled by tasks (PREEMPT_RT).
pub(crate) fn kernel_is_rt() -> bool {
    let version = fs::read_to_string("/proc/version").unwrap_or_default();
    version.contains("PREEMPT_RT")
}

/// Whether the thread that takes a CPU down, `cpuhp/N`, is in a function of the
/// kernel just now.
pub(crate) fn waits_in(cpu: u32, function: &str) -> bool {
    let name = format!("cpuhp/{cpu}");
    let Ok(tasks) = fs::read_dir("/proc") else {
        return false;
    };
    tasks.flatten().any(|task| {
        let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        read("comm").trim() == name && read("stack").contains(function)
    })
}
