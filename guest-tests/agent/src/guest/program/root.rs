// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The host's files as the guest's root.
//!
//! They come over 9p, read-only; above them an overlay keeps in memory what is
//! written. The agent itself goes there too, so that the whole guest sees one
//! root and mounts work in it as they do elsewhere.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use irqstorm_agent::program::{FILES_TAG, Raw, writable_tag};
use irqstorm_agent::protocol::CONTROL_PORT;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_move};

use crate::guest::ports;

/// The host's files as they are.
const FILES: &str = "/host/files";
/// Memory for what is written.
const MEMORY: &str = "/host/memory";
/// Both, one over the other.
const ROOT: &str = "/host/root";

/// The largest message that virtio's 9p takes: 4 KiB in each of 125
/// descriptors (net/9p/trans_virtio.c, VIRTQUEUE_NUM - 3).
const MESSAGE: &str = "msize=512000";

/// What the host changes meanwhile may be seen or not.
const CACHED: &str = "cache=loose";
/// Writes go to the host at once, but for those through mapped memory.
const THROUGH: &str = "cache=mmap";

/// Mounted in the new root: type, place, options.
const MOUNTS: [(&str, &str, &str); 4] = [
    ("devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666"),
    ("tmpfs", "/dev/shm", "mode=1777"),
    ("tmpfs", "/run", "mode=755"),
    ("cgroup2", "/sys/fs/cgroup", ""),
];

/// Names in /dev that udev would have made.
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

/// Goes to the host's files; these folders of them are the host's own.
pub(super) fn enter(writable: &[Raw]) -> Result<(), String> {
    for folder in [FILES, MEMORY, ROOT] {
        make_folder(folder)?;
    }
    mount_9p(FILES_TAG, FILES.as_ref(), CACHED, MountFlags::RDONLY)?;
    mount_overlay()?;
    for (place, folder) in writable.iter().enumerate() {
        let target = below_root(folder.as_os_str());
        mount_9p(&writable_tag(place), &target, THROUGH, MountFlags::empty())?;
    }
    for folder in ["/proc", "/sys", "/dev"] {
        let target = format!("{ROOT}{folder}");
        make_folder(&target)?;
        mount_move(folder, &target).map_err(|e| format!("move {folder} to {target}: {e}"))?;
    }
    switch().map_err(|e| format!("make the host's files the root: {e}"))?;
    furnish();
    Ok(())
}

fn mount_overlay() -> Result<(), String> {
    let flags = MountFlags::empty();
    mount("tmpfs", MEMORY, "tmpfs", flags, Some(c"mode=755"))
        .map_err(|e| format!("mount memory for what is written: {e}"))?;
    let (upper, work) = (format!("{MEMORY}/upper"), format!("{MEMORY}/work"));
    make_folder(&upper)?;
    make_folder(&work)?;
    let options = format!("lowerdir={FILES},upperdir={upper},workdir={work}");
    let options = CString::new(options).map_err(|e| e.to_string())?;
    mount("overlay", ROOT, "overlay", flags, Some(options.as_c_str())).map_err(|errno| {
        let needs = "the kernel needs CONFIG_OVERLAY_FS";
        format!(
            "lay memory over the host's files: {}",
            explain(errno, needs)
        )
    })
}

fn mount_9p(tag: &str, target: &Path, cache: &str, flags: MountFlags) -> Result<(), String> {
    let options = format!("trans=virtio,version=9p2000.L,{MESSAGE},{cache}");
    let options = CString::new(options).map_err(|e| e.to_string())?;
    mount(tag, target, "9p", flags, Some(options.as_c_str())).map_err(|errno| {
        let needs = "the kernel needs CONFIG_9P_FS and CONFIG_NET_9P_VIRTIO";
        let place = target.strip_prefix(ROOT).unwrap_or(Path::new(""));
        let place = Path::new("/").join(place);
        format!(
            "mount the host's {}: {}",
            place.display(),
            explain(errno, needs)
        )
    })
}

/// What the kernel lacks if it does not know a file system.
fn explain(errno: Errno, needs: &str) -> String {
    match errno {
        Errno::NODEV => needs.to_owned(),
        errno => errno.to_string(),
    }
}

/// As switch_root(8) does it: an initramfs cannot be pivoted away from.
fn switch() -> io::Result<()> {
    rustix::process::chdir(ROOT)?;
    mount_move(".", "/")?;
    rustix::process::chroot(".")?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// What else a program expects. What the kernel does not have is left out: who
/// needs it says so.
fn furnish() {
    for (kind, place, options) in MOUNTS {
        let _ = fs::create_dir_all(place);
        let options = CString::new(options).ok();
        let _ = mount(kind, place, kind, MountFlags::empty(), options.as_deref());
    }
    for (target, link) in LINKS {
        let _ = symlink(target, link);
    }
    let _ = fs::create_dir_all("/dev/virtio-ports");
    if let Some(device) = ports::find(CONTROL_PORT) {
        let link = format!("/dev/virtio-ports/{CONTROL_PORT}");
        let _ = symlink(format!("../{device}"), link);
    }
    // Programs keep their locks here.
    let _ = fs::create_dir_all("/run/lock");
    let _ = rustix::fs::chmod("/run/lock", Mode::from_raw_mode(0o1777));
    let _ = rustix::system::sethostname(b"irqstorm");
}

fn below_root(folder: &OsStr) -> std::path::PathBuf {
    let folder = Path::new(folder);
    Path::new(ROOT).join(folder.strip_prefix("/").unwrap_or(folder))
}

fn make_folder(path: &str) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|e| format!("make folder {path}: {e}"))
}
