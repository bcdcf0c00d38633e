// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From a kernel's name, or a path of the user's, to an image that boots.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::cache::{self, KeyBuilder};
use crate::command::{output_of, run_logged};
use crate::error::{Error, io_error};
use crate::kconfig;
use crate::progress::Progress;
use crate::spec::KernelSpec;
use crate::tree::Tree;

/// Steps of a first build, shown until one has been counted.
const USUAL_STEPS: u64 = 2_400;

/// What `--kernel` named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelChoice {
    /// A kernel of `images/kernels`.
    Named(KernelSpec),
    /// A built tree of the user's: its image, and modules built against it.
    Tree(PathBuf),
    /// An image alone: no module can be built for it.
    Image(PathBuf),
}

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
    Cached(KernelSpec),
    /// A tree of the user's, taken as it is.
    Foreign(PathBuf),
    /// Nothing: an image alone.
    None,
}

/// What is kept beside an image in the cache.
#[derive(Serialize, Deserialize)]
struct Product {
    name: String,
    release: String,
    origin: String,
    has_flag: bool,
}

/// Makes sense of what the user named.
pub(crate) fn resolve(known: &[KernelSpec], argument: &str) -> Result<KernelChoice, Error> {
    if let Some(spec) = known.iter().find(|spec| spec.name == argument) {
        return Ok(KernelChoice::Named(spec.clone()));
    }
    let path = expand_home(argument);
    if path.is_dir() {
        return resolve_tree(&path);
    }
    if path.is_file() {
        return match is_bzimage(&path)? {
            true => Ok(KernelChoice::Image(absolute(&path)?)),
            false => Err(Error::NotAKernel {
                path,
                reason: "it is a file, and no bzImage; give arch/x86/boot/bzImage of a built tree"
                    .into(),
            }),
        };
    }
    let names: Vec<&str> = known.iter().map(|spec| spec.name.as_str()).collect();
    Err(Error::UnknownKernel {
        name: argument.to_owned(),
        known: names.join(", "),
    })
}

