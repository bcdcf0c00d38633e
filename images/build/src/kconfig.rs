// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Configurations: tinyconfig and fragments on top, checked to have arrived.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{self, KeyBuilder};
use crate::command::{output_of, run_logged};
use crate::error::{Error, io_error};
use crate::make;
use crate::progress::Progress;
use crate::spec::KernelSpec;
use crate::tree::Tree;

/// What the objects of one configuration take, in bytes.
const BUILD_SPACE: u64 = 800 << 20;

/// In a folder of objects: its configuration is whole and was checked.
const CONFIGURED: &str = ".irqstorm-configured";

/// The folder of a kernel's objects, configured if that has not been done.
/// Kernels that differ in patches alone share one.
pub(crate) fn configure(
    spec: &KernelSpec,
    tree: &Tree,
    progress: &mut dyn Progress,
) -> Result<PathBuf, Error> {
    let fragment = read_fragments(&spec.config)?;
    let mut key = KeyBuilder::default();
    key.add("compiler", compiler()?.as_bytes());
    key.add("fragments", fragment.as_bytes());
    let build = tree.build_dir(&key.finish());
    if build.join(CONFIGURED).is_file() {
        return Ok(build);
    }
    cache::create_dir(&build)?;
    cache::require_space(&build, BUILD_SPACE)?;
    progress.begin(&format!("configure Linux {}", spec.version), None);
    let log = build.join("config.log");
    let run = |target: &str| {
        let mut command = make::in_tree(tree, &build);
        run_logged("configure", command.arg(target), &log, |_| ())
    };
    run("tinyconfig")?;
    let config = build.join(".config");
    let mut text = fs::read_to_string(&config).map_err(io_error("read", &config))?;
    text.push_str(&fragment);
    fs::write(&config, text).map_err(io_error("write", &config))?;
    run("olddefconfig")?;
    let lost = lost_options(&fragment, &config)?;
    if !lost.is_empty() {
        return Err(Error::LostOptions {
            version: spec.version.clone(),
            lost: lost.join(", "),
        });
    }
    cache::write_whole(&build.join(CONFIGURED), b"")?;
    Ok(build)
}

/// The compiler's version, on which a configuration depends.
pub(crate) fn compiler() -> Result<String, Error> {
    output_of(Command::new("gcc").arg("--version"))
}

/// The fragments of a kernel, read into one text. One that sets no option, and
/// is there for its patch alone, is none: its kernels share the objects of those
/// without it.
fn read_fragments(fragments: &[PathBuf]) -> Result<String, Error> {
    let mut text = String::new();
    for fragment in fragments {
        let read = fs::read_to_string(fragment).map_err(io_error("read", fragment))?;
        if read.lines().any(|line| option(line).is_some()) {
            text += &read;
            text.push('\n');
        }
    }
    Ok(text)
}

/// The option that a line of a fragment sets, and to what.
fn option(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    line.split_once('=').filter(|_| !line.starts_with('#'))
}

/// The options that a fragment asks for and a finished configuration does not
/// have. The last word of a fragment on an option counts; `=n` asks for absence.
fn lost_options(fragment: &str, config: &Path) -> Result<Vec<String>, Error> {
    let config = fs::read_to_string(config).map_err(io_error("read", config))?;
    let mut wanted = std::collections::BTreeMap::new();
    wanted.extend(fragment.lines().filter_map(option));
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
    fn a_fragment_that_sets_nothing_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let base = write("base.config", "# what for\nCONFIG_A=y\n");
        let nothing = write("patched.config", "# a patch, CONFIG_B=y is not meant\n\n");
        let alone = read_fragments(std::slice::from_ref(&base)).unwrap();
        assert_eq!(read_fragments(&[base, nothing]).unwrap(), alone);
    }

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
