// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! make(1) in a tree of the user's, as the user would call it.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::UserTree;
use super::options::Options;
use crate::command::run_logged;
use crate::error::{Error, io_error};
use crate::make::jobs;
use crate::progress::Progress;

/// Modules that are made along: the guest loads none of them. A distribution's
/// configuration has thousands.
const FEW_MODULES: usize = 20;

/// Lines of a failed build that an error shows.
const SHOWN_LINES: usize = 12;

/// Brings the image up to the tree.
pub(super) fn image(tree: &UserTree, progress: &mut dyn Progress) -> Result<(), Error> {
    refuse_while_made(tree)?;
    let options = fs::read_to_string(tree.config()).map_err(io_error("read", &tree.config()))?;
    let options = Options::parse(&options);
    let mut make = in_tree(tree, &options);
    make.arg("bzImage");
    if options.modules() <= FEW_MODULES {
        make.arg("modules");
    } else {
        make.arg("modules_prepare");
    }
    progress.begin(&format!("make {}", tree.path.display()), None);
    let mut steps = 0;
    let log = tree.work.join("build.log");
    let made = run_logged("make", &mut make, &log, |_| {
        steps += 1;
        progress.at(steps);
    });
    explain(tree, made)
}

/// Brings a module in a folder of its own up to the tree.
pub(super) fn module(
    tree: &UserTree,
    folder: &Path,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let options = fs::read_to_string(tree.config()).map_err(io_error("read", &tree.config()))?;
    let mut make = in_tree(tree, &Options::parse(&options));
    make.arg(format!("M={}", folder.display())).arg("modules");
    // Only the target "modules" writes the other file; either has the image's.
    let image_symbols = tree.path.join("vmlinux.symvers");
    if !tree.path.join("Module.symvers").is_file() && image_symbols.is_file() {
        make.arg(format!("KBUILD_EXTRA_SYMBOLS={}", image_symbols.display()));
        make.arg("KBUILD_MODPOST_WARN=1");
    }
    let stage = format!("build the probe for {}", tree.path.display());
    progress.begin(&stage, None);
    run_logged(&stage, &mut make, &tree.work.join("probe.log"), |_| ())
}

/// Makes a configuration.
pub(super) fn config(tree: &UserTree, target: &str) -> Result<(), Error> {
    refuse_while_made(tree)?;
    let options = fs::read_to_string(tree.config()).unwrap_or_default();
    let mut make = in_tree(tree, &Options::parse(&options));
    make.arg(target);
    let made = run_logged("make", &mut make, &tree.work.join("config.log"), |_| ());
    explain(tree, made)
}

/// make in the tree, with the compiler that it is configured for.
fn in_tree(tree: &UserTree, options: &Options) -> Command {
    let mut make = Command::new("make");
    make.arg("-C").arg(&tree.path).arg(format!("-j{}", jobs()));
    make.env("LC_ALL", "C")
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL");
    if options.has("CC_IS_CLANG") {
        make.arg("LLVM=1");
    }
    make
}

/// Two makes in one tree spoil it: that of the user's goes first.
fn refuse_while_made(tree: &UserTree) -> Result<(), Error> {
    let Some(pid) = make_in(&tree.path) else {
        return Ok(());
    };
    Err(Error::NotAKernel {
        path: tree.path.clone(),
        reason: format!("make (process {pid}) is at work in it; start again when it is done"),
    })
}

/// The process of a make that runs in a folder.
fn make_in(folder: &Path) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut makes = processes.filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let path = process.path();
        let name = fs::read_to_string(path.join("comm")).ok()?;
        let place = fs::read_link(path.join("cwd")).ok()?;
        (name.trim() == "make" && place == folder).then_some(pid)
    });
    makes.next()
}

/// A failed make is the tree's: its first errors are what the user wants.
fn explain(tree: &UserTree, made: Result<(), Error>) -> Result<(), Error> {
    match made {
        Err(Error::Failed { status, log, .. }) => Err(Error::TreeBuild {
            tree: tree.path.clone(),
            status,
            errors: first_errors(&log),
            log,
        }),
        made => made,
    }
}

/// The log from its first error on; its end, if it names none.
fn first_errors(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let is_error = |line: &str| {
        ["rror:", "undefined reference", "*** "]
            .iter()
            .any(|word| line.contains(word))
    };
    let first = lines.iter().position(|line| is_error(line));
    let from = first.unwrap_or(lines.len().saturating_sub(SHOWN_LINES));
    let shown: Vec<&str> = lines.iter().skip(from).take(SHOWN_LINES).copied().collect();
    shown.join("\n")
}
