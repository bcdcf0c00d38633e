// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From what was chosen to an image that boots.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::Images;
use crate::cache::{self, KeyBuilder};
use crate::choice::{KernelChoice, from_image};
use crate::command::{output_of, run_logged};
use crate::error::{Error, io_error};
use crate::headers;
use crate::kconfig;
use crate::make;
use crate::progress::Progress;
use crate::spec::KernelSpec;
use crate::tree::Tree;
use crate::user_tree::{self, UserTree};

/// Lines that make prints in a first build: 2289 of 7.2. Later ones rebuild
/// what changed, which nobody can foresee.
const USUAL_STEPS: u64 = 2_300;

/// In a folder of objects: the interface of the kernel that they belong to.
const OWNER: &str = ".irqstorm-owner";

/// A kernel that is ready to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltKernel {
    /// Its name, or the path that it was given by.
    pub name: String,
    /// Names everything that went into it.
    pub key: String,
    /// The image.
    pub bzimage: PathBuf,
    /// Its configuration, where that is known.
    pub config: Option<PathBuf>,
    /// Its release, as `uname -r` will say, where that is known.
    pub release: Option<String>,
    /// Where its source came from.
    pub origin: String,
    /// Whether its headers have BIO_COMPLETE_IN_TASK; `None` if there are none.
    pub has_flag: Option<bool>,
    /// What modules are built against.
    pub modules: ModuleTree,
}

/// What a module is built against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModuleTree {
    /// A kernel of ours: the shared tree is switched to it first.
    Cached {
        /// The kernel.
        spec: KernelSpec,
        /// Names all of it that a module sees: kernels of one interface take
        /// each other's modules.
        interface: String,
    },
    /// A tree of the user's.
    Foreign(UserTree),
    /// Nothing: an image alone.
    None,
}

impl BuiltKernel {
    /// Names what a module built for this kernel depends on.
    pub(crate) fn interface(&self) -> &str {
        match &self.modules {
            ModuleTree::Cached { interface, .. } => interface,
            ModuleTree::Foreign(_) | ModuleTree::None => &self.key,
        }
    }
}

/// What is kept beside an image in the cache.
#[derive(Serialize, Deserialize)]
struct Product {
    name: String,
    release: String,
    origin: String,
    has_flag: bool,
    /// Absent from kernels that were built when each had modules of its own.
    interface: Option<String>,
}

/// The kernel that was chosen, built if that has not been done.
pub(crate) fn build(
    images: &Images,
    choice: &KernelChoice,
    progress: &mut dyn Progress,
) -> Result<BuiltKernel, Error> {
    match choice {
        KernelChoice::Named(spec) => build_named(images, spec, progress),
        KernelChoice::Tree(path) => user_tree::build(images, path, progress),
        KernelChoice::Image(path) => from_image(path),
    }
}

fn build_named(
    images: &Images,
    spec: &KernelSpec,
    progress: &mut dyn Progress,
) -> Result<BuiltKernel, Error> {
    if let Some(built) = find_built(images, spec)? {
        return Ok(built);
    }
    let tree = Tree::open(&images.cache_dir, &images.sources, &spec.version, progress)?;
    // Another process may have built it while this one waited for the tree.
    if let Some(built) = find_built(images, spec)? {
        return Ok(built);
    }
    let key = key_of(spec, tree.origin(), &toolchain()?)?;
    let product = product_of(images, spec, &key);
    let staged = cache::staging(&product)?;
    make(&images.cache_dir, spec, &tree, staged.path(), progress)?;
    cache::publish(staged, &product)?;
    read_product(spec, key, &product)
}

/// The kernel as it was built before, whatever its tree is busy with.
fn find_built(images: &Images, spec: &KernelSpec) -> Result<Option<BuiltKernel>, Error> {
    let origin = Tree::known_origin(&images.cache_dir, &images.sources, &spec.version)?;
    let Some(origin) = origin else {
        return Ok(None);
    };
    let key = key_of(spec, &origin, &toolchain()?)?;
    let product = product_of(images, spec, &key);
    match product.is_dir() {
        true => read_product(spec, key, &product).map(Some),
        false => Ok(None),
    }
}

fn product_of(images: &Images, spec: &KernelSpec, key: &str) -> PathBuf {
    let kernels = images.cache_dir.join("kernels");
    // What posted patches are called is the user's, and may be anything.
    let name = match spec.name.split_once(" + ") {
        Some((base, _)) => format!("{base}+posted"),
        None => spec.name.clone(),
    };
    kernels.join(format!("{name}-{key}"))
}

