// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The probe: a module of ours, built against a kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{self, KeyBuilder};
use crate::command::run_logged;
use crate::error::{Error, io_error};
use crate::kernel::{self, BuiltKernel, ModuleTree};
use crate::progress::Progress;
use crate::tree::Tree;

/// The module's file.
pub const MODULE: &str = "irqstorm_probe.ko";

/// Builds the module whose sources are in `sources` against a kernel.
pub(crate) fn build(
    cache_dir: &Path,
    kernel: &BuiltKernel,
    sources: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf, Error> {
    let files = source_files(sources)?;
    let mut key = KeyBuilder::default();
    key.add("kernel", kernel.key.as_bytes());
    for file in &files {
        key.add_file(file)?;
    }
    let product = cache_dir.join("probes").join(key.finish());
    let module = product.join(MODULE);
    if module.is_file() {
        return Ok(module);
    }
    let staged = cache::staging(&product)?;
    for file in &files {
        let copy = staged.path().join(file.file_name().unwrap_or_default());
        fs::copy(file, copy).map_err(io_error("copy", file))?;
    }
    make(cache_dir, kernel, staged.path(), progress)?;
    cache::publish(staged, &product)?;
    Ok(module)
}

/// The sources in a folder: what a build may have left there is none.
fn source_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let path = entry.map_err(io_error("list", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let source = name.ends_with(".c") || name.ends_with(".h");
        if path.is_file()
            && !name.ends_with(".mod.c")
            && (source || name == "Kbuild" || name == "Makefile")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn make(
    cache_dir: &Path,
    kernel: &BuiltKernel,
    folder: &Path,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let stage = format!("build the probe for {}", kernel.name);
    let mut command = match &kernel.modules {
        ModuleTree::None => {
            return Err(Error::NoModule {
                kernel: kernel.name.clone(),
                reason: "an image alone has no headers; give its built tree instead".into(),
            });
        }
        ModuleTree::Foreign(tree) => {
            let mut make = Command::new("make");
            make.arg("-C").arg(tree).env("LC_ALL", "C");
            make
        }
        ModuleTree::Cached(spec) => {
            let tree = Tree::open(cache_dir, &spec.version, progress)?;
            let build = kernel::prepare(spec, &tree, progress)?;
            // The objects' folder may be in the state of another kernel of the
            // same configuration: bring its symbols up to this one.
            progress.begin(&stage, None);
            let mut sync = kernel::make_in(&tree, &build);
            let log = build.join("sync.log");
            run_logged(&stage, sync.args(["bzImage", "modules"]), &log, |_| ())?;
            let mut make = kernel::make_in(&tree, &build);
            make.arg(format!("M={}", folder.display()));
            let log = folder.join("build.log");
            return finish(&stage, make.arg("modules"), &log, folder, &build);
        }
    };
    progress.begin(&stage, None);
    let log = folder.join("build.log");
    command.arg(format!("M={}", folder.display()));
    finish(&stage, command.arg("modules"), &log, folder, folder)
}

fn finish(
    stage: &str,
    command: &mut Command,
    log: &Path,
    folder: &Path,
    keep_log_in: &Path,
) -> Result<(), Error> {
    let outcome = run_logged(stage, command, log, |_| ());
    if outcome.is_err() && keep_log_in != folder {
        let kept = keep_log_in.join("probe.log");
        fs::copy(log, &kept).map_err(io_error("copy", log))?;
    }
    outcome
}
