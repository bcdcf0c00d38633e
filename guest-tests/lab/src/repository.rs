// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where the project's own sources are: the lab builds from them.

use std::path::{Path, PathBuf};

use irqstorm_core::scenario::Scenario;
use irqstorm_images::Images;

use crate::failure::{Failure, io_failure};

/// Names the checkout when the lab's binary was moved away from it.
pub(crate) const ROOT_VARIABLE: &str = "IRQSTORM_ROOT";

/// The scenario under which tests run that ask for none of their own.
pub(crate) const DEFAULT_SCENARIO: &str = "default-storm";

/// A checkout of the project.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    root: PathBuf,
}

impl Repository {
    /// The checkout that $IRQSTORM_ROOT names, or the one that the lab was
    /// built from.
    pub(crate) fn find() -> Result<Repository, Failure> {
        let set = std::env::var_os(ROOT_VARIABLE).filter(|value| !value.is_empty());
        let root = match set {
            Some(root) => PathBuf::from(root),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."),
        };
        let root = root.canonicalize().unwrap_or(root);
        if root.join("images/kernels").is_dir() && root.join("guest-tests/scenarios").is_dir() {
            return Ok(Repository { root });
        }
        Err(Failure::BadArgument {
            what: format!("{} as the project's checkout", root.display()),
            reason: format!("it has no images/kernels; set {ROOT_VARIABLE} to where it is"),
        })
    }

    /// The workspace's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The probe's sources.
    pub(crate) fn probe(&self) -> PathBuf {
        self.root.join("guest-tests/probe")
    }

    /// The kernels of this checkout, built into the user's cache.
    pub(crate) fn images(&self) -> Result<Images, Failure> {
        let cache = irqstorm_images::default_dir().ok_or_else(|| Failure::BadArgument {
            what: "the cache folder".into(),
            reason: "neither XDG_CACHE_HOME nor HOME is set; set one of them".into(),
        })?;
        Ok(Images::new(&cache, &self.root))
    }

    fn scenarios(&self) -> PathBuf {
        self.root.join("guest-tests/scenarios")
    }

    /// The shipped scenarios by name, sorted.
    pub(crate) fn scenario_names(&self) -> Result<Vec<String>, Failure> {
        let folder = self.scenarios();
        let entries = std::fs::read_dir(&folder).map_err(io_failure("list", &folder))?;
        let mut names = Vec::new();
        for entry in entries {
            let path = entry.map_err(io_failure("list", &folder))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let stem = path.file_stem().unwrap_or_default();
                names.push(stem.to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// A scenario by its shipped name or by its path; with the name to call it.
    pub(crate) fn scenario(&self, argument: &str) -> Result<NamedScenario, Failure> {
        let names = self.scenario_names()?;
        if names.iter().any(|name| name == argument) {
            let path = self.scenarios().join(format!("{argument}.toml"));
            return NamedScenario::load(argument, &path);
        }
        let path = Path::new(argument);
        if path.is_file() {
            return NamedScenario::load(argument, path);
        }
        Err(Failure::UnknownName {
            kind: "scenario",
            name: argument.to_owned(),
            known: format!("{}, and no file is there of that name", names.join(", ")),
        })
    }
}

/// A scenario that has been read and found good.
#[derive(Clone, Debug)]
pub(crate) struct NamedScenario {
    /// What events and reports call it.
    pub(crate) name: String,
    /// It.
    pub(crate) scenario: Scenario,
}

impl NamedScenario {
    fn load(name: &str, path: &Path) -> Result<NamedScenario, Failure> {
        Ok(NamedScenario {
            name: name.to_owned(),
            scenario: Scenario::load(path)?,
        })
    }

    /// The same, drawing from this seed.
    pub(crate) fn seeded(mut self, seed: u64) -> NamedScenario {
        self.scenario = self.scenario.with_seed(seed);
        self
    }

    /// Its text, for the device: one that names no files.
    pub(crate) fn to_toml(&self) -> String {
        self.scenario.document().to_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_is_good_and_described() {
        let repository = Repository::find().unwrap();
        let names = repository.scenario_names().unwrap();
        assert!(names.iter().any(|name| name == DEFAULT_SCENARIO));
        for name in names {
            let found = repository.scenario(&name).unwrap();
            assert!(!found.scenario.description.is_empty(), "{name}");
        }
    }

    #[test]
    fn an_unknown_scenario_is_answered_with_what_there_is() {
        let repository = Repository::find().unwrap();
        let error = repository.scenario("nosuch").unwrap_err().to_string();
        assert!(error.contains("'nosuch'") && error.contains(DEFAULT_SCENARIO));
    }
}
