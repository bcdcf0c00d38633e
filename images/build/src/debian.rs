// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Debian's archive, suites included that the machine is not set up for.
//!
//! apt fetches from it with a state of its own in a temporary folder, from the
//! mirror that the machine's own configuration names, and checks signatures and
//! hashes; nothing of the machine's package state is touched, and no privilege
//! is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;
use crate::command::{output_of, run_logged};
use crate::error::{Error, io_error};
use crate::progress::Progress;

/// Debian's keys, as its releases up to 12 and from 13 on name them.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/// apt with a state, sources and cache that are nobody else's.
pub(crate) struct PrivateApt {
    state: tempfile::TempDir,
    mirror: String,
    keyring: &'static str,
}

impl PrivateApt {
    /// In a temporary folder in `parent`: /tmp may be small.
    pub(crate) fn new(parent: &Path) -> Result<PrivateApt, Error> {
        let (mirror, keyring) = (mirror()?, keyring()?);
        let state = cache::scratch(parent)?;
        for folder in ["lists/partial", "archives/partial", "debs"] {
            cache::create_dir(&state.path().join(folder))?;
        }
        Ok(PrivateApt {
            state,
            mirror,
            keyring,
        })
    }

    /// Reads the package lists of these suites, and of no other.
    pub(crate) fn read_lists(
        &self,
        suites: &[&str],
        log: &Path,
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        let names = suites.join(" and ");
        progress.begin(&format!("read the package list of Debian's {names}"), None);
        let sources = self.state.path().join("sources.list");
        let line = |suite| {
            format!(
                "deb [signed-by={}] {} {suite} main\n",
                self.keyring, self.mirror
            )
        };
        let lines: String = suites.iter().map(line).collect();
        fs::write(&sources, lines).map_err(io_error("write", &sources))?;
        let mut update = self.command(&["update"]);
        run_logged("read Debian's package list", &mut update, log, |_| ())
    }

    /// Fetches a package; its path.
    pub(crate) fn download(
        &self,
        package: &str,
        log: &Path,
        progress: &mut dyn Progress,
    ) -> Result<PathBuf, Error> {
        let debs = self.state.path().join("debs");
        let mut fetch = self.command(&["download", package]);
        fetch.current_dir(&debs);
        self.fetch(package, &mut fetch, log, progress)?;
        let found = packages_in(&debs)?.into_iter().next();
        found.ok_or_else(|| unavailable("apt fetched the package and left none".into()))
    }

    /// Fetches packages of a suite and all that they depend on, down to the C
    /// library; their paths.
    pub(crate) fn download_whole(
        &self,
        suite: &str,
        packages: &[&str],
        log: &Path,
        progress: &mut dyn Progress,
    ) -> Result<Vec<PathBuf>, Error> {
        let words = ["--yes", "--no-install-recommends", "--download-only"];
        let mut fetch = self.command(&["install", "--target-release", suite]);
        fetch.args(words).args(packages);
        let what = packages.first().copied().unwrap_or_default();
        self.fetch(
            &format!("{what} of Debian's {suite}"),
            &mut fetch,
            log,
            progress,
        )?;
        packages_in(&self.state.path().join("archives"))
    }