fn expand_home(argument: &str) -> PathBuf {
    match (argument.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(argument),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize().map_err(io_error("find", path))
}

fn resolve_tree(path: &Path) -> Result<KernelChoice, Error> {
    let refuse = |reason: &str| {
        Err(Error::NotAKernel {
            path: path.to_owned(),
            reason: reason.to_owned(),
        })
    };
    if !path.join("Makefile").is_file() {
        return refuse("it is a folder without a Makefile, so no tree of Linux");
    }
    if !image_of(path).is_file() {
        return refuse("it has no arch/x86/boot/bzImage; run 'make' there first");
    }
    if !path.join("Module.symvers").is_file() {
        return refuse("it has no Module.symvers; run 'make' there first, all of it");
    }
    Ok(KernelChoice::Tree(absolute(path)?))
}

fn image_of(tree: &Path) -> PathBuf {
    tree.join("arch/x86/boot/bzImage")
}

/// Whether a file has the magic of Documentation/arch/x86/boot.rst: "HdrS" at
/// offset 0x202.
fn is_bzimage(path: &Path) -> Result<bool, Error> {
    Ok(header_of(path)?.get(0x202..0x206) == Some(b"HdrS"))
}

fn header_of(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let file = fs::File::open(path).map_err(io_error("open", path))?;
    let mut header = Vec::new();
    file.take(64 * 1024)
        .read_to_end(&mut header)
        .map_err(io_error("read", path))?;
    Ok(header)
}

/// The release string of an image: its offset is at 0x20e of the header, less
/// 0x200 (boot.rst, kernel_version).
fn release_of(image: &Path) -> Result<Option<String>, Error> {
    let header = header_of(image)?;
    let Some(&[low, high]) = header.get(0x20e..0x210) else {
        return Ok(None);
    };
    let start = usize::from(u16::from_le_bytes([low, high])) + 0x200;
    let text = header.get(start..).unwrap_or_default();
    let text: Vec<u8> = text
        .iter()
        .copied()
        .take_while(|&b| b != 0 && b != b' ')
        .collect();
    Ok(String::from_utf8(text).ok().filter(|text| !text.is_empty()))
}

/// The kernel that was chosen, built if that has not been done.
pub(crate) fn build(
    cache_dir: &Path,
    choice: &KernelChoice,
    progress: &mut dyn Progress,
) -> Result<BuiltKernel, Error> {
    match choice {
        KernelChoice::Named(spec) => build_named(cache_dir, spec, progress),
        KernelChoice::Tree(path) => from_tree(path),
        KernelChoice::Image(path) => from_image(path),
    }
}

fn from_tree(path: &Path) -> Result<BuiltKernel, Error> {
    let bzimage = image_of(path);
    let symbols = path.join("Module.symvers");
    let mut key = KeyBuilder::default();
    key.add_file(&bzimage)?.add_file(&symbols)?;
    let config = path.join(".config");
    Ok(BuiltKernel {
        name: path.display().to_string(),
        key: key.finish(),
        config: config.is_file().then_some(config),
        release: release_of(&bzimage)?,
        bzimage,
        origin: format!("tree {}", path.display()),
        has_flag: Some(has_flag(&source_of(path))?),
        modules: ModuleTree::Foreign(path.to_owned()),
    })
}

/// The source of a build folder made with `make O=`, or the tree itself.
fn source_of(tree: &Path) -> PathBuf {
    let link = tree.join("source");
    if link.is_dir() { link } else { tree.to_owned() }
}

fn from_image(path: &Path) -> Result<BuiltKernel, Error> {
    let mut key = KeyBuilder::default();
    key.add_file(path)?;
    Ok(BuiltKernel {
        name: path.display().to_string(),
        key: key.finish(),
        bzimage: path.to_owned(),
        config: None,
        release: release_of(path)?,
        origin: format!("image {}", path.display()),
        has_flag: None,
        modules: ModuleTree::None,
    })
}

fn has_flag(source: &Path) -> Result<bool, Error> {
    let header = source.join("include/linux/blk_types.h");
    let text = fs::read_to_string(&header).map_err(io_error("read", &header))?;
    Ok(text.contains("BIO_COMPLETE_IN_TASK"))
}

fn build_named(
    cache_dir: &Path,
    spec: &KernelSpec,
    progress: &mut dyn Progress,
) -> Result<BuiltKernel, Error> {
    let tree = Tree::open(cache_dir, &spec.version, progress)?;
    let key = key_of(spec, &tree)?;
    let product = cache_dir
        .join("kernels")
        .join(format!("{}-{key}", spec.name));
    if !product.is_dir() {
        let staged = cache::staging(&product)?;
        make(spec, &tree, staged.path(), progress)?;
        cache::publish(staged, &product)?;
    }
    let description = product.join("kernel.json");
    let text = fs::read(&description).map_err(io_error("read", &description))?;
    let known: Product = serde_json::from_slice(&text)
        .map_err(|e| io_error("read", &description)(std::io::Error::other(e)))?;
    Ok(BuiltKernel {
        name: spec.name.clone(),
        key,
        bzimage: product.join("bzImage"),
        config: Some(product.join("config")),
        release: Some(known.release),
        origin: known.origin,
        has_flag: Some(known.has_flag),
        modules: ModuleTree::Cached(spec.clone()),
    })
}

/// Names a kernel after its source, patches, configuration and compiler.
fn key_of(spec: &KernelSpec, tree: &Tree) -> Result<String, Error> {
    let mut key = KeyBuilder::default();
    key.add("origin", tree.origin().as_bytes());
    key.add("compiler", compiler()?.as_bytes());
    for file in spec.config.iter().chain(&spec.patches) {
        key.add_file(file)?;
    }
    Ok(key.finish())
}

fn compiler() -> Result<String, Error> {
    output_of(Command::new("gcc").arg("--version"))
}

fn config_key(spec: &KernelSpec) -> Result<String, Error> {
    let mut key = KeyBuilder::default();
    key.add("compiler", compiler()?.as_bytes());
    key.add(
        "fragments",
        kconfig::read_fragments(&spec.config)?.as_bytes(),
    );
    Ok(key.finish())
}

fn make(
    spec: &KernelSpec,
    tree: &Tree,
    product: &Path,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let build = prepare(spec, tree, progress)?;
    let counted = build.join(".irqstorm-steps");
    let expected = fs::read_to_string(&counted)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    progress.begin(
        &format!("build Linux {}", spec.name),
        expected.or(Some(USUAL_STEPS)),
    );
    let mut steps = 0;
    let log = product.join("build.log");
    let mut make = make_in(tree, &build);
    make.args(["bzImage", "modules"]);
    let outcome = run_logged(
        &format!("build Linux {}", spec.name),
        &mut make,
        &log,
        |_| {
            steps += 1;
            progress.at(steps);
        },
    );
    keep_log_of_failure(&outcome, &log, &build)?;
    outcome?;
    if expected.is_none() {
        cache::write_whole(&counted, steps.to_string().as_bytes())?;
    }
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
    };
    let text = serde_json::to_vec_pretty(&description)
        .map_err(|e| io_error("write", product)(std::io::Error::other(e)))?;
    cache::write_whole(&product.join("kernel.json"), &text)
}