fn read_product(spec: &KernelSpec, key: String, product: &Path) -> Result<BuiltKernel, Error> {
    let description = product.join("kernel.json");
    let text = fs::read(&description).map_err(io_error("read", &description))?;
    let known: Product = serde_json::from_slice(&text)
        .map_err(|e| io_error("read", &description)(std::io::Error::other(e)))?;
    Ok(BuiltKernel {
        name: spec.name.clone(),
        modules: ModuleTree::Cached {
            spec: spec.clone(),
            interface: known.interface.unwrap_or_else(|| key.clone()),
        },
        key,
        bzimage: product.join("bzImage"),
        config: Some(product.join("config")),
        release: Some(known.release),
        origin: known.origin,
        has_flag: Some(known.has_flag),
    })
}

/// Names a kernel after its source, configuration, patches and toolchain.
fn key_of(spec: &KernelSpec, origin: &str, toolchain: &str) -> Result<String, Error> {
    let mut key = KeyBuilder::default();
    key.add("origin", origin.as_bytes());
    key.add("toolchain", toolchain.as_bytes());
    for file in spec.config.iter().chain(&spec.patches) {
        key.add_file(file)?;
    }
    Ok(key.finish())
}

fn toolchain() -> Result<String, Error> {
    let linker = output_of(Command::new("ld").arg("--version"))?;
    Ok(kconfig::compiler()? + &linker)
}

fn make(
    cache_dir: &Path,
    spec: &KernelSpec,
    tree: &Tree,
    product: &Path,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let build = prepare(spec, tree, progress)?;
    let built_before = build.join("vmlinux").is_file();
    let stage = format!("build Linux {}", spec.name);
    progress.begin(&stage, (!built_before).then_some(USUAL_STEPS));
    let mut steps = 0;
    // Not in the product's folder, which vanishes with a failed build.
    let log = build.join("build.log");
    let interface = make_as(spec, tree, &build, &["bzImage", "modules"], &log, |_| {
        steps += 1;
        progress.at(steps);
    })?;
    copy(&log, &product.join("build.log"))?;
    headers::keep(
        cache_dir,
        &interface,
        tree,
        &build,
        &build.join("headers.log"),
    )?;
    copy(
        &build.join("arch/x86/boot/bzImage"),
        &product.join("bzImage"),
    )?;
    copy(&build.join(".config"), &product.join("config"))?;
    let release_file = build.join("include/config/kernel.release");
    let release = fs::read_to_string(&release_file).map_err(io_error("read", &release_file))?;
    let description = Product {
        name: spec.name.clone(),
        release: release.trim().to_owned(),
        origin: tree.origin().to_owned(),
        has_flag: has_flag(&tree.source())?,
        interface: Some(interface),
    };
    let text = serde_json::to_vec_pretty(&description)
        .map_err(|e| io_error("write", product)(std::io::Error::other(e)))?;
    cache::write_whole(&product.join("kernel.json"), &text)
}

/// Makes targets of the kernel that the tree is in the state of, and notes
/// whose the objects now are: its interface.
fn make_as(
    spec: &KernelSpec,
    tree: &Tree,
    build: &Path,
    targets: &[&str],
    log: &Path,
    on_line: impl FnMut(&str),
) -> Result<String, Error> {
    let owner = build.join(OWNER);
    // Objects of a make that was cut short are nobody's.
    cache::write_whole(&owner, b"")?;
    let mut command = make::in_tree(tree, build);
    run_logged("build the kernel", command.args(targets), log, on_line)?;
    let interface = interface_of(spec, tree, build)?;
    cache::write_whole(&owner, interface.as_bytes())?;
    Ok(interface)
}

/// Names all that a module sees of the kernel whose objects are in `build`: the
/// source's version and the configuration, what patches make of files other
/// than C sources, and the symbols.
fn interface_of(spec: &KernelSpec, tree: &Tree, build: &Path) -> Result<String, Error> {
    let mut key = KeyBuilder::default();
    key.add("origin", tree.origin().as_bytes());
    let configuration = build.file_name().unwrap_or_default();
    key.add("configuration", configuration.as_encoded_bytes());
    for (file, content) in tree.patched(&spec.patches)? {
        if file.extension().is_none_or(|extension| extension != "c") {
            let label = file.as_os_str().to_string_lossy();
            key.add(&label, content.as_deref().unwrap_or_default());
        }
    }
    key.add_file(&build.join("Module.symvers"))?;
    Ok(key.finish())
}

/// Brings the symbols that modules are built against up to a kernel, whose
/// state the tree is in: the objects may be those of another kernel of the same
/// configuration. Those of a kernel with the same interface will do.
pub(crate) fn refresh_symbols(
    spec: &KernelSpec,
    interface: &str,
    tree: &Tree,
    build: &Path,
    log: &Path,
) -> Result<(), Error> {
    if fs::read(build.join(OWNER)).is_ok_and(|owner| owner == interface.as_bytes()) {
        return Ok(());
    }
    make_as(spec, tree, build, &["vmlinux", "modules"], log, |_| ()).map(|_| ())
}

