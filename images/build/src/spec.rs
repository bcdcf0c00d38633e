// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The kernels of `images/kernels`: one folder each, with a kernel.toml, the
//! patches that make it, and the mutants that break it; and in `configs/` the
//! configurations that any of them can be built with instead of its own.
//!
//! `KERNEL~MUTANT:CONFIG` names one: the mutant is one more patch, and each
//! configuration one more fragment, with a patch of its own where Linux does
//! not offer what the fragment asks for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, io_error};

/// A kernel by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSpec {
    /// Its folder's name, with `~mutant` appended for a mutant and `:config` for
    /// each configuration.
    pub name: String,
    /// One line for lists.
    pub description: String,
    /// The series of Linux that it starts from, as in `7.2`.
    pub version: String,
    /// Configuration fragments, in the order of application.
    pub config: Vec<PathBuf>,
    /// Patches, in the order of application: the kernel's, a mutant's own, those
    /// of configurations.
    pub patches: Vec<PathBuf>,
    /// The configurations that it is tested with beside its own.
    pub variants: Vec<String>,
    /// What is broken on purpose; `None` of a kernel that is to be sound.
    pub mutant: Option<Mutant>,
}

/// What a mutant breaks, as its kernel's kernel.toml has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// The number of the claim whose tests must catch it.
    pub claim: u32,
    /// The fault, in a sentence.
    pub breaks: String,
    /// The configurations without which it does not show.
    #[serde(default)]
    pub configs: Vec<String>,
}

/// A configuration that any kernel can be built with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSpec {
    /// Its file's name, without the extension.
    pub name: String,
    /// One line for lists: the comment that the fragment begins with.
    pub description: String,
    /// What is added to a kernel's own fragments.
    pub fragment: PathBuf,
    /// What it takes in the source, if Linux does not offer it.
    pub patch: Option<PathBuf>,
}

/// All kernels and configurations there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalogue {
    /// By name; each kernel is followed by its mutants.
    pub(crate) kernels: Vec<KernelSpec>,
    /// By name.
    pub(crate) configs: Vec<ConfigSpec>,
}

impl Catalogue {
    /// The kernel that `KERNEL`, `KERNEL~MUTANT` or either with `:CONFIG`
    /// appended, once or several times, names.
    pub(crate) fn find(&self, name: &str) -> Option<KernelSpec> {
        let mut parts = name.split(':');
        let base = parts.next()?;
        let kernel = self.kernels.iter().find(|spec| spec.name == base)?;
        parts.try_fold(kernel.clone(), |spec, part| {
            let config = self.configs.iter().find(|config| config.name == part)?;
            Some(spec.with(config))
        })
    }

    /// What there is, for those who named something else.
    pub(crate) fn names(&self) -> String {
        let kernels: Vec<&str> = self.kernels.iter().map(|spec| spec.name.as_str()).collect();
        let configs: Vec<String> = self
            .configs
            .iter()
            .map(|config| format!(":{}", config.name))
            .collect();
        let mut names = kernels.join(", ");
        if !configs.is_empty() {
            names += &format!("; to each may be appended: {}", configs.join(", "));
        }
        names
    }
}

impl KernelSpec {
    /// This kernel with a configuration on top of its own.
    fn with(mut self, config: &ConfigSpec) -> KernelSpec {
        self.name = format!("{}:{}", self.name, config.name);
        self.description = format!("{}; {}", self.description, config.description);
        self.config.push(config.fragment.clone());
        self.patches.extend(config.patch.clone());
        self
    }
}

/// A kernel.toml: its `base`, or the `version` and `config` of one without.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    description: String,
    base: Option<String>,
    version: Option<String>,
    config: Option<Vec<String>>,
    #[serde(default)]
    variants: Vec<String>,
    #[serde(default)]
    mutants: BTreeMap<String, Mutant>,
}

