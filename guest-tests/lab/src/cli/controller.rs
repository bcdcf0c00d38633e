// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How the device offers its NVMe controller, and looks for requests: options
//! that go to it as they are.

use std::ffi::OsString;

use clap::{Args, ValueEnum};
use irqstorm_core::units::Nanos;

use super::DiskKind;
use crate::failure::Failure;

/// Options of the device's that have no meaning to the lab.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct ControllerArguments {
    /// How the driver's doorbells come to the device; with --disk nvme
    /// [default: shadow]
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) doorbells: Option<Doorbells>,
    /// Namespaces that the disk is cut into, all of one size; with --disk nvme
    /// [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) namespaces: Option<u16>,
    /// How long the device looks for requests without sleeping after each, in
    /// which a CPU of this machine is taken: a time, as in 50us, off, or auto
    /// [default: auto, which is off unless doorbells are mapped]
    #[arg(long, value_name = "auto|off|TIME", value_parser = parse_poll)]
    pub(crate) poll: Option<String>,
}

/// How an NVMe driver's doorbells come to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Doorbells {
    /// Each as a message of QEMU's.
    Socket,
    /// So until the driver keeps them in its memory, as Linux does.
    Shadow,
    /// As memory that the guest writes and the device looks at.
    Mapped,
}

impl Doorbells {
    /// As the command lines have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Doorbells::Socket => "socket",
            Doorbells::Shadow => "shadow",
            Doorbells::Mapped => "mapped",
        }
    }
}

impl ControllerArguments {
    /// Refuses what the disk has nothing to do with.
    pub(crate) fn check(&self, disk: DiskKind) -> Result<(), Failure> {
        let refused = |option: &str, reason: &str| {
            Err(Failure::BadArgument {
                what: format!("{option} with --disk {}", disk.name()),
                reason: reason.to_owned(),
            })
        };
        if self.doorbells.is_some() && disk != DiskKind::Nvme {
            return refused("--doorbells", "only --disk nvme has them");
        }
        if self.namespaces.is_some() && disk != DiskKind::Nvme {
            return refused("--namespaces", "only --disk nvme has them");
        }
        if self.poll.is_some() && disk == DiskKind::QemuNvme {
            return refused("--poll", "that disk is QEMU's own, and no device polls");
        }
        Ok(())
    }

    /// The same options again, as both the lab's and the device's command line
    /// have them.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let mut option = |name: &str, value: &str| words.extend([name.into(), value.into()]);
        if let Some(doorbells) = self.doorbells {
            option("--doorbells", doorbells.name());
        }
        if let Some(namespaces) = self.namespaces {
            option("--namespaces", &namespaces.to_string());
        }
        if let Some(poll) = &self.poll {
            option("--poll", poll);
        }
        words
    }
}

/// The device has the last word; here is refused what it cannot read.
fn parse_poll(text: &str) -> Result<String, String> {
    match text {
        "auto" | "off" => Ok(text.to_owned()),
        _ if text.parse::<Nanos>().is_ok() => Ok(text.to_owned()),
        _ => Err("auto, off, or a time, as in 50us".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_disk_does_not_have_is_refused() {
        let mapped = ControllerArguments {
            doorbells: Some(Doorbells::Mapped),
            ..ControllerArguments::default()
        };
        assert!(mapped.check(DiskKind::Nvme).is_ok());
        for disk in [DiskKind::Virtio, DiskKind::QemuNvme] {
            let refused = mapped.check(disk).unwrap_err().to_string();
            assert!(refused.contains("--doorbells"), "{refused}");
        }
        let polling = ControllerArguments {
            poll: Some("50us".to_owned()),
            ..ControllerArguments::default()
        };
        assert!(polling.check(DiskKind::Virtio).is_ok());
        assert!(polling.check(DiskKind::QemuNvme).is_err());
        assert!(
            ControllerArguments::default()
                .check(DiskKind::QemuNvme)
                .is_ok()
        );
    }

    #[test]
    fn options_are_handed_on_as_they_were_given() {
        let arguments = ControllerArguments {
            doorbells: Some(Doorbells::Mapped),
            namespaces: Some(3),
            poll: Some("1ms".to_owned()),
        };
        let words = "--doorbells mapped --namespaces 3 --poll 1ms";
        assert_eq!(arguments.words(), words.split(' ').collect::<Vec<_>>());
        assert!(ControllerArguments::default().words().is_empty());
        assert!(parse_poll("soon").is_err());
    }
}
