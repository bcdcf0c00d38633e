// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The kernels of `images/kernels`: one folder each, with a kernel.toml, the
//! patches that make it, and the mutants that break it; and in `configs/` the
//! configurations that any of them can be built with instead of its own.
//!
//! `KERNEL~MUTANT:CONFIG` names one: the mutant is one more patch, and each
//! configuration one more fragment, with a patch of its own where Linux does
//! not offer what the fragment asks for.

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
        } => Ok(KernelSpec {
            name,
            description,
            version,
            config: config.iter().map(|name| kernels.join(name)).collect(),
            patches: own,
        }),
        Description {
            base: Some(base),
            version: None,
            config: None,
            description,
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

fn mutants_of(base: &KernelSpec, folder: &Path) -> Result<Vec<KernelSpec>, Error> {
    let mutant = |patch: PathBuf| {
        let name = file_stem(&patch);
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
mod tests {
    use super::*;

    /// A kernel, one that patches it and has a mutant, one on top of that, and
    /// two configurations, the second with a patch.
    fn catalogue(folder: &Path) -> Catalogue {
        let write = |name: &str, content: &str| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        for kernel in ["7.2", "7.2+x"] {
            write(
                &format!("{kernel}/kernel.toml"),
                "description = \"a kernel\"\nversion = \"7.2\"\nconfig = [\"base.config\"]\n",
            );
        }
        write("7.2+x/patches/1.patch", "");
        write("7.2+x/patches/2.patch", "");
        write("7.2+x/patches/README.md", "no patch");
        write("7.2+x/mutants/never-defers.patch", "");
        write(
            "7.2+y/kernel.toml",
            "description = \"another\"\nbase = \"7.2+x\"\n",
        );
        write("7.2+y/patches/1.patch", "");
        write("configs/debug.config", "# It checks a lot.\nCONFIG_A=y\n");
        write("configs/odd.config", "CONFIG_B=y\n");
        write("configs/odd.patch", "");
        read_all(folder).unwrap()
    }

    fn names_of(paths: &[PathBuf]) -> Vec<String> {
        paths.iter().map(|path| file_name(path)).collect()
    }

    #[test]
    fn kernels_come_by_name_each_with_its_mutants() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = catalogue(folder.path());
        let names: Vec<&str> = catalogue
            .kernels
            .iter()
            .map(|spec| spec.name.as_str())
            .collect();
        assert_eq!(names, ["7.2", "7.2+x", "7.2+x~never-defers", "7.2+y"]);
        let mutant = catalogue.find("7.2+x~never-defers").unwrap();
        assert_eq!(
            names_of(&mutant.patches),
            ["1.patch", "2.patch", "never-defers.patch"]
        );
    }

    #[test]
    fn a_kernel_on_another_has_its_patches_first_and_none_of_its_mutants() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = catalogue(folder.path());
        let kernel = catalogue.find("7.2+y").unwrap();
        assert_eq!(kernel.version, "7.2");
        assert_eq!(kernel.description, "another");
        assert_eq!(names_of(&kernel.config), ["base.config"]);
        let of_base = &catalogue.find("7.2+x").unwrap().patches;
        assert_eq!(kernel.patches[..2], of_base[..]);
        assert_eq!(
            kernel.patches[2..],
            [folder.path().join("7.2+y/patches/1.patch")]
        );
        assert_eq!(catalogue.find("7.2+y~never-defers"), None);
    }

    #[test]
    fn descriptions_that_make_no_kernel_are_refused_with_what_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        catalogue(folder.path());
        for (rest, said) in [
            ("base = \"7.9\"", "base = \"7.9\""),
            ("base = \"7.2+y\"", "no kernel that has no base"),
            ("base = \"bad\"", "no kernel that has no base"),
            ("base = \"7.2\"\nversion = \"7.2\"", "either base, or"),
            ("version = \"7.2\"", "both of version and config"),
            ("version = \"7.2\"\nconfigs = []", "configs"),
        ] {
            let bad = folder.path().join("bad/kernel.toml");
            fs::create_dir_all(bad.parent().unwrap()).unwrap();
            fs::write(&bad, format!("description = \"x\"\n{rest}\n")).unwrap();
            let error = read_all(folder.path()).unwrap_err().to_string();
            assert!(
                error.contains("bad/kernel.toml") && error.contains(said),
                "{error}"
            );
        }
    }

    #[test]
    fn a_configuration_adds_its_fragment_and_patch_after_all_others() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = catalogue(folder.path());
        let plain = catalogue.find("7.2").unwrap();
        let debug = catalogue.find("7.2:debug").unwrap();
        assert_eq!(debug.name, "7.2:debug");
        assert_eq!(debug.description, "a kernel; It checks a lot.");
        assert_eq!(names_of(&debug.config), ["base.config", "debug.config"]);
        assert_eq!(debug.patches, plain.patches);
        let both = catalogue.find("7.2+x~never-defers:odd:debug").unwrap();
        assert_eq!(
            names_of(&both.config),
            ["base.config", "odd.config", "debug.config"]
        );
        assert_eq!(
            names_of(&both.patches),
            ["1.patch", "2.patch", "never-defers.patch", "odd.patch"]
        );
    }

    #[test]
    fn names_of_which_a_part_is_unknown_are_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = catalogue(folder.path());
        for name in [
            "7.3",
            "7.2:",
            "7.2:fast",
            "7.3:debug",
            "7.2:debug~never-defers",
        ] {
            assert_eq!(catalogue.find(name), None, "{name}");
        }
        assert_eq!(
            catalogue.names(),
            "7.2, 7.2+x, 7.2+x~never-defers, 7.2+y; to each may be appended: :debug, :odd"
        );
    }
}
