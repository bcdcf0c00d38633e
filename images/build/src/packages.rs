// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the host must have to build and boot a guest, and where Debian keeps it.

use std::path::Path;

/// Something the host needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPackage {
    /// A program looked for in $PATH, or an absolute path of a file.
    pub provides: &'static str,
    /// Debian's package.
    pub package: &'static str,
}

const fn needs(provides: &'static str, package: &'static str) -> HostPackage {
    HostPackage { provides, package }
}

/// Everything that building a kernel, the probe and an initramfs takes.
pub const HOST_PACKAGES: &[HostPackage] = &[
    needs("gcc", "gcc"),
    // Recommended by gcc only, and needed by everything.
    needs("/usr/include/stdio.h", "libc6-dev"),
    needs("make", "make"),
    needs("flex", "flex"),
    needs("bison", "bison"),
    needs("bc", "bc"),
    needs("patch", "patch"),
    needs("diff", "diffutils"),
    needs("perl", "perl"),
    needs("xz", "xz-utils"),
    needs("tar", "tar"),
    needs("dpkg-deb", "dpkg"),
    needs("curl", "curl"),
    needs("/usr/include/libelf.h", "libelf-dev"),
    needs("/usr/include/openssl/opensslv.h", "libssl-dev"),
    // Where Debian has them; ordinary users' $PATH is without that folder.
    needs("/usr/sbin/mkfs.ext4", "e2fsprogs"),
    needs("/usr/sbin/mkfs.xfs", "xfsprogs"),
];

/// Whether a program is in $PATH, or a file is where it is named.
pub fn is_present(provides: &str) -> bool {
    if provides.starts_with('/') {
        return Path::new(provides).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(provides).is_file())
}

/// Those of `packages` that are not there.
pub fn missing(packages: &[HostPackage]) -> Vec<HostPackage> {
    let absent = |package: &&HostPackage| !is_present(package.provides);
    packages.iter().filter(absent).copied().collect()
}
