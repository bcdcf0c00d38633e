// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! make(1) as kernels are built with it.

use std::path::Path;
use std::process::Command;

use crate::tree::Tree;

/// make(1) on a tree and its objects' folder.
pub(crate) fn in_tree(tree: &Tree, build: &Path) -> Command {
    let mut make = in_folder(&tree.source());
    make.arg(format!("O={}", build.display()));
    make
}

/// make(1) in a folder, on all cores. What would make two builds differ is
/// fixed.
pub(crate) fn in_folder(folder: &Path) -> Command {
    let mut make = Command::new("make");
    make.arg("-C").arg(folder);
    make.arg(format!("-j{}", jobs()));
    make.env("KBUILD_BUILD_TIMESTAMP", "1970-01-01")
        .env("KBUILD_BUILD_VERSION", "1");
    make.env("KBUILD_BUILD_USER", "irqstorm")
        .env("KBUILD_BUILD_HOST", "irqstorm");
    make.env("LC_ALL", "C")
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL");
    make
}

pub(crate) fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
