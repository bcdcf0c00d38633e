// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The kernels of `images/kernels`: one folder each, with a kernel.toml, the
//! patches that make it, and the mutants that break it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, io_error};

/// A kernel by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSpec {
    /// Its folder's name, with `~mutant` appended for a mutant.
    pub name: String,
    /// One line for lists.
    pub description: String,
    /// The series of Linux that it starts from, as in `7.2`.
    pub version: String,
    /// Configuration fragments, in the order of application.
    pub config: Vec<PathBuf>,
    /// Patches, in the order of application; a mutant's own comes last.
    pub patches: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    description: String,
    version: String,
    config: Vec<String>,
}

/// All kernels under a folder, by name; each is followed by its mutants.
pub(crate) fn list(kernels: &Path) -> Result<Vec<KernelSpec>, Error> {
    let mut specs = Vec::new();
    for folder in sorted_entries(kernels)? {
        if !folder.join("kernel.toml").is_file() {
            continue;
        }
        let base = read(kernels, &folder)?;
        let mutants = mutants_of(&base, &folder)?;
        specs.push(base);
        specs.extend(mutants);
    }
    Ok(specs)
}

fn read(kernels: &Path, folder: &Path) -> Result<KernelSpec, Error> {
    let path = folder.join("kernel.toml");
    let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
    let description: Description = toml::from_str(&text).map_err(|source| Error::Description {
        path,
        source: Box::new(source),
    })?;
    Ok(KernelSpec {
        name: file_name(folder),
        description: description.description,
        version: description.version,
        config: description
            .config
            .iter()
            .map(|name| kernels.join(name))
            .collect(),
        patches: patches_in(&folder.join("patches"))?,
    })
}

fn mutants_of(base: &KernelSpec, folder: &Path) -> Result<Vec<KernelSpec>, Error> {
    let mutant = |patch: PathBuf| {
        let name = patch.file_stem().unwrap_or_default().to_string_lossy();
        let mut spec = base.clone();
        spec.name = format!("{}~{name}", base.name);
        spec.description = format!(
            "{} broken on purpose: {}",
            base.name,
            name.replace('-', " ")
        );
        spec.patches.push(patch.clone());
        spec
    };
    let patches = patches_in(&folder.join("mutants"))?;
    Ok(patches.into_iter().map(mutant).collect())
}

fn patches_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut patches = sorted_entries(folder)?;
    patches.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "patch")
    });
    Ok(patches)
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(io_error("list", folder))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(io_error("list", folder))?.path());
    }
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
