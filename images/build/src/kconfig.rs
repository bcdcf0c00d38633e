// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Configurations: tinyconfig and fragments on top, checked to have arrived.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, io_error};

/// The fragments of a kernel, read into one text.
pub(crate) fn read_fragments(fragments: &[PathBuf]) -> Result<String, Error> {
    let mut text = String::new();
    for fragment in fragments {
        text += &fs::read_to_string(fragment).map_err(io_error("read", fragment))?;
        text.push('\n');
    }
    Ok(text)
}

/// The options that a fragment asks for and a finished configuration does not
/// have. The last word of a fragment on an option counts; `=n` asks for absence.
pub(crate) fn lost_options(fragment: &str, config: &Path) -> Result<Vec<String>, Error> {
    let config = fs::read_to_string(config).map_err(io_error("read", config))?;
    let mut wanted = std::collections::BTreeMap::new();
    for line in fragment.lines() {
        let line = line.trim();
        if let Some((option, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            wanted.insert(option, value);
        }
    }
    let is_lost = |(option, value): (&str, &str)| {
        let has = |wanted: &str| config.lines().any(|line| line == wanted);
        let present = match value {
            "n" => !config
                .lines()
                .any(|line| line.starts_with(&format!("{option}="))),
            _ => has(&format!("{option}={value}")),
        };
        (!present).then(|| format!("{option}={value}"))
    };
    Ok(wanted.into_iter().filter_map(is_lost).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_did_not_arrive_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join(".config");
        fs::write(
            &config,
            "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_D=\"x\"\n",
        )
        .unwrap();
        let fragment = "# why\nCONFIG_A=y\nCONFIG_B=y\nCONFIG_C=n\nCONFIG_D=\"x\"\n";
        assert_eq!(lost_options(fragment, &config).unwrap(), ["CONFIG_B=y"]);
        assert_eq!(
            lost_options("CONFIG_A=n\n", &config).unwrap(),
            ["CONFIG_A=n"]
        );
        let overridden = "CONFIG_B=y\nCONFIG_B=n\n";
        assert!(lost_options(overridden, &config).unwrap().is_empty());
    }
}