    fn fetch(
        &self,
        what: &str,
        fetch: &mut Command,
        log: &Path,
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        progress.begin(&format!("fetch {what}"), Some(100));
        fetch.args(["-o", "APT::Status-Fd=1"]);
        run_logged(&format!("fetch {what}"), fetch, log, |line| {
            if let Some(percent) = percent_of(line) {
                progress.at(percent);
            }
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let state = self.state.path().display();
        let options = [
            format!("Dir::State={state}"),
            "Dir::State::status=/dev/null".into(),
            format!("Dir::Cache={state}"),
            format!("Dir::Etc::sourcelist={state}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".into(),
            "Dir::Etc::preferences=/dev/null".into(),
            "Dir::Etc::preferencesparts=/dev/null".into(),
            "Acquire::Languages=none".into(),
            "Acquire::Retries=3".into(),
            // Its own user could not write into our folder.
            "APT::Sandbox::User=".into(),
            "APT::Update::Error-Mode=any".into(),
            // All of it is ours alone; the locks would lie beside the status.
            "Debug::NoLocking=true".into(),
        ];
        let mut command = Command::new("apt-get");
        for option in &options {
            command.arg("-o").arg(option);
        }
        command.args(arguments).env("LC_ALL", "C");
        command
    }
}

/// Puts the files of a package into a folder.
pub(crate) fn unpack(deb: &Path, folder: &Path, log: &Path) -> Result<(), Error> {
    let mut open = Command::new("dpkg-deb");
    open.arg("-x").arg(deb).arg(folder);
    run_logged("open a package", &mut open, log, |_| ())
}

/// A package's file as people write it.
pub(crate) fn deb_name(deb: &Path) -> String {
    deb.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .replace("%3a", ":")
}

fn packages_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let path = entry.map_err(io_error("list", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The percentage in a line of apt's status: `dlstatus:1:42.0724:Retrieving`.
fn percent_of(line: &str) -> Option<u64> {
    let percent = line.strip_prefix("dlstatus:")?.split(':').nth(1)?;
    percent.split('.').next()?.parse().ok()
}

pub(crate) fn unavailable(reason: String) -> Error {
    Error::Unavailable {
        place: "Debian's archive".into(),
        reason,
    }
}

fn keyring() -> Result<&'static str, Error> {
    let present = KEYRINGS.iter().find(|path| Path::new(path).is_file());
    present.copied().ok_or_else(|| {
        unavailable("its keys are not installed; 'apt-get install debian-archive-keyring'".into())
    })
}

/// The mirror of Debian's main archive that apt is set up with.
fn mirror() -> Result<String, Error> {
    let format = ["indextargets", "--format", "$(LABEL) $(REPO_URI)"];
    let targets = output_of(Command::new("apt-get").args(format))?;
    if let Some(mirror) = labelled_mirror(&targets) {
        return Ok(mirror);
    }
    // Without package lists apt does not know labels, but where it would look.
    let uris = output_of(Command::new("apt-get").args(["--print-uris", "update"]))?;
    usual_mirror(&uris).ok_or_else(|| unavailable("apt is set up with no mirror of it".into()))
}

/// The first archive that calls itself Debian, and not a part of it.
fn labelled_mirror(targets: &str) -> Option<String> {
    let mirrors = targets
        .lines()
        .filter_map(|line| line.strip_prefix("Debian "));
    let mut mirrors = mirrors.filter(|uri| !uri.contains(' '));
    mirrors.next().map(str::to_owned)
}

/// The first archive in a folder of Debian's usual name.
fn usual_mirror(uris: &str) -> Option<String> {
    let mut mirrors = uris.lines().filter_map(|line| {
        let (base, _) = line.strip_prefix('\'')?.split_once("/dists/")?;
        base.ends_with("/debian").then(|| format!("{base}/"))
    });
    mirrors.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_of_the_main_archive_is_taken() {
        let targets = "Debian-Security http://mirror/debian-security/\n\
                       Debian http://mirror/pub/\nDebian Backports http://other/debian/\n";
        assert_eq!(
            labelled_mirror(targets).as_deref(),
            Some("http://mirror/pub/")
        );
        assert_eq!(labelled_mirror("Ubuntu http://mirror/ubuntu/\n"), None);
    }

    #[test]
    fn without_package_lists_the_usual_name_tells_the_mirror() {
        let uris = "'http://mirror/debian-security/dists/x/InRelease' a 0\n\
                    'http://mirror/debian/dists/bookworm/InRelease' b 0\n";
        assert_eq!(usual_mirror(uris).as_deref(), Some("http://mirror/debian/"));
        assert_eq!(usual_mirror("E: nothing\n"), None);
    }

    #[test]
    fn the_progress_of_apt_is_read() {
        assert_eq!(percent_of("dlstatus:1:42.0724:Retrieving file"), Some(42));
        assert_eq!(percent_of("Get:1 http://mirror/debian"), None);
    }
}
