// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Debian's source package, of a suite that the machine need not be set up for.
//!
//! apt fetches it with a state of its own in a temporary folder, from the
//! mirror that the machine's own configuration names, and checks signature and
//! hashes; nothing of the machine's package state is touched, and no privilege
//! is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;
use crate::command::{output_of, run_logged};
use crate::error::{Error, io_error};
use crate::progress::Progress;

use super::extract;

/// The suites that have recent kernels, the most stable first.
const SUITES: [&str; 2] = ["trixie-backports", "sid"];

/// Debian's keys, as its releases up to 12 and from 13 on name them.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

pub(super) fn fetch(
    version: &str,
    folder: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<String, Error> {
    let package = format!("linux-source-{version}");
    // Beside the tree, since /tmp may be small.
    let parent = folder.parent().unwrap_or(folder);
    let apt = PrivateApt::new(parent, mirror()?, keyring()?)?;
    let mut tried = String::new();
    for suite in SUITES {
        match apt.download(suite, &package, log, progress) {
            Ok(deb) => {
                let origin = format!("Debian {}", deb_name(&deb));
                unpack(&deb, version, folder, log, progress)?;
                return Ok(origin);
            }
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(error) => tried.push_str(&format!("\n  {suite}: {error}")),
        }
    }
    Err(unavailable(tried))
}

fn unavailable(reason: String) -> Error {
    Error::Unavailable {
        place: "Debian's archive".into(),
        reason,
    }
}

fn deb_name(deb: &Path) -> String {
    deb.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .replace("%3a", ":")
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

/// apt with a state, sources and cache that are nobody else's.
struct PrivateApt {
    state: tempfile::TempDir,
    mirror: String,
    keyring: &'static str,
}

impl PrivateApt {
    fn new(parent: &Path, mirror: String, keyring: &'static str) -> Result<PrivateApt, Error> {
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

    /// Fetches a package; its path.
    fn download(
        &self,
        suite: &str,
        package: &str,
        log: &Path,
        progress: &mut dyn Progress,
    ) -> Result<PathBuf, Error> {
        progress.begin(&format!("read the package list of Debian's {suite}"), None);
        let sources = self.state.path().join("sources.list");
        let line = format!(
            "deb [signed-by={}] {} {suite} main\n",
            self.keyring, self.mirror
        );
        fs::write(&sources, line).map_err(io_error("write", &sources))?;
        let mut update = self.command(&["update"]);
        run_logged("read Debian's package list", &mut update, log, |_| ())?;

        progress.begin(&format!("fetch {package} of Debian's {suite}"), Some(100));
        let debs = self.state.path().join("debs");
        let mut fetch = self.command(&["-o", "APT::Status-Fd=1", "download", package]);
        fetch.current_dir(&debs);
        run_logged("fetch the source package", &mut fetch, log, |line| {
            if let Some(percent) = percent_of(line) {
                progress.at(percent);
            }
        })?;
        let mut entries = fs::read_dir(&debs).map_err(io_error("list", &debs))?;
        match entries.next() {
            Some(Ok(entry)) => Ok(entry.path()),
            _ => Err(unavailable("apt fetched the package and left none".into())),
        }
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
        ];
        let mut command = Command::new("apt-get");
        for option in &options {
            command.arg("-o").arg(option);
        }
        command.args(arguments).env("LC_ALL", "C");
        command
    }
}

/// The percentage in a line of apt's status: `dlstatus:1:42.0724:Retrieving`.
fn percent_of(line: &str) -> Option<u64> {
    let percent = line.strip_prefix("dlstatus:")?.split(':').nth(1)?;
    percent.split('.').next()?.parse().ok()
}

fn unpack(
    deb: &Path,
    version: &str,
    folder: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let content = cache::scratch(folder.parent().unwrap_or(folder))?;
    let mut open = Command::new("dpkg-deb");
    open.arg("-x").arg(deb).arg(content.path());
    run_logged("open the source package", &mut open, log, |_| ())?;
    let tarball = format!("usr/src/linux-source-{version}.tar.xz");
    extract(&content.path().join(tarball), folder, log, progress)
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