/// The product's folder vanishes with a failed build: its log must not.
fn keep_log_of_failure(outcome: &Result<(), Error>, log: &Path, build: &Path) -> Result<(), Error> {
    match outcome {
        Ok(()) => Ok(()),
        Err(_) => copy(log, &build.join("build.log")),
    }
}

/// The tree in this kernel's state and its objects' folder configured.
pub(crate) fn prepare(
    spec: &KernelSpec,
    tree: &Tree,
    progress: &mut dyn Progress,
) -> Result<PathBuf, Error> {
    tree.switch_to(&spec.patches)?;
    let build = tree.build_dir(&config_key(spec)?);
    if build.join(".irqstorm-configured").is_file() {
        return Ok(build);
    }
    progress.begin(&format!("configure Linux {}", spec.version), None);
    cache::create_dir(&build)?;
    let log = build.join("config.log");
    let run = |target: &str| {
        let mut make = make_in(tree, &build);
        run_logged("configure", make.arg(target), &log, |_| ())
    };
    run("tinyconfig")?;
    let fragment = kconfig::read_fragments(&spec.config)?;
    let config = build.join(".config");
    let mut text = fs::read_to_string(&config).map_err(io_error("read", &config))?;
    text.push_str(&fragment);
    fs::write(&config, text).map_err(io_error("write", &config))?;
    run("olddefconfig")?;
    let lost = kconfig::lost_options(&fragment, &config)?;
    if !lost.is_empty() {
        return Err(Error::LostOptions {
            version: spec.version.clone(),
            lost: lost.join(", "),
        });
    }
    cache::write_whole(&build.join(".irqstorm-configured"), b"")?;
    Ok(build)
}

/// make(1) on a tree and its objects' folder, on all cores. What would make two
/// builds differ is fixed.
pub(crate) fn make_in(tree: &Tree, build: &Path) -> Command {
    let mut make = Command::new("make");
    make.arg("-C").arg(tree.source());
    make.arg(format!("O={}", build.display()));
    make.arg(format!("-j{}", jobs()));
    make.env("KBUILD_BUILD_TIMESTAMP", "1970-01-01");
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

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::copy(from, to)
        .map(|_| ())
        .map_err(io_error("copy", from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str) -> KernelSpec {
        KernelSpec {
            name: name.into(),
            description: String::new(),
            version: "7.2".into(),
            config: Vec::new(),
            patches: Vec::new(),
        }
    }

    #[test]
    fn an_unknown_kernel_is_answered_with_what_there_is() {
        let known = [spec("7.2+v4"), spec("7.3")];
        let error = resolve(&known, "7.4").unwrap_err().to_string();
        assert!(
            error.contains("'7.4'") && error.contains("7.2+v4, 7.3"),
            "{error}"
        );
    }

    #[test]
    fn names_come_before_paths() {
        let known = [spec("7.3")];
        assert_eq!(
            resolve(&known, "7.3").unwrap(),
            KernelChoice::Named(spec("7.3"))
        );
    }

    #[test]
    fn an_image_is_known_by_its_header_and_tells_its_release() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vmlinuz");
        let mut image = vec![0; 0x400];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e] = 0x80;
        image[0x280..0x28d].copy_from_slice(b"7.1.0-x (a@b)");
        fs::write(&path, image).unwrap();
        let choice = resolve(&[], &path.display().to_string()).unwrap();
        assert!(matches!(choice, KernelChoice::Image(_)));
        assert_eq!(release_of(&path).unwrap().as_deref(), Some("7.1.0-x"));
        fs::write(&path, "text").unwrap();
        let error = resolve(&[], &path.display().to_string())
            .unwrap_err()
            .to_string();
        assert!(error.contains("bzImage"), "{error}");
    }

    #[test]
    fn a_tree_that_is_not_built_says_what_to_run() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Makefile"), "").unwrap();
        let error = resolve(&[], &folder.path().display().to_string()).unwrap_err();
        assert!(error.to_string().contains("run 'make'"), "{error}");
    }
}
