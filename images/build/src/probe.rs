// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The probe: a module of ours, built against a kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Images;
use crate::cache::{self, KeyBuilder};
use crate::command::run_logged;
use crate::error::{Error, io_error};
use crate::headers;
use crate::kernel::{BuiltKernel, ModuleTree};
use crate::make;
use crate::progress::Progress;

/// The module's file.
pub const MODULE: &str = "irqstorm_probe.ko";

/// Builds the module whose sources are in `sources` against a kernel. Kernels
/// that a module cannot tell apart, such as mutants, share it.
pub(crate) fn build(
    images: &Images,
    kernel: &BuiltKernel,
    sources: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf, Error> {
    let files = source_files(sources)?;
    let mut key = KeyBuilder::default();
    key.add("kernel", kernel.interface().as_bytes());
    for file in &files {
        key.add_file(file)?;
    }
    let probes = images.cache_dir.join("probes");
    let key = key.finish();
    let product = probes.join(&key);
    let module = product.join(MODULE);
    if module.is_file() {
        return Ok(module);
    }
    let staged = cache::staging(&product)?;
    for file in &files {
        let copy = staged.path().join(file.file_name().unwrap_or_default());
        fs::copy(file, copy).map_err(io_error("copy", file))?;
    }
    // Not in the product's folder, which vanishes with a failed build.
    let log = probes.join(format!("{key}.log"));
    make(images, kernel, staged.path(), &log, progress)?;
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
    images: &Images,
    kernel: &BuiltKernel,
    folder: &Path,
    log: &Path,
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
            progress.begin(&stage, None);
            make_in_foreign(tree, kernel)?
        }
        ModuleTree::Cached { spec, interface } => {
            let headers = headers::of(images, spec, interface, log, progress)?;
            progress.begin(&stage, None);
            make::in_folder(&headers)
        }
    };
    command
        .arg(format!("M={}", folder.display()))
        .arg("modules");
    run_logged(&stage, &mut command, log, |_| ())
}

/// make(1) on a tree of the user's, with the compiler that it was built with.
fn make_in_foreign(tree: &Path, kernel: &BuiltKernel) -> Result<Command, Error> {
    let mut make = Command::new("make");
    make.arg("-C").arg(tree).env("LC_ALL", "C");
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    if let Some(config) = &kernel.config {
        let text = fs::read_to_string(config).map_err(io_error("read", config))?;
        if text.lines().any(|line| line == "CONFIG_CC_IS_CLANG=y") {
            make.arg("LLVM=1");
        }
    }
    Ok(make)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    /// A tree whose make "builds" a module and notes that it did.
    const MAKEFILE: &str =
        "modules:\n\tcat $(M)/main.c > $(M)/irqstorm_probe.ko\n\techo built >> count\n";

    fn foreign(tree: &Path, modules: ModuleTree) -> BuiltKernel {
        BuiltKernel {
            name: "tree".into(),
            key: "key".into(),
            bzimage: tree.join("bzImage"),
            config: None,
            release: None,
            origin: String::new(),
            has_flag: None,
            modules,
        }
    }

    #[test]
    fn the_probe_is_built_again_when_its_sources_change_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, sources) = (folder.path().join("tree"), folder.path().join("probe"));
        fs::create_dir(&tree).unwrap();
        fs::create_dir(&sources).unwrap();
        fs::write(tree.join("Makefile"), MAKEFILE).unwrap();
        fs::write(sources.join("main.c"), "one").unwrap();
        fs::write(sources.join("left.mod.c"), "of an earlier build").unwrap();
        let images = Images::new(&folder.path().join("cache"), folder.path());
        let kernel = foreign(&tree, ModuleTree::Foreign(tree.clone()));
        let build = || images.build_probe(&kernel, &sources, &mut Silent).unwrap();
        let first = build();
        assert_eq!(fs::read_to_string(&first).unwrap(), "one");
        assert!(!first.with_file_name("left.mod.c").exists());
        assert_eq!(build(), first);
        fs::write(sources.join("main.c"), "two").unwrap();
        assert_ne!(build(), first);
        let built = fs::read_to_string(tree.join("count")).unwrap();
        assert_eq!(built.lines().count(), 2);
    }

    #[test]
    fn a_probe_that_does_not_compile_leaves_its_log_and_no_module() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, sources) = (folder.path().join("tree"), folder.path().join("probe"));
        fs::create_dir(&tree).unwrap();
        fs::create_dir(&sources).unwrap();
        fs::write(tree.join("Makefile"), "modules:\n\tfalse main.c\n").unwrap();
        let cache = folder.path().join("cache");
        let images = Images::new(&cache, folder.path());
        let kernel = foreign(&tree, ModuleTree::Foreign(tree.clone()));
        let error = images
            .build_probe(&kernel, &sources, &mut Silent)
            .unwrap_err();
        let Error::Failed { log, .. } = error else {
            panic!("{error}");
        };
        assert!(fs::read_to_string(log).unwrap().contains("false main.c"));
        assert_eq!(fs::read_dir(cache.join("probes")).unwrap().count(), 1);
    }

    #[test]
    fn an_image_alone_gets_no_probe_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let images = Images::new(folder.path(), folder.path());
        let kernel = foreign(folder.path(), ModuleTree::None);
        let error = images
            .build_probe(&kernel, folder.path(), &mut Silent)
            .unwrap_err();
        assert!(error.to_string().contains("no headers"), "{error}");
    }
}
