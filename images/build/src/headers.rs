// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a module is built against: headers, symbols and the build's own
//! programs, taken out of a kernel's tree by the kernel's own script
//! (scripts/package/install-extmod-build), as distributions do.
//!
//! The tree itself belongs to one kernel at a time, and to bring it back to
//! another one takes minutes. With these, a module whose sources have changed
//! is built again in seconds, for every kernel, whatever the tree is busy with.

use std::path::{Path, PathBuf};

use crate::Images;
use crate::cache;
use crate::command::run_logged;
use crate::error::Error;
use crate::kernel;
use crate::make;
use crate::progress::Progress;
use crate::spec::KernelSpec;
use crate::tree::Tree;

/// The script, as make's `run-command` is told of it.
const SCRIPT: &str = "$(srctree)/scripts/package/install-extmod-build";

/// Where the headers of an interface are kept.
fn folder(cache_dir: &Path, interface: &str) -> PathBuf {
    cache_dir.join("headers").join(interface)
}

/// Takes the headers out of the tree, which has just built a kernel of this
/// interface.
pub(crate) fn keep(
    cache_dir: &Path,
    interface: &str,
    tree: &Tree,
    build: &Path,
    log: &Path,
) -> Result<PathBuf, Error> {
    let product = folder(cache_dir, interface);
    if product.is_dir() {
        return Ok(product);
    }
    let staged = cache::staging(&product)?;
    let mut command = make::in_tree(tree, build);
    command.arg("run-command").arg(format!(
        "KBUILD_RUN_COMMAND={SCRIPT} '{}'",
        staged.path().display()
    ));
    run_logged("keep the kernel's headers", &mut command, log, |_| ())?;
    cache::publish(staged, &product)?;
    Ok(product)
}

/// The headers of a kernel; if they were not kept, the tree is brought back to
/// it for them.
pub(crate) fn of(
    images: &Images,
    spec: &KernelSpec,
    interface: &str,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf, Error> {
    let product = folder(&images.cache_dir, interface);
    if product.is_dir() {
        return Ok(product);
    }
    let tree = Tree::open(&images.cache_dir, &images.sources, &spec.version, progress)?;
    let build = kernel::prepare(spec, &tree, progress)?;
    progress.begin(&format!("prepare modules for {}", spec.name), None);
    kernel::refresh_symbols(spec, interface, &tree, &build, log)?;
    keep(&images.cache_dir, interface, &tree, &build, log)
}
