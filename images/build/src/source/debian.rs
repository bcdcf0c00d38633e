// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Debian's source package of Linux.

use std::path::Path;

use crate::cache;
use crate::debian::{self, PrivateApt};
use crate::error::Error;
use crate::progress::Progress;

use super::extract;

/// The suites that have recent kernels, the most stable first.
const SUITES: [&str; 2] = ["trixie-backports", "sid"];

pub(super) fn fetch(
    version: &str,
    folder: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<String, Error> {
    let package = format!("linux-source-{version}");
    // Beside the tree.
    let parent = folder.parent().unwrap_or(folder);
    let apt = PrivateApt::new(parent)?;
    let mut tried = String::new();
    for suite in SUITES {
        let fetched = apt
            .read_lists(&[suite], log, progress)
            .and_then(|()| apt.download(&package, log, progress));
        match fetched {
            Ok(deb) => {
                let origin = format!("Debian {}", debian::deb_name(&deb));
                unpack(&deb, version, folder, log, progress)?;
                return Ok(origin);
            }
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(error) => tried.push_str(&format!("\n  {suite}: {error}")),
        }
    }
    Err(debian::unavailable(tried))
}

fn unpack(
    deb: &Path,
    version: &str,
    folder: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let content = cache::scratch(folder.parent().unwrap_or(folder))?;
    debian::unpack(deb, content.path(), log)?;
    let tarball = format!("usr/src/linux-source-{version}.tar.xz");
    extract(&content.path().join(tarball), folder, log, progress)
}
