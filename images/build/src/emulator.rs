// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A QEMU newer than the machine's, kept in the cache: Debian's packages and
//! all that they depend on, in a folder of their own.
//!
//! Nothing is installed: the program is started through the folder's own
//! dynamic loader, with its libraries, modules and firmware, by a script that
//! finds them beside itself. So it runs on whatever release the machine has,
//! and needs no privilege.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cache::{self, KeyBuilder, Lock};
use crate::debian::{self, PrivateApt};
use crate::error::{Error, io_error};
use crate::progress::Progress;

/// The first suite whose QEMU has vfio-user-pci, and the release that it is
/// made for.
const SUITE: &str = "trixie-backports";
const RELEASE: &str = "trixie";

/// QEMU, and the module through which it uses vhost-user-blk as a backend of
/// its own devices.
const PACKAGES: [&str; 2] = ["qemu-system-x86", "qemu-block-extra"];

/// The packages and what is in them take so much.
const SPACE: u64 = 400 << 20;

/// The script's name.
const PROGRAM: &str = "qemu-system-x86_64";

const SCRIPT: &str = r#"#!/bin/sh
# Starts the QEMU beside this file, with nothing of the machine's but its kernel.
root=$(dirname "$(readlink -f "$0")")
libraries=$root/usr/lib/x86_64-linux-gnu
export QEMU_MODULE_DIR="$libraries/qemu"
exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" \
    "$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
"#;

/// Its script, fetched if that has not been done.
pub(crate) fn provide(cache_dir: &Path, progress: &mut dyn Progress) -> Result<PathBuf, Error> {
    let folder = cache_dir.join("qemu");
    let mut key = KeyBuilder::default();
    for word in [SUITE, SCRIPT].iter().chain(&PACKAGES) {
        key.add("word", word.as_bytes());
    }
    let target = folder.join(key.finish());
    let program = target.join(PROGRAM);
    if program.is_file() {
        return Ok(program);
    }
    let _lock = Lock::take(&folder.join("lock"), || {
        progress.begin("wait for another irqstorm that fetches QEMU", None);
    })?;
    if !program.is_file() {
        fetch(&target, &folder.join("fetch.log"), progress).map_err(Error::no_emulator)?;
    }
    Ok(program)
}

fn fetch(target: &Path, log: &Path, progress: &mut dyn Progress) -> Result<(), Error> {
    let staged = cache::staging(target)?;
    cache::require_space(staged.path(), SPACE)?;
    let apt = PrivateApt::new(target.parent().unwrap_or(target))?;
    apt.read_lists(&[RELEASE, SUITE], log, progress)?;
    let debs = apt.download_whole(SUITE, &PACKAGES, log, progress)?;
    progress.begin("unpack QEMU", Some(debs.len() as u64));
    for (unpacked, deb) in (1..).zip(&debs) {
        debian::unpack(deb, staged.path(), log)?;
        progress.at(unpacked);
    }
    let script = staged.path().join(PROGRAM);
    fs::write(&script, SCRIPT)
        .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
        .map_err(io_error("write", &script))?;
    cache::publish(staged, target)
}
