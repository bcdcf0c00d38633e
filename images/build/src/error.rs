// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What can go wrong between a kernel's name and its image.

use std::io;
use std::path::{Path, PathBuf};

/// An image that could not be had; the message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system's refusal.
    #[error("{action} {path}: {source}{}", hint(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No kernel of that name, and no such file.
    #[error("find kernel '{name}': it is no path, and the kernels by name are: {known}")]
    UnknownKernel {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A path that holds no kernel.
    #[error("use {path} as a kernel: {reason}")]
    NotAKernel {
        /// The path.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// A description that cannot be read.
    #[error("read {path}: {source}")]
    Description {
        /// The kernel.toml.
        path: PathBuf,
        /// Where in it.
        source: Box<toml::de::Error>,
    },
    /// A program that is not installed.
    #[error(
        "run {program}: it is not installed; 'irqstorm setup' or 'apt-get install {package}' brings it"
    )]
    MissingProgram {
        /// Its name.
        program: String,
        /// Debian's package.
        package: String,
    },
    /// A program that failed.
    #[error(
        "{what}: {program} ended with {status}{}; the last lines of {log} are:\n{tail}",
        full(tail)
    )]
    Failed {
        /// What it was to do.
        what: String,
        /// Its name.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// Where all of its output is.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// A disk with too little room.
    #[error(
        "make room in {folder}: {needed_mib} MiB are needed and {free_mib} MiB are free; \
         remove something, or set XDG_CACHE_HOME to a folder on a larger disk"
    )]
    NoSpace {
        /// Where.
        folder: PathBuf,
        /// How much there is, in MiB.
        free_mib: u64,
        /// How much there must be, in MiB.
        needed_mib: u64,
    },
    /// A place of sources that does not have what is asked of it.
    #[error("find it in {place}: {reason}")]
    Unavailable {
        /// The place.
        place: String,
        /// Why it is not to be had.
        reason: String,
    },
    /// No place had the source.
    #[error(
        "get the source of Linux {version}:\n{tried}give a tree or tarball with IRQSTORM_LINUX_SOURCE"
    )]
    NoSource {
        /// The version.
        version: String,
        /// One line for each place.
        tried: String,
    },
    /// No newer QEMU was to be had.
    #[error(
        "bring a newer QEMU into the cache: {source}\ninstall QEMU 10.1 or later, and name it with --qemu"
    )]
    NoEmulator {
        /// Why not.
        source: Box<Error>,
    },
    /// A download that is not what its checksum says.
    #[error(
        "check {url}: its sha256 is {found}, not {expected}; nothing of it was kept, try again"
    )]
    Checksum {
        /// Where it came from.
        url: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A patch that does not apply.
    #[error("apply {patch} to Linux {version}:\n{output}")]
    Patch {
        /// The patch.
        patch: PathBuf,
        /// The source's version.
        version: String,
        /// What patch(1) said.
        output: String,
    },
    /// Posted patches that make no kernel.
    #[error(transparent)]
    Posted(#[from] crate::patch::PatchError),
    /// Options that the configuration lost.
    #[error(
        "configure Linux {version}: {lost} did not survive 'make olddefconfig': a dependency is missing in the fragment"
    )]
    LostOptions {
        /// The source's version.
        version: String,
        /// The options.
        lost: String,
    },
    /// A tree of the user's whose kernel the lab could not use.
    #[error(
        "use {tree} as a kernel: its .config has these not built in: {missing}; \
         'irqstorm kernel config {tree}' adds them"
    )]
    MissingOptions {
        /// The tree.
        tree: PathBuf,
        /// The options.
        missing: String,
    },
    /// A tree of the user's that does not build.
    #[error(
        "make {tree}: it ended with {status}; the first errors are:\n{errors}\nall of it is in {log}"
    )]
    TreeBuild {
        /// The tree.
        tree: PathBuf,
        /// How make ended.
        status: std::process::ExitStatus,
        /// The compiler's words.
        errors: String,
        /// Where all of them are.
        log: PathBuf,
    },
    /// The module cannot be built against this kernel.
    #[error("build the probe for {kernel}: {reason}")]
    NoModule {
        /// The kernel.
        kernel: String,
        /// Why not.
        reason: String,
    },
}

impl Error {
    /// That this kept a newer QEMU from being had.
    pub(crate) fn no_emulator(self) -> Error {
        Error::NoEmulator {
            source: Box::new(self),
        }
    }
}

/// The way out of the commonest refusals.
fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull => {
            "; a kernel's tree needs 3 GB: make room, or set XDG_CACHE_HOME"
        }
        io::ErrorKind::PermissionDenied => "; set XDG_CACHE_HOME to a folder of yours",
        _ => "",
    }
}

/// The way out where a program found the disk full.
fn full(tail: &str) -> &'static str {
    match tail.contains("No space left on device") {
        true => " on a full disk: make room, or set XDG_CACHE_HOME",
        false => "",
    }
}

/// Turns an I/O error into ours: `.map_err(io_error("write", &path))`.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        action,
        path,
        source,
    }
}
