// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A kernel with posted patches: what they change of it, as one diff in the
//! cache, and the kernel that has that as its last patch.
//!
//! ```text
//! patched/KEY/posted.patch    the difference, which applies exactly
//! patched/KEY/notes.json      where hunks went if not where they said
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::apply::{Base, Overlay, gnu};
use super::{PatchError, PatchSet};
use crate::Images;
use crate::cache::{self, KeyBuilder};
use crate::choice::KernelChoice;
use crate::error::{Error, io_error};
use crate::progress::Progress;
use crate::spec::KernelSpec;
use crate::tree::Tree;

/// Its name is an ingredient of the kernel's key.
const DIFF: &str = "posted.patch";

const NOTES: &str = "notes.json";

/// A kernel with posted patches, not built yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patched {
    /// The kernel, named `7.2 + v4.mbox (1 patch)`.
    pub kernel: KernelChoice,
    /// What the patches changed, as a diff.
    pub diff: PathBuf,
    /// What was decided in reading and applying: for the user to see.
    pub notes: Vec<String>,
}

pub(crate) fn patched(
    images: &Images,
    choice: &KernelChoice,
    set: &PatchSet,
    progress: &mut dyn Progress,
) -> Result<Patched, Error> {
    let spec = match choice {
        KernelChoice::Named(spec) => spec,
        KernelChoice::Tree(path) | KernelChoice::Image(path) => {
            return Err(PatchError::NotOurs {
                kernel: path.display().to_string(),
            }
            .into());
        }
    };
    let known = Tree::known_origin(&images.cache_dir, &images.sources, &spec.version)?;
    if let Some(origin) = known {
        let product = product_of(images, spec, set, &origin)?;
        if product.is_dir() {
            return read_product(spec, set, &product);
        }
    }
    let tree = Tree::open(&images.cache_dir, &images.sources, &spec.version, progress)?;
    let product = product_of(images, spec, set, tree.origin())?;
    if !product.is_dir() {
        progress.begin(&format!("apply {} to {}", set.label(), spec.name), None);
        let staged = cache::staging(&product)?;
        make(images, &tree, spec, set, staged.path())?;
        cache::publish(staged, &product)?;
    }
    read_product(spec, set, &product)
}

/// Where the difference is kept: under a name made of the kernel's source and
/// patches, and of the posted ones.
fn product_of(
    images: &Images,
    spec: &KernelSpec,
    set: &PatchSet,
    origin: &str,
) -> Result<PathBuf, Error> {
    let mut key = KeyBuilder::default();
    key.add("origin", origin.as_bytes());
    for patch in &spec.patches {
        key.add_file(patch)?;
    }
    for patch in set.patches() {
        key.add("posted", format!("{patch:?}").as_bytes());
    }
    Ok(images.cache_dir.join("patched").join(key.finish()))
}

fn read_product(spec: &KernelSpec, set: &PatchSet, product: &Path) -> Result<Patched, Error> {
    let diff = product.join(DIFF);
    let path = product.join(NOTES);
    let text = fs::read(&path).map_err(io_error("read", &path))?;
    let applied: Vec<String> = serde_json::from_slice(&text)
        .map_err(|e| io_error("read", &path)(std::io::Error::other(e)))?;
    let mut spec = spec.clone();
    spec.name = format!("{} + {}", spec.name, set.label());
    spec.description = format!("{}; with {}", spec.description, set.label());
    spec.patches.push(diff.clone());
    Ok(Patched {
        kernel: KernelChoice::Named(spec),
        diff,
        notes: set.notes().iter().cloned().chain(applied).collect(),
    })
}

fn make(
    images: &Images,
    tree: &Tree,
    spec: &KernelSpec,
    set: &PatchSet,
    folder: &Path,
) -> Result<(), Error> {
    let base = TreeBase {
        tree,
        patched: tree.patched(&spec.patches)?,
        git: images
            .sources
            .local
            .as_deref()
            .filter(|local| local.join(".git").exists()),
    };
    let kernel = format!("{} ({})", spec.name, tree.origin());
    let mut overlay = Overlay::new(&base, kernel.clone());
    for patch in set.patches() {
        overlay.apply(patch)?;
    }
    let mut diff = Vec::new();
    for (path, content) in overlay.files() {
        let before = base.content(path)?;
        if before.as_deref() != content {
            let name = path.display().to_string();
            diff.extend(gnu::diff(&name, before.as_deref(), content)?);
        }
    }
    if diff.is_empty() {
        return Err(PatchError::DoesNotApply {
            patch: set.label(),
            kernel,
            file: "all files".into(),
            reason: "together the patches change nothing".into(),
        }
        .into());
    }
    cache::write_whole(&folder.join(DIFF), &diff)?;
    let notes = serde_json::to_vec_pretty(overlay.notes())
        .map_err(|e| io_error("write", folder)(std::io::Error::other(e)))?;
    cache::write_whole(&folder.join(NOTES), &notes)
}

/// The files of a kernel by name.
struct TreeBase<'a> {
    tree: &'a Tree,
    /// What the kernel's own patches touch, as they leave it.
    patched: BTreeMap<PathBuf, Option<Vec<u8>>>,
    /// The user's own source, if that has git's objects.
    git: Option<&'a Path>,
}

impl TreeBase<'_> {
    fn content(&self, file: &Path) -> Result<Option<Vec<u8>>, Error> {
        match self.patched.get(file) {
            Some(content) => Ok(content.clone()),
            None => self.tree.original(file),
        }
    }
}

impl Base for TreeBase<'_> {
    fn read(&self, file: &Path) -> Result<Result<Option<Vec<u8>>, String>, Error> {
        if let Err(reason) = check_inside(&self.tree.source(), file) {
            return Ok(Err(reason));
        }
        self.content(file).map(Ok)
    }

    fn has_folder(&self, folder: &Path) -> bool {
        self.tree.source().join(folder).is_dir()
    }

    fn blob(&self, id: &str) -> Result<Vec<u8>, String> {
        let Some(git) = self.git else {
            return Err("the source came without git's objects".into());
        };
        let mut command = Command::new("git");
        command.arg("-C").arg(git).args(["cat-file", "blob", id]);
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(format!("{} has no blob {id}", git.display())),
        }
    }
}

/// Refuses what leads by way of a link, or is no file: the source has links of
/// its own, which may lead anywhere.
fn check_inside(source: &Path, file: &Path) -> Result<(), String> {
    let mut path = source.to_owned();
    let mut parts = file.components().peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            // Nothing there, so nothing below either.
            return Ok(());
        };
        let is_last = parts.peek().is_none();
        let fits = if is_last {
            metadata.is_file()
        } else {
            metadata.is_dir()
        };
        if !fits {
            let shown = path.strip_prefix(source).unwrap_or(&path).display();
            return Err(match metadata.is_symlink() {
                true => {
                    format!("{shown} is a symbolic link; the patch has to name the file itself")
                }
                false => format!("{shown} is no {}", if is_last { "file" } else { "folder" }),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
