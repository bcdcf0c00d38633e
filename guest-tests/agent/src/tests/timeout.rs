// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A disk's requests time out sooner than its driver would have it.

use std::fs;

use super::Stop;
use irqstorm_agent::protocol::Disk;

/// Long enough for a request that is on its way on a busy machine.
const SHORT_MS: &str = "2000";

/// The shortened timeout of a disk, until it is dropped.
pub(super) struct Timeout {
    file: String,
    before: String,
}

impl Timeout {
    /// Requests from now on time out after two seconds.
    pub(super) fn shorten(disk: &Disk) -> Result<Timeout, Stop> {
        let file = format!("/sys/block/{}/queue/io_timeout", disk.name);
        let failed = |e| Stop::Fail(format!("shorten {file}: {e}"));
        let before = fs::read_to_string(&file).map_err(failed)?;
        fs::write(&file, SHORT_MS).map_err(failed)?;
        Ok(Timeout { file, before })
    }
}

impl Drop for Timeout {
    fn drop(&mut self) {
        // If it cannot be put back, the tests after this wait less.
        let _ = fs::write(&self.file, self.before.trim());
    }
}
