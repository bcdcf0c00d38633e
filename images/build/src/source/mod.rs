// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where the source of Linux comes from: a tree or tarball of the user's,
//! Debian's source package, or kernel.org.

mod debian;
mod kernel_org;
mod local;

use std::path::{Path, PathBuf};

use crate::command::run_logged;
use crate::error::Error;
use crate::progress::Progress;

/// A tree or a tarball to take instead of anything fetched.
pub const LOCAL_SOURCE: &str = "IRQSTORM_LINUX_SOURCE";

/// Where kernel.org's `pub/linux/kernel` is, if not there.
pub const KERNEL_ORG: &str = "IRQSTORM_KERNEL_ORG";

/// The places to look in.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// The user's own: nothing is fetched then.
    pub(crate) local: Option<PathBuf>,
    /// The URL of kernel.org's `pub/linux/kernel`.
    pub(crate) kernel_org: String,
}

impl Sources {
    /// As the environment has them.
    pub(crate) fn from_environment() -> Sources {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let kernel_org = set(KERNEL_ORG).and_then(|url| url.into_string().ok());
        Sources {
            local: set(LOCAL_SOURCE).map(PathBuf::from),
            kernel_org: kernel_org
                .unwrap_or_else(|| "https://cdn.kernel.org/pub/linux/kernel".into()),
        }
    }

    /// The name of a version's folder in the cache: the user's own source has
    /// one for each state that it is in.
    pub(crate) fn folder_name(&self, version: &str) -> Result<String, Error> {
        match &self.local {
            Some(local) => Ok(format!("{version}-{}", local::state_of(local)?)),
            None => Ok(version.to_owned()),
        }
    }

    /// Puts the source of a version into `folder`, which is empty; says where
    /// it came from, in a line that names its exact version.
    pub(crate) fn fetch(
        &self,
        version: &str,
        folder: &Path,
        log: &Path,
        progress: &mut dyn Progress,
    ) -> Result<String, Error> {
        if let Some(local) = &self.local {
            return local::copy(local, version, folder, log, progress);
        }
        let fatal = |error: &Error| matches!(error, Error::Io { .. });
        let debian = match debian::fetch(version, folder, log, progress) {
            Err(error) if !fatal(&error) => error,
            outcome => return outcome,
        };
        match kernel_org::fetch(&self.kernel_org, version, folder, log, progress) {
            Err(error) if !fatal(&error) => Err(Error::NoSource {
                version: version.to_owned(),
                tried: format!("  Debian: {debian}\n  kernel.org: {error}\n"),
            }),
            outcome => outcome,
        }
    }
}

/// Extracts a tarball without its first folder.
fn extract(
    tarball: &Path,
    folder: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let name = tarball.file_name().unwrap_or_default().to_string_lossy();
    progress.begin(&format!("extract {name}"), None);
    let mut tar = std::process::Command::new("tar");
    tar.args(["--strip-components=1", "-xf"]).arg(tarball);
    tar.arg("-C").arg(folder);
    run_logged("extract the source", &mut tar, log, |_| ())
}