/// Everything under a folder.
pub(crate) fn read_all(folder: &Path) -> Result<Catalogue, Error> {
    Ok(Catalogue {
        kernels: kernels_in(folder)?,
        configs: configs_in(&folder.join("configs"))?,
    })
}

fn kernels_in(kernels: &Path) -> Result<Vec<KernelSpec>, Error> {
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
    let (path, description) = read_description(folder)?;
    let own = patches_in(&folder.join("patches"))?;
    let name = file_name(folder);
    match description {
        Description {
            base: None,
            version: Some(version),
            config: Some(config),
            description,
            variants,
            ..
        } => Ok(KernelSpec {
            name,
            description,
            version,
            config: config.iter().map(|name| kernels.join(name)).collect(),
            patches: own,
            variants,
            mutant: None,
        }),
        Description {
            base: Some(base),
            version: None,
            config: None,
            description,
            variants,
            ..
        } => {
            let folder = kernels.join(&base);
            let of_linux =
                folder.join("kernel.toml").is_file() && read_description(&folder)?.1.base.is_none();
            if !of_linux {
                let reason = format!("base = \"{base}\" is no kernel that has no base itself");
                return Err(refuse(path, &reason));
            }
            let mut spec = read(kernels, &folder)?;
            spec.patches.extend(own);
            Ok(KernelSpec {
                name,
                description,
                variants,
                ..spec
            })
        }
        _ => Err(refuse(
            path,
            "give either base, or both of version and config",
        )),
    }
}

fn read_description(folder: &Path) -> Result<(PathBuf, Description), Error> {
    let path = folder.join("kernel.toml");
    let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
    match toml::from_str(&text) {
        Ok(description) => Ok((path, description)),
        Err(source) => Err(Error::Description {
            path,
            source: Box::new(source),
        }),
    }
}

fn refuse(path: PathBuf, reason: &str) -> Error {
    Error::Description {
        path,
        source: Box::new(serde::de::Error::custom(reason)),
    }
}

/// The patches of `mutants/`, each with what kernel.toml says of it.
fn mutants_of(base: &KernelSpec, folder: &Path) -> Result<Vec<KernelSpec>, Error> {
    let (path, description) = read_description(folder)?;
    let mut described = description.mutants;
    let mut specs = Vec::new();
    for patch in patches_in(&folder.join("mutants"))? {
        let name = file_stem(&patch);
        let Some(mutant) = described.remove(&name) else {
            let reason = format!("mutants/{name}.patch has no [mutants.{name}]");
            return Err(refuse(path, &reason));
        };
        let mut spec = base.clone();
        spec.name = format!("{}~{name}", base.name);
        spec.description = format!("{} broken on purpose: {}", base.name, mutant.breaks);
        spec.patches.push(patch);
        spec.mutant = Some(mutant);
        specs.push(spec);
    }
    match described.keys().next() {
        None => Ok(specs),
        Some(name) => {
            let reason = format!("[mutants.{name}] has no mutants/{name}.patch");
            Err(refuse(path, &reason))
        }
    }
}

fn configs_in(folder: &Path) -> Result<Vec<ConfigSpec>, Error> {
    let config = |fragment: PathBuf| {
        let text = fs::read_to_string(&fragment).map_err(io_error("read", &fragment))?;
        let comment = text.lines().next().and_then(|line| line.strip_prefix('#'));
        let patch = fragment.with_extension("patch");
        Ok(ConfigSpec {
            name: file_stem(&fragment),
            description: comment.unwrap_or_default().trim().to_owned(),
            fragment,
            patch: patch.is_file().then_some(patch),
        })
    };
    files_in(folder, "config")?
        .into_iter()
        .map(config)
        .collect()
}

fn patches_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    files_in(folder, "patch")
}

/// The files of a folder that have this extension; none if there is no folder.
fn files_in(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Error> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = sorted_entries(folder)?;
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    Ok(files)
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

fn file_stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests;
