// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A kernel tree of the user's, or the folder of one's objects (`make O=`):
//! looked at, configured if that is asked for, and made.
//!
//! Nothing of it is copied, and make runs in it as the user would run it, so
//! that what was built is not built again, neither here nor by hand. Nothing in
//! it is written but by make, and `.config` by [`configure`].

mod config;
mod make;
mod options;

use std::fs;
use std::path::{Path, PathBuf};

use crate::Images;
use crate::cache::{self, KeyBuilder, Lock};
use crate::choice::release_of;
use crate::error::{Error, io_error};
use crate::kernel::{BuiltKernel, ModuleTree, has_flag};
use crate::progress::Progress;

pub use config::Configured;
pub(crate) use config::configure;

/// A tree, and where what belongs to it is kept outside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserTree {
    /// Where make is run: the tree, or the folder of its objects.
    pub(crate) path: PathBuf,
    /// Logs, and the probe as it was last built for it.
    pub(crate) work: PathBuf,
}

impl UserTree {
    pub(crate) fn new(images: &Images, path: &Path) -> UserTree {
        let mut key = KeyBuilder::default();
        key.add("path", path.as_os_str().as_encoded_bytes());
        UserTree {
            path: path.to_owned(),
            work: images.cache_dir.join("trees").join(key.finish()),
        }
    }

    fn config(&self) -> PathBuf {
        self.path.join(".config")
    }

    /// The source, which is elsewhere if this is a folder of objects.
    fn source(&self) -> PathBuf {
        let link = self.path.join("source");
        if link.is_dir() {
            link
        } else {
            self.path.clone()
        }
    }

    /// Holds it against other builds of ours.
    fn lock(&self, progress: &mut dyn Progress) -> Result<Lock, Error> {
        Lock::take(&self.work.join("lock"), || {
            let stage = format!("wait for another build of {}", self.path.display());
            progress.begin(&stage, None);
        })
    }
}

/// Whether a folder can be a tree, or hold the objects of one.
pub(crate) fn check(path: &Path) -> Result<(), Error> {
    let refuse = |reason: &str| {
        Err(Error::NotAKernel {
            path: path.to_owned(),
            reason: reason.to_owned(),
        })
    };
    if !path.join("Makefile").is_file() {
        return refuse("it is a folder without a Makefile, so no tree of Linux");
    }
    let is_linux = |tree: &Path| tree.join("arch/x86/Kconfig").is_file();
    if !is_linux(path) && !is_linux(&path.join("source")) {
        return refuse("it has no arch/x86/Kconfig, so it is no tree of Linux");
    }
    Ok(())
}

/// Makes what has changed in the tree; its image and what modules need of it.
pub(crate) fn build(
    images: &Images,
    path: &Path,
    progress: &mut dyn Progress,
) -> Result<BuiltKernel, Error> {
    let tree = UserTree::new(images, path);
    cache::create_dir(&tree.work)?;
    let _lock = tree.lock(progress)?;
    config::check(&tree)?;
    make::image(&tree, progress)?;
    describe(&tree)
}

fn describe(tree: &UserTree) -> Result<BuiltKernel, Error> {
    let bzimage = tree.path.join("arch/x86/boot/bzImage");
    let mut key = KeyBuilder::default();
    key.add_file(&bzimage)?.add_file(&tree.config())?;
    Ok(BuiltKernel {
        name: tree.path.display().to_string(),
        key: key.finish(),
        config: Some(tree.config()),
        release: release_of(&bzimage)?,
        bzimage,
        origin: format!("tree {}", tree.path.display()),
        has_flag: Some(has_flag(&tree.source())?),
        modules: ModuleTree::Foreign(tree.clone()),
    })
}

/// The probe's sources in a folder that stays, where make sees for itself what
/// has changed, of the sources and of the tree's headers.
pub(crate) fn build_probe(
    tree: &UserTree,
    sources: &[PathBuf],
    module: &str,
    progress: &mut dyn Progress,
) -> Result<PathBuf, Error> {
    let _lock = tree.lock(progress)?;
    let folder = tree.work.join("probe");
    cache::create_dir(&folder)?;
    for source in sources {
        let content = fs::read(source).map_err(io_error("read", source))?;
        let copy = folder.join(source.file_name().unwrap_or_default());
        if !fs::read(&copy).is_ok_and(|before| before == content) {
            fs::write(&copy, content).map_err(io_error("write", &copy))?;
        }
    }
    make::module(tree, &folder, progress)?;
    Ok(folder.join(module))
}

#[cfg(test)]
mod tests;
