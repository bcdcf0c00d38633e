// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The kernel's log from now on, for tests that wait for a message of it. What
//! it complains of is for the lab to judge, from the console.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

/// The longest record (kernel/printk/internal.h, PRINTK_MESSAGE_MAX).
const RECORD: usize = 2048;

/// The log, read up to some record.
pub(crate) struct KernelLog(File);

impl KernelLog {
    /// The log from here on.
    pub(crate) fn follow() -> Result<KernelLog, String> {
        KernelLog::at_its_end().map_err(|e| format!("follow the kernel's log: {e}"))
    }

    fn at_its_end() -> io::Result<KernelLog> {
        let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(nonblock)
            .open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(KernelLog(file))
    }

    /// Whether a record that holds this text has come since the last look.
    pub(crate) fn has(&mut self, text: &str) -> Result<bool, String> {
        let found = self.read_for(text);
        found.map_err(|e| format!("read the kernel's log: {e}"))
    }

    fn read_for(&mut self, text: &str) -> io::Result<bool> {
        let mut found = false;
        let mut record = [0; RECORD];
        loop {
            match self.0.read(&mut record) {
                Ok(0) => return Ok(found),
                Ok(length) => {
                    let record = String::from_utf8_lossy(&record[..length]);
                    found |= record.contains(text);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(found),
                // Records were overwritten before they were read: the next
                // read takes what is left.
                Err(e) if e.kind() == ErrorKind::BrokenPipe => {}
                Err(e) => return Err(e),
            }
        }
    }
}
