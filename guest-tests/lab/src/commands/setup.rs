// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm setup`: the packages that are missing, from the distribution.

use std::process::{Command, Stdio};

use irqstorm_images::{HOST_PACKAGES, HostPackage, is_present};

use crate::cli::SetupArguments;
use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::process::{describe, spawn_failure};
use crate::qemu;

/// What the lab itself runs.
const LAB_PACKAGES: &[HostPackage] = &[HostPackage {
    provides: "qemu-system-x86_64",
    package: qemu::PACKAGE,
}];

/// Installs what is missing, having said what that is.
pub(crate) fn run(arguments: &SetupArguments) -> Result<Exit, Failure> {
    let missing = missing();
    if missing.is_empty() {
        eprintln!("irqstorm setup: nothing is missing");
        return Ok(Exit::Passed);
    }
    let list = missing.join(" ");
    if !is_present("apt-get") {
        return Err(Failure::BadArgument {
            what: "apt-get".into(),
            reason: format!(
                "it is not there, so this is not Debian; install what your distribution has of these: {list}"
            ),
        });
    }
    if arguments.dry_run {
        println!("{list}");
        return Ok(Exit::Passed);
    }
    interrupt::install()?;
    eprintln!("irqstorm setup: installing {list}");
    apt(&["update"])?;
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(missing);
    apt(&install)?;
    Ok(Exit::Passed)
}

fn missing() -> Vec<&'static str> {
    let all = HOST_PACKAGES.iter().chain(LAB_PACKAGES);
    let absent = all.filter(|package| !is_present(package.provides));
    let mut names: Vec<&str> = absent.map(|package| package.package).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn apt(arguments: &[&str]) -> Result<(), Failure> {
    let root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if root { "apt-get" } else { "sudo" });
    if !root {
        // sudo clears the environment.
        command.args(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    }
    // Another apt-get may be at work: wait for it, ten minutes at most.
    command
        .args([
            "-qq",
            "-o",
            "Dpkg::Use-Pty=0",
            "-o",
            "DPkg::Lock::Timeout=600",
        ])
        .args(arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    // sudo may ask for a password on the terminal; what dpkg says is no result.
    command.stdout(Stdio::from(std::io::stderr()));
    let status = command
        .status()
        .map_err(|source| spawn_failure(&command, "sudo", source))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Program {
        what: "install packages".into(),
        program: format!("apt-get {}", arguments[0]),
        ended: describe(status),
        detail: "; it says why above".into(),
    })
}
