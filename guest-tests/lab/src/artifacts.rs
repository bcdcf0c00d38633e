// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Everything that a run needs built: the device, the agent, the kernel, the
//! probe for it, and the initramfs that holds the latter two.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use irqstorm_agent::blocks;
use irqstorm_images::{
    BuiltKernel, FileSystem, Images, InitramfsFile, KernelChoice, ModuleTree, Progress,
};

use crate::failure::{Failure, io_failure};
use crate::process::{Process, describe};
use crate::repository::Repository;

/// The agent must run with nothing around it, so it is linked with the C
/// library inside; this target's own flags leave the host's build alone.
const AGENT_TARGET: &str = "x86_64-unknown-linux-gnu";
const AGENT_FLAGS: &str = "-C target-feature=+crt-static";

/// The last lines of a build that an error shows.
const TAIL_LINES: usize = 30;

/// What a guest is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Tests, which need the probe and empty file systems.
    Tests,
    /// A program of this machine, which needs neither: the kernel's tree may be
    /// gone that a probe is compiled against, and to bring it back takes minutes.
    Program,
}

/// What was built.
#[derive(Clone, Debug)]
pub(crate) struct Artifacts {
    /// irqstorm-device.
    pub(crate) device: PathBuf,
    /// The kernel.
    pub(crate) kernel: BuiltKernel,
    /// The initramfs.
    pub(crate) initramfs: PathBuf,
    /// Whether the probe is in it.
    pub(crate) probe: bool,
}

impl Artifacts {
    /// Builds all of it, as far as that has not been done.
    pub(crate) fn build(
        repository: &Repository,
        images: &Images,
        choice: &KernelChoice,
        purpose: Purpose,
        progress: &mut dyn Progress,
    ) -> Result<Artifacts, Failure> {
        let device = build_device(repository, progress)?;
        let agent = build_agent(repository, progress)?;
        let kernel = images.build(choice, progress)?;
        let mut files = vec![InitramfsFile {
            guest: "init".into(),
            host: agent,
        }];
        let mut probe = false;
        if purpose == Purpose::Tests {
            files.extend(empty_filesystems(images)?);
            if kernel.modules != ModuleTree::None {
                files.push(InitramfsFile {
                    guest: format!("lib/{}", irqstorm_images::MODULE),
                    host: images.build_probe(&kernel, &repository.probe(), progress)?,
                });
                probe = true;
            }
        }
        Ok(Artifacts {
            device,
            initramfs: images.initramfs(&files)?,
            kernel,
            probe,
        })
    }
}

/// Those that the host has a mkfs for: tests that want another are skipped.
fn empty_filesystems(images: &Images) -> Result<Vec<InitramfsFile>, Failure> {
    let mut files = Vec::new();
    for kind in FileSystem::ALL {
        let packed = images.empty_filesystem(kind, |image, to| {
            blocks::write(BufReader::with_capacity(1 << 20, image), to)
        })?;
        let guest = blocks::guest_path(kind.name());
        files.extend(packed.map(|host| InitramfsFile {
            guest: guest.trim_start_matches('/').to_owned(),
            host,
        }));
    }
    Ok(files)
}

fn build_device(repository: &Repository, progress: &mut dyn Progress) -> Result<PathBuf, Failure> {
    let target = target_dir(repository);
    let mut cargo = cargo_build("irqstorm-device", &target);
    progress.begin("build irqstorm-device", None);
    run_cargo("build irqstorm-device", &mut cargo, repository, progress)?;
    Ok(target.join("release/irqstorm-device"))
}

fn build_agent(repository: &Repository, progress: &mut dyn Progress) -> Result<PathBuf, Failure> {
    let target = target_dir(repository).join("guest");
    let mut cargo = cargo_build("irqstorm-agent", &target);
    cargo.args(["--target", AGENT_TARGET]);
    cargo.env("RUSTFLAGS", AGENT_FLAGS);
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
    progress.begin("build the guest's agent", None);
    run_cargo("build the guest's agent", &mut cargo, repository, progress)?;
    Ok(target.join(AGENT_TARGET).join("release/irqstorm-agent"))
}

fn target_dir(repository: &Repository) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
        // Relative to where cargo is run, which is the repository.
        Some(folder) => repository.root().join(folder),
        None => repository.root().join("target"),
    }
}

fn cargo_build(package: &str, target: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--package", package]);
    command.arg("--target-dir").arg(target);
    command
}

/// Runs cargo; its lines count as steps, and an error shows the last of them.
fn run_cargo(
    what: &str,
    cargo: &mut Command,
    repository: &Repository,
    progress: &mut dyn Progress,
) -> Result<(), Failure> {
    cargo.current_dir(repository.root());
    cargo
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut process = Process::start("cargo (or rustup)", cargo)?;
    let mut tail = VecDeque::new();
    let output = process.child().stderr.take();
    for (count, line) in (1..).zip(output.into_iter().flat_map(|o| BufReader::new(o).lines())) {
        let line = line.map_err(io_failure("read the output of", Path::new("cargo")))?;
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
        progress.at(count);
    }
    let status = process
        .child()
        .wait()
        .map_err(io_failure("wait for", Path::new("cargo")))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Program {
        what: what.to_owned(),
        program: "cargo".into(),
        ended: describe(status),
        detail: format!("\n{}", Vec::from(tail).join("\n")),
    })
}
