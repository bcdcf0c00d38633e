// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From the kernel's hand to a guest in which tests can run.

use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::system::RebootCommand;

/// Where the initramfs has the probe.
const MODULE: &str = "/lib/irqstorm_probe.ko";

/// File systems, in the order of mounting: type and place.
const MOUNTS: [(&str, &str); 6] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/tmp"),
    ("debugfs", "/sys/kernel/debug"),
    ("tracefs", "/sys/kernel/tracing"),
];

/// Mounts what the tests look at. A file system that the kernel does not have,
/// or has mounted itself, is left out: what then is missing, its user says.
pub(crate) fn mount_all() {
    for (kind, place) in MOUNTS {
        let _ = fs::create_dir_all(place);
        let _ = rustix::mount::mount(kind, place, kind, MountFlags::empty(), None::<&CStr>);
    }
}

/// Loads the probe, if it is not loaded; an error says why there is none.
pub(crate) fn load_probe() -> Result<(), String> {
    if !Path::new(MODULE).exists() {
        return Err("the lab built no probe for this kernel".into());
    }
    let file = File::open(MODULE).map_err(|e| format!("open {MODULE}: {e}"))?;
    match rustix::system::finit_module(&file, c"", 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(e) => Err(format!("load {MODULE}: {e}; the console says more")),
    }
}

/// Removes the probe, unless somebody has it open or it has bios out.
pub(crate) fn unload_probe() -> Result<(), Errno> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    rustix::system::delete_module(c"irqstorm_probe", flags)
}

/// Writes a line into the kernel's log, and so onto the console.
pub(crate) fn log(line: &str) {
    if let Ok(mut kmsg) = OpenOptions::new().write(true).open("/dev/kmsg") {
        // Level 5, "notice": shown whatever the console's level. Without the newline
        // the record stays open for a continuation and off the console.
        let _ = kmsg.write_all(format!("<5>{line}\n").as_bytes());
    }
}

/// Has the kernel print its blocked tasks (Documentation/admin-guide/sysrq.rst).
pub(crate) fn show_blocked() {
    let _ = fs::write("/proc/sysrq-trigger", "w");
}

/// Ends the guest.
pub(crate) fn power_off() -> ! {
    rustix::fs::sync();
    loop {
        // Only returns when refused, which PID 1 is not.
        let _ = rustix::system::reboot(RebootCommand::PowerOff);
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}
