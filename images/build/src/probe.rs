// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The probe: a module of ours, built against a kernel.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Images;
use crate::cache::{self, KeyBuilder};
use crate::command::run_logged;
use crate::error::{Error, io_error};
use crate::headers;
use crate::kernel::{BuiltKernel, ModuleTree};
use crate::make;
use crate::progress::Progress;
use crate::user_tree;

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
    if let ModuleTree::Foreign(tree) = &kernel.modules {
        return user_tree::build_probe(tree, &files, MODULE, progress);
    }
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
    let ModuleTree::Cached { spec, interface } = &kernel.modules else {
        return Err(Error::NoModule {
            kernel: kernel.name.clone(),
            reason: "an image alone has no headers; give its built tree instead".into(),
        });
    };
    let stage = format!("build the probe for {}", kernel.name);
    let headers = headers::of(images, spec, interface, log, progress)?;
    progress.begin(&stage, None);
    let mut command = make::in_folder(&headers);
    command
        .arg(format!("M={}", folder.display()))
        .arg("modules");
    run_logged(&stage, &mut command, log, |_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn an_image_alone_gets_no_probe_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let images = Images::new(folder.path(), folder.path());
        let kernel = BuiltKernel {
            name: "image".into(),
            key: "key".into(),
            bzimage: folder.path().join("bzImage"),
            config: None,
            release: None,
            origin: String::new(),
            has_flag: None,
            modules: ModuleTree::None,
        };
        let error = images
            .build_probe(&kernel, folder.path(), &mut Silent)
            .unwrap_err();
        assert!(error.to_string().contains("no headers"), "{error}");
    }

    #[test]
    fn what_a_build_has_left_is_no_source() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["main.c", "probe.h", "Kbuild", "left.mod.c", "main.o"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let files = source_files(folder.path()).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap()).collect();
        assert_eq!(names, ["Kbuild", "main.c", "probe.h"]);
    }
}