/// The tree in this kernel's state and its objects' folder configured.
pub(crate) fn prepare(
    spec: &KernelSpec,
    tree: &Tree,
    progress: &mut dyn Progress,
) -> Result<PathBuf, Error> {
    tree.switch_to(&spec.patches)?;
    kconfig::configure(spec, tree, progress)
}

/// Whether a tree knows what this project is about.
pub(crate) fn has_flag(source: &Path) -> Result<bool, Error> {
    let header = source.join("include/linux/blk_types.h");
    let text = fs::read_to_string(&header).map_err(io_error("read", &header))?;
    Ok(text.contains("BIO_COMPLETE_IN_TASK"))
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::copy(from, to)
        .map(|_| ())
        .map_err(io_error("copy", from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ingredient_changes_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let mut spec = KernelSpec {
            name: "k".into(),
            description: String::new(),
            version: "7.2".into(),
            config: vec![write("base.config", "CONFIG_A=y\n")],
            patches: vec![write("1.patch", "one")],
            variants: Vec::new(),
            mutant: None,
        };
        let key = |spec: &KernelSpec| key_of(spec, "Debian 7.2.12", "gcc 12").unwrap();
        let first = key(&spec);
        assert_eq!(key(&spec), first);
        assert_ne!(key_of(&spec, "Debian 7.2.13", "gcc 12").unwrap(), first);
        assert_ne!(key_of(&spec, "Debian 7.2.12", "gcc 13").unwrap(), first);
        write("1.patch", "two");
        assert_ne!(key(&spec), first);
        write("1.patch", "one");
        write("base.config", "CONFIG_A=n\n");
        assert_ne!(key(&spec), first);
        write("base.config", "CONFIG_A=y\n");
        assert_eq!(key(&spec), first);
        spec.patches.push(write("2.patch", "more"));
        assert_ne!(key(&spec), first);
    }
    /// A source of Linux 7.2 with a header and a C file, and objects of it.
    fn open_tree(folder: &Path) -> (Tree, PathBuf) {
        let version = folder.join("linux/7.2");
        let build = version.join("build-1");
        for folder in ["source/block", "source/include", "build-1"] {
            fs::create_dir_all(version.join(folder)).unwrap();
        }
        for file in ["source/block/bio.c", "source/include/bio.h"] {
            fs::write(version.join(file), "one\n").unwrap();
        }
        fs::write(version.join("origin"), "Debian 7.2.12").unwrap();
        fs::write(build.join("Module.symvers"), "bio_endio").unwrap();
        let sources = crate::source::Sources {
            local: None,
            kernel_org: "http://127.0.0.1:1".into(),
        };
        let tree = Tree::open(folder, &sources, "7.2", &mut crate::progress::Silent).unwrap();
        (tree, build)
    }

    #[test]
    fn kernels_that_differ_in_c_alone_have_the_same_interface() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, build) = open_tree(folder.path());
        let patch = |file: &str, to: &str| {
            let path = folder.path().join(format!("{to}.patch"));
            let diff = format!("--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-one\n+{to}\n");
            fs::write(&path, diff).unwrap();
            path
        };
        let interface = |patches: Vec<PathBuf>| {
            let spec = KernelSpec {
                name: "k".into(),
                description: String::new(),
                version: "7.2".into(),
                config: Vec::new(),
                patches,
                variants: Vec::new(),
                mutant: None,
            };
            interface_of(&spec, &tree, &build).unwrap()
        };
        let plain = interface(Vec::new());
        assert_eq!(interface(vec![patch("block/bio.c", "two")]), plain);
        let header = interface(vec![patch("include/bio.h", "three")]);
        assert_ne!(header, plain);
        assert_ne!(interface(vec![patch("include/bio.h", "four")]), header);
        fs::write(build.join("Module.symvers"), "bio_endio bio_more").unwrap();
        assert_ne!(interface(Vec::new()), plain);
    }

    #[test]
    fn a_kernel_built_before_interfaces_has_one_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let old = r#"{"name": "k", "release": "7.2.12", "origin": "o", "has_flag": true}"#;
        fs::write(folder.path().join("kernel.json"), old).unwrap();
        let spec = KernelSpec {
            name: "k".into(),
            description: String::new(),
            version: "7.2".into(),
            config: Vec::new(),
            patches: Vec::new(),
            variants: Vec::new(),
            mutant: None,
        };
        let built = read_product(&spec, "key".into(), folder.path()).unwrap();
        assert_eq!(built.interface(), "key");
    }
}
