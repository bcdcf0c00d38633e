// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Guest kernels and initramfs: fetched, patched, configured, built, and kept.
//!
//! A kernel is a folder of `images/kernels`, a tree of the user's, or a bare
//! image. Everything made here is kept in the cache under a name that is
//! computed from all that went into it, so that a second run finds it and a
//! changed ingredient makes a new one. What is in the cache is whole: work
//! happens beside it and is moved in when it is done.

mod cache;
mod choice;
mod command;
mod debian;
mod emulator;
mod error;
mod filesystem;
mod headers;
mod initramfs;
mod kconfig;
mod kernel;
mod make;
mod packages;
mod patch;
mod probe;
mod progress;
mod source;
mod spec;
mod tree;
mod user_tree;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

pub use cache::{default_dir, file_key};
pub use choice::KernelChoice;
pub use error::Error;
pub use filesystem::FileSystem;
pub use initramfs::InitramfsFile;
pub use kernel::{BuiltKernel, ModuleTree};
pub use packages::{HOST_PACKAGES, HostPackage, is_present, missing};
pub use patch::{PatchError, PatchSet, Patched};
pub use probe::MODULE;
pub use progress::{Progress, Silent};
pub use source::{KERNEL_ORG, LOCAL_SOURCE};
pub use spec::{ConfigSpec, KernelSpec, Mutant};
pub use user_tree::{Configured, UserTree};

use source::Sources;

/// The kernels of one repository and the cache that they are built into.
#[derive(Clone, Debug)]
pub struct Images {
    cache_dir: PathBuf,
    kernels: PathBuf,
    sources: Sources,
}

impl Images {
    /// The kernels under `repository`/images/kernels, built into `cache_dir`
    /// from sources that the environment may name: see [`LOCAL_SOURCE`] and
    /// [`KERNEL_ORG`].
    pub fn new(cache_dir: &Path, repository: &Path) -> Images {
        Images {
            cache_dir: cache_dir.to_owned(),
            kernels: repository.join("images/kernels"),
            sources: Sources::from_environment(),
        }
    }

    /// All kernels by name, each followed by its mutants.
    pub fn list(&self) -> Result<Vec<KernelSpec>, Error> {
        Ok(spec::read_all(&self.kernels)?.kernels)
    }

    /// The configurations that any kernel can be built with, by name: `debug`
    /// as in `7.3:debug`.
    pub fn configs(&self) -> Result<Vec<ConfigSpec>, Error> {
        Ok(spec::read_all(&self.kernels)?.configs)
    }

    /// Makes sense of a name, a tree's path or an image's.
    pub fn resolve(&self, argument: &str) -> Result<KernelChoice, Error> {
        choice::resolve(&spec::read_all(&self.kernels)?, argument)
    }

    /// The kernel ready to boot, built if that has not been done. A first
    /// build fetches 165 MB and takes minutes; a mutant of it takes seconds.
    pub fn build(
        &self,
        choice: &KernelChoice,
        progress: &mut dyn Progress,
    ) -> Result<BuiltKernel, Error> {
        kernel::build(self, choice, progress)
    }

    /// Gives a tree of the user's the options that the lab needs and it lacks,
    /// or a configuration if it has none.
    pub fn configure(&self, tree: &Path, progress: &mut dyn Progress) -> Result<Configured, Error> {
        let tree = tree.canonicalize().map_err(error::io_error("find", tree))?;
        user_tree::configure(self, &tree, &self.kernels.join("base.config"), progress)
    }

    /// A kernel by name with posted patches on it, to be built as any other. It
    /// takes a moment if the kernel's source is there, and needs nothing of it
    /// if the same has been done before.
    pub fn patch(
        &self,
        choice: &KernelChoice,
        patches: &PatchSet,
        progress: &mut dyn Progress,
    ) -> Result<Patched, Error> {
        patch::patched(self, choice, patches, progress)
    }

    /// The probe whose sources are in `sources`, built against a kernel.
    pub fn build_probe(
        &self,
        kernel: &BuiltKernel,
        sources: &Path,
        progress: &mut dyn Progress,
    ) -> Result<PathBuf, Error> {
        probe::build(self, kernel, sources, progress)
    }

    /// An empty file system, as `pack` has its raw image; `None` if the host
    /// has no mkfs for it.
    pub fn empty_filesystem(
        &self,
        kind: FileSystem,
        pack: impl FnOnce(File, &mut Vec<u8>) -> io::Result<()>,
    ) -> Result<Option<PathBuf>, Error> {
        filesystem::empty(&self.cache_dir, kind, pack)
    }

    /// A QEMU of a newer release than the machine's, fetched if that has not
    /// been done: 50 MB.
    pub fn newer_qemu(&self, progress: &mut dyn Progress) -> Result<PathBuf, Error> {
        emulator::provide(&self.cache_dir, progress)
    }

    /// An initramfs of these files.
    pub fn initramfs(&self, files: &[InitramfsFile]) -> Result<PathBuf, Error> {
        initramfs::build(&self.cache_dir, files)
    }
}
