// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm kernel`: a guest kernel without a run.

use std::path::Path;

use irqstorm_images::BuiltKernel;

use crate::cli::{KernelArguments, KernelCommand};
use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::progress::Stages;
use crate::repository::Repository;

/// Builds, or tells where.
pub(crate) fn run(arguments: &KernelArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        KernelCommand::Build { name } => {
            let kernel = build(name)?;
            let release = kernel.release.as_deref().unwrap_or("of unknown release");
            println!("{}: {release}, from {}", kernel.name, kernel.origin);
            println!("{}", kernel.bzimage.display());
        }
        KernelCommand::Config { tree } => configure(tree)?,
        KernelCommand::Path { name } => println!("{}", build(name)?.bzimage.display()),
    }
    Ok(Exit::Passed)
}

fn configure(tree: &Path) -> Result<(), Failure> {
    let images = Repository::find()?.images()?;
    interrupt::install()?;
    let mut stages = Stages::new();
    let done = images.configure(tree, &mut stages)?;
    stages.end();
    for (what, options) in [
        ("added", &done.added),
        ("not to be had here, and not needed", &done.lost),
    ] {
        if !options.is_empty() {
            println!("{what}: {}", options.join(", "));
        }
    }
    if let Some(before) = &done.before {
        println!("the one before: {}", before.display());
    }
    println!("{}", done.path.display());
    Ok(())
}

fn build(name: &str) -> Result<BuiltKernel, Failure> {
    let images = Repository::find()?.images()?;
    let choice = images.resolve(name)?;
    interrupt::install()?;
    let mut stages = Stages::new();
    let kernel = images.build(&choice, &mut stages)?;
    stages.end();
    Ok(kernel)
}
