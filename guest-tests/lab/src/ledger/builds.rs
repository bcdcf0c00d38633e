// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What results were made with: others with the same need not be made again.

use serde::{Deserialize, Serialize};

use crate::artifacts::Artifacts;
use crate::cli::DiskKind;
use crate::failure::Failure;

/// What a verdict was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Builds {
    /// Names all that went into the kernel.
    pub(crate) kernel: String,
    /// Names all that went into the guest: the agent and the probe.
    pub(crate) guest: String,
    /// Names the device's program, and the disk if it is not the usual one.
    #[serde(default)]
    pub(crate) device: String,
}

impl Builds {
    /// Of what a run is made of.
    pub(crate) fn of(artifacts: &Artifacts, disk: DiskKind) -> Result<Builds, Failure> {
        let program = irqstorm_images::file_key(&artifacts.device)?;
        let guest = artifacts.initramfs.file_name().unwrap_or_default();
        let guest = guest.to_string_lossy();
        Ok(Builds {
            kernel: artifacts.kernel.key.clone(),
            guest: guest.trim_end_matches(".cpio.gz").to_owned(),
            device: match disk {
                DiskKind::Virtio => program,
                other => format!("{program} {}", other.name()),
            },
        })
    }
}
