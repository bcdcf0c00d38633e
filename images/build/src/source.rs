// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where the source of Linux comes from: a tree or tarball of the user's,
//! Debian's source package, or kernel.org.
//!
//! apt fetches the package with a state of its own in a temporary folder, from
//! the mirror that the machine's own configuration names, and checks signature
//! and hashes; nothing of the machine's package state is touched, and no
//! privilege is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;
use crate::command::{output_of, run_logged};
use crate::error::{Error, io_error};
use crate::progress::Progress;

/// A tree or a tarball to take instead of anything fetched.
pub const LOCAL_SOURCE: &str = "IRQSTORM_LINUX_SOURCE";

/// Where kernel.org's `pub/linux/kernel` is, if not there.
pub const KERNEL_ORG: &str = "IRQSTORM_KERNEL_ORG";

/// The suites that have recent kernels, the most stable first.
const SUITES: [&str; 2] = ["trixie-backports", "sid"];

const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Puts the source of a version into `folder`, which is empty; says where it
/// came from, in a line that names its exact version.
pub(crate) fn fetch(
    version: &str,
    folder: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<String, Error> {
    if let Some(local) = std::env::var_os(LOCAL_SOURCE).filter(|value| !value.is_empty()) {
        return from_local(version, Path::new(&local), folder, log, progress);
    }
    let mut tried = String::new();
    let attempts: [(&str, Fetch); 2] = [("Debian", from_debian), ("kernel.org", from_kernel_org)];
    for (place, attempt) in attempts {
        match attempt(version, folder, log, progress) {
            Ok(origin) => return Ok(origin),
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(error) => tried.push_str(&format!("  {place}: {error}\n")),
        }
    }
    Err(Error::NoSource {
        version: version.to_owned(),
        tried,
    })
}

type Fetch = fn(&str, &Path, &Path, &mut dyn Progress) -> Result<String, Error>;

fn from_local(
    version: &str,
    local: &Path,
    folder: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<String, Error> {
    progress.begin(&format!("copy {}", local.display()), None);
    if local.is_dir() {
        let mut copy = Command::new("cp");
        copy.args(["-a", "--reflink=auto"])
            .arg(local.join("."))
            .arg(folder);
        run_logged("copy the source tree", &mut copy, log, |_| ())?;
    } else {
        extract(local, folder, log, progress)?;
    }
    let makefile = folder.join("Makefile");
    let text = fs::read_to_string(&makefile).map_err(io_error("read", &makefile))?;
    let found = version_of(&text);
    if found.as_deref() != Some(version) {
        return Err(Error::NotAKernel {
            path: local.to_owned(),
            reason: format!(
                "it is Linux {}, and Linux {version} is wanted; unset {LOCAL_SOURCE} to fetch that",
                found.unwrap_or_else(|| "of no known version".into())
            ),
        });
    }
    Ok(format!("local {}", local.display()))
}

/// `7.2` of a Makefile that says VERSION = 7 and PATCHLEVEL = 2.
fn version_of(makefile: &str) -> Option<String> {
    let value = |key: &str| {
        let line = makefile
            .lines()
            .find(|line| line.split('=').next().map(str::trim) == Some(key))?;
        Some(line.split_once('=')?.1.trim().to_owned())
    };
    Some(format!("{}.{}", value("VERSION")?, value("PATCHLEVEL")?))
}

fn from_debian(
    version: &str,
    folder: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<String, Error> {
    let package = format!("linux-source-{version}");
    let mirror = debian_mirror()?;
    let state =
        tempfile::tempdir().map_err(io_error("create a folder in", &std::env::temp_dir()))?;
    let mut last = None;
    for suite in SUITES {
        progress.begin(&format!("fetch {package} of Debian's {suite}"), None);
        match download(&mirror, suite, &package, state.path(), log) {
            Ok(deb) => {
                let origin = format!("Debian {}", deb_name(&deb));
                unpack(&deb, version, folder, log, progress)?;
                return Ok(origin);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::NoSource {
        version: version.to_owned(),
        tried: String::new(),
    }))
}

fn deb_name(deb: &Path) -> String {
    deb.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .replace("%3a", ":")
}

/// The mirror of Debian's main archive that apt is set up with.
fn debian_mirror() -> Result<String, Error> {
    let format = ["indextargets", "--format", "$(REPO_URI)"];
    let uris = output_of(Command::new("apt-get").args(format))?;
    uris.lines()
        .find(|uri| uri.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
        .ok_or_else(|| Error::NotAKernel {
            path: PathBuf::from("/etc/apt"),
            reason: "apt names no mirror of Debian's archive".into(),
        })
}

/// Has apt fetch a package with a state of its own; its path.
fn download(
    mirror: &str,
    suite: &str,
    package: &str,
    state: &Path,
    log: &Path,
) -> Result<PathBuf, Error> {
    for folder in ["lists/partial", "archives/partial", "debs"] {
        cache::create_dir(&state.join(folder))?;
    }
    let sources = state.join("sources.list");
    let line = format!("deb [signed-by={DEBIAN_KEYS}] {mirror} {suite} main\n");
    fs::write(&sources, line).map_err(io_error("write", &sources))?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        let state = state.display();
        let options = [
            format!("Dir::State={state}"),
            "Dir::State::status=/dev/null".into(),
            format!("Dir::Cache={state}"),
            format!("Dir::Etc::sourcelist={state}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".into(),
            "Dir::Etc::preferences=/dev/null".into(),
            "Dir::Etc::preferencesparts=/dev/null".into(),
            "Acquire::Languages=none".into(),
            "APT::Sandbox::User=".into(),
            "APT::Update::Error-Mode=any".into(),
            "APT::Update::Post-Invoke::=".into(),
        ];
        for option in &options {
            command.arg("-o").arg(option);
        }
        command.args(arguments);
        command
    };
    run_logged(
        "read Debian's package list",
        &mut apt(&["update"]),
        log,
        |_| (),
    )?;
    let debs = state.join("debs");
    let mut fetch = apt(&["download", package]);
    run_logged(
        "fetch the source package",
        fetch.current_dir(&debs),
        log,
        |_| (),
    )?;
    let mut entries = fs::read_dir(&debs).map_err(io_error("list", &debs))?;
    match entries.next() {
        Some(Ok(entry)) => Ok(entry.path()),
        _ => Err(Error::NotAKernel {
            path: debs,
            reason: "apt said it fetched a package and left none".into(),
        }),
    }
}

fn unpack(
    deb: &Path,
    version: &str,
    folder: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    // Beside the tree, since /tmp may be small.
    let parent = folder.parent().unwrap_or(folder);
    let content = tempfile::Builder::new()
        .prefix(".deb-")
        .tempdir_in(parent)
        .map_err(io_error("create a folder in", parent))?;
    let mut open = Command::new("dpkg-deb");
    open.arg("-x").arg(deb).arg(content.path());
    run_logged("open the source package", &mut open, log, |_| ())?;
    let tarball = content
        .path()
        .join(format!("usr/src/linux-source-{version}.tar.xz"));
    extract(&tarball, folder, log, progress)
}

fn extract(
    tarball: &Path,
    folder: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let name = tarball.file_name().unwrap_or_default().to_string_lossy();
    progress.begin(&format!("extract {name}"), None);
    let mut tar = Command::new("tar");
    tar.args(["--strip-components=1", "-xf"])
        .arg(tarball)
        .arg("-C")
        .arg(folder);
    run_logged("extract the source", &mut tar, log, |_| ())
}

fn from_kernel_org(
    version: &str,
    folder: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<String, Error> {
    let base = std::env::var(KERNEL_ORG)
        .unwrap_or_else(|_| "https://cdn.kernel.org/pub/linux/kernel".into());
    let major = version.split('.').next().unwrap_or(version);
    let place = format!("{base}/v{major}.x");
    let parent = folder.parent().unwrap_or(folder);
    let downloads = tempfile::Builder::new()
        .prefix(".get-")
        .tempdir_in(parent)
        .map_err(io_error("create a folder in", parent))?;
    let sums = downloads.path().join("sha256sums.asc");
    curl(&format!("{place}/sha256sums.asc"), &sums, log)?;
    let text = fs::read_to_string(&sums).map_err(io_error("read", &sums))?;
    let (expected, name) = newest_tarball(&text, version).ok_or_else(|| Error::NotAKernel {
        path: PathBuf::from(&place),
        reason: format!("it lists no tarball of Linux {version}"),
    })?;
    progress.begin(&format!("fetch {name} of kernel.org"), None);
    let tarball = downloads.path().join(&name);
    curl(&format!("{place}/{name}"), &tarball, log)?;
    check(&tarball, &expected)?;
    extract(&tarball, folder, log, progress)?;
    Ok(format!("kernel.org {name} sha256 {expected}"))
}

fn curl(url: &str, to: &Path, log: &Path) -> Result<(), Error> {
    let mut command = Command::new("curl");
    command
        .args(["-fsSL", "--retry", "3", "--connect-timeout", "10", "-o"])
        .arg(to)
        .arg(url);
    run_logged("fetch from kernel.org", &mut command, log, |_| ())
}

/// The last point release of a version in kernel.org's list of checksums.
fn newest_tarball(sums: &str, version: &str) -> Option<(String, String)> {
    let prefix = format!("linux-{version}");
    let point = |name: &str| -> Option<u32> {
        let rest = name.strip_prefix(&prefix)?.strip_suffix(".tar.xz")?;
        match rest.strip_prefix('.') {
            Some(point) => point.parse().ok(),
            None => rest.is_empty().then_some(0),
        }
    };
    let entries = sums.lines().filter_map(|line| {
        let (sum, name) = line.split_once("  ")?;
        Some((point(name)?, sum.to_owned(), name.to_owned()))
    });
    let (_, sum, name) = entries.max_by_key(|(point, ..)| *point)?;
    Some((sum, name))
}

/// Removes a file that is not what its checksum says.
fn check(path: &Path, expected: &str) -> Result<(), Error> {
    let found = cache::sha256_of(path)?;
    if found == expected {
        return Ok(());
    }
    fs::remove_file(path).map_err(io_error("remove", path))?;
    Err(Error::Checksum {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_point_release_is_taken() {
        let sums = "aa  linux-7.2.tar.xz\nbb  linux-7.2.9.tar.xz\ncc  linux-7.2.12.tar.xz\n\
                    dd  linux-7.20.1.tar.xz\nee  linux-7.2.13.tar.gz\n";
        let newest = newest_tarball(sums, "7.2");
        assert_eq!(newest, Some(("cc".into(), "linux-7.2.12.tar.xz".into())));
        assert_eq!(newest_tarball(sums, "7.3"), None);
    }

    #[test]
    fn a_makefile_tells_its_version() {
        let text = "# SPDX\nVERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 12\n";
        assert_eq!(version_of(text).as_deref(), Some("7.2"));
        assert_eq!(version_of("all:\n"), None);
    }

    #[test]
    fn a_broken_download_is_not_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("linux-7.2.tar.xz");
        fs::write(&path, b"half").unwrap();
        let error = check(&path, "00").unwrap_err();
        assert!(matches!(error, Error::Checksum { .. }));
        assert!(!path.exists());
    }
}
