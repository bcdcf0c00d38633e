// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A tree's `.config`: whether it has what the lab needs, and how it gets it.

use std::fs;
use std::path::{Path, PathBuf};

use super::options::Options;
use super::{UserTree, make};
use crate::Images;
use crate::cache;
use crate::error::{Error, io_error};
use crate::progress::Progress;

/// Beside `.config`: what it was before.
const BEFORE: &str = ".config.before-irqstorm";

/// What [`configure`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// The configuration.
    pub path: PathBuf,
    /// Where the one before is, if there was one and it lacked something.
    pub before: Option<PathBuf>,
    /// The options that were asked for, in addition, and are there now.
    pub added: Vec<String>,
    /// Those that the tree does not know, or not with its other options; the
    /// lab can do without them.
    pub lost: Vec<String>,
}

/// Refuses a tree whose kernel the lab could not use.
pub(super) fn check(tree: &UserTree) -> Result<(), Error> {
    let config = tree.config();
    if !config.is_file() {
        return Err(Error::NotAKernel {
            path: tree.path.clone(),
            reason: format!(
                "it has no .config; if you build with 'make O=', give that folder, else \
                 'irqstorm kernel config {}' writes one that suits",
                tree.path.display()
            ),
        });
    }
    let missing = read(&config)?.missing();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::MissingOptions {
        tree: tree.path.clone(),
        missing: missing.join(", "),
    })
}

fn read(config: &Path) -> Result<Options, Error> {
    let text = fs::read_to_string(config).map_err(io_error("read", config))?;
    Ok(Options::parse(&text))
}

/// Gives a tree the options of a fragment that it lacks, or, without a
/// configuration, a small one made of it.
pub(crate) fn configure(
    images: &Images,
    path: &Path,
    fragment: &Path,
    progress: &mut dyn Progress,
) -> Result<Configured, Error> {
    super::check(path)?;
    let tree = UserTree::new(images, path);
    cache::create_dir(&tree.work)?;
    let _lock = tree.lock(progress)?;
    let config = tree.config();
    let text = fs::read_to_string(fragment).map_err(io_error("read", fragment))?;
    progress.begin(&format!("configure {}", path.display()), None);
    if !config.is_file() {
        make::config(&tree, "tinyconfig")?;
        append(&config, &text)?;
        return finish(&tree, Vec::new(), None);
    }
    let wanted = read(&config)?.to_merge(&Options::parse(&text));
    if wanted.is_empty() {
        return finish(&tree, wanted, None);
    }
    let before = tree.path.join(BEFORE);
    fs::copy(&config, &before).map_err(io_error("write", &before))?;
    let lines: Vec<String> = wanted
        .iter()
        .map(|name| format!("CONFIG_{name}=y\n"))
        .collect();
    append(&config, &lines.concat())?;
    finish(&tree, wanted, Some(before))
}

fn append(config: &Path, lines: &str) -> Result<(), Error> {
    let before = fs::read_to_string(config).map_err(io_error("read", config))?;
    fs::write(config, before + lines).map_err(io_error("write", config))
}

/// Has the tree settle its configuration, and sees that the lab can use it.
fn finish(
    tree: &UserTree,
    wanted: Vec<String>,
    before: Option<PathBuf>,
) -> Result<Configured, Error> {
    make::config(tree, "olddefconfig")?;
    check(tree)?;
    let options = read(&tree.config())?;
    let (added, lost) = wanted.into_iter().partition(|name| options.has(name));
    Ok(Configured {
        path: tree.config(),
        before,
        added,
        lost,
    })
}
