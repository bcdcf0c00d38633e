// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What results were made with: others with the same need not be made again.

use serde::{Deserialize, Serialize};

use crate::artifacts::Artifacts;
use crate::failure::Failure;

/// What a verdict was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Builds {
    /// Names all that went into the kernel.
    pub(crate) kernel: String,
    /// Names all that went into the guest: the agent and the probe.
    pub(crate) guest: String,
    /// Names the device's program.
    #[serde(default)]
    pub(crate) device: String,
}

impl Builds {
    /// Of what a run is made of.
    pub(crate) fn of(artifacts: &Artifacts) -> Result<Builds, Failure> {
        let guest = artifacts.initramfs.file_name().unwrap_or_default();
        let guest = guest.to_string_lossy();
        Ok(Builds {
            kernel: artifacts.kernel.key.clone(),
            guest: guest.trim_end_matches(".cpio.gz").to_owned(),
            device: irqstorm_images::file_key(&artifacts.device)?,
        })
    }
}
