// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Which QEMU is there, and whether it will do.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::process::{describe, spawn_failure};

/// The package of Debian that has qemu-system-x86_64.
pub(crate) const PACKAGE: &str = "qemu-system-x86";

/// The oldest QEMU on which everything here has been seen to work: that of
/// Debian 12.
const OLDEST: Version = Version::new(7, 2);

/// The oldest one seen to raise the interrupt of a disk's configuration
/// whatever has changed in it; 7.2 compares the capacity first.
const RAISES_WHEN_TOLD: Version = Version::new(10, 0);

/// The first that is told in milliseconds how soon to connect again.
const RECONNECTS_IN_MS: Version = Version::new(9, 2);

/// A release of QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// A release by its numbers.
    pub(crate) const fn new(major: u32, minor: u32) -> Version {
        Version { major, minor }
    }

    /// Whether the interrupt of a disk's configuration comes only with another
    /// capacity.
    pub(crate) fn wants_other_capacity(self) -> bool {
        self < RAISES_WHEN_TOLD
    }

    /// How a socket's chardev is told to connect again within a second: the
    /// option and its value.
    pub(crate) fn reconnect(self) -> Reconnect {
        match self < RECONNECTS_IN_MS {
            true => ("reconnect", 1),
            false => ("reconnect-ms", 1000),
        }
    }
}

/// An option of a socket's chardev that has it connect again, and its value.
pub(crate) type Reconnect = (&'static str, u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The version of a QEMU that is new enough.
pub(crate) fn check(qemu: &Path) -> Result<Version, Failure> {
    let mut command = Command::new(qemu);
    command.arg("--version").stdin(Stdio::null());
    let output = command
        .output()
        .map_err(|source| spawn_failure(&command, PACKAGE, source))?;
    let refuse = |reason: String| Failure::Qemu {
        path: qemu.to_owned(),
        reason,
    };
    if !output.status.success() {
        let ended = describe(output.status);
        return Err(refuse(format!("'--version' {ended}")));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let version = parse(&text).ok_or_else(|| {
        let said: String = text.trim().chars().take(80).collect();
        refuse(format!("it is no QEMU: '--version' says '{said}'"))
    })?;
    if version < OLDEST {
        return Err(refuse(format!(
            "it is QEMU {version}, and {OLDEST} is needed"
        )));
    }
    Ok(version)
}

/// Whether a QEMU has a device: it can be built without most.
pub(crate) fn has_device(qemu: &Path, device: &str) -> Result<bool, Failure> {
    // The list of all has every module loaded, and ends a QEMU that finds
    // modules of another build.
    let listed = said(qemu, "help")?.contains(&format!("\"{device}\""));
    let asked = || said(qemu, &format!("{device},help"));
    Ok(listed || asked()?.starts_with(&format!("{device} options:")))
}

/// What it prints about devices.
fn said(qemu: &Path, device: &str) -> Result<String, Failure> {
    let mut command = Command::new(qemu);
    command.args(["-device", device]).stdin(Stdio::null());
    let output = command
        .output()
        .map_err(|source| spawn_failure(&command, PACKAGE, source))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The version in "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)".
fn parse(text: &str) -> Option<Version> {
    let (_, rest) = text.split_once("QEMU emulator version ")?;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit());
    Some(Version {
        major: numbers.next()?.parse().ok()?,
        minor: numbers.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_distributions_print_them() {
        for (text, major, minor) in [
            (
                "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright",
                7,
                2,
            ),
            ("QEMU emulator version 10.0.2", 10, 0),
            (
                "QEMU emulator version 11.1.50-dirty (v11.1.0-3-gabc)",
                11,
                1,
            ),
        ] {
            assert_eq!(parse(text), Some(Version { major, minor }), "{text}");
        }
        assert_eq!(parse("QEMU emulator version x"), None);
        assert_eq!(parse("GNU bash 5.2"), None);
    }

    #[test]
    fn an_old_qemu_wants_to_see_the_disk_resized() {
        assert!(OLDEST.wants_other_capacity());
        assert!(Version::new(9, 2).wants_other_capacity());
        assert!(!Version::new(10, 0).wants_other_capacity());
        assert!(!Version::new(11, 1).wants_other_capacity());
    }

    #[test]
    fn a_program_that_is_no_qemu_is_refused() {
        let failure = check(Path::new("true")).unwrap_err().to_string();
        assert!(failure.contains("no QEMU"), "{failure}");
        let failure = check(Path::new("/nonexistent/qemu"))
            .unwrap_err()
            .to_string();
        assert!(failure.contains(PACKAGE), "{failure}");
    }
}
