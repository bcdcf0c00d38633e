// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! virtio-serial ports by name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

const CLASS: &str = "/sys/class/virtio-ports";

/// Opens the port of a name. The driver may still be setting it up: it is
/// waited for a little.
pub(crate) fn open(name: &str, wait: Duration) -> io::Result<File> {
    let deadline = Instant::now() + wait;
    loop {
        match find(name) {
            Some(device) => {
                return OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open(format!("/dev/{device}"));
            }
            None if Instant::now() >= deadline => {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("the machine has no virtio-serial port {name}"),
                ));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The device of the port of a name.
pub(crate) fn find(name: &str) -> Option<String> {
    for entry in fs::read_dir(CLASS).ok()?.flatten() {
        let found = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if found.trim() == name {
            return entry.file_name().into_string().ok();
        }
    }
    None
}

/// Lines of a port, with a bound on their length and on the wait for one.
pub(crate) struct Lines {
    port: File,
    pending: Vec<u8>,
    max: usize,
}

impl Lines {
    pub(crate) fn new(port: File, max: usize) -> Lines {
        Lines {
            port,
            pending: Vec::new(),
            max,
        }
    }

    /// Writes a line, within so long: a port without its host's end takes
    /// nothing.
    pub(crate) fn write(&mut self, line: &str, wait: Duration) -> io::Result<()> {
        self.wait_for(PollFlags::OUT, Some(Instant::now() + wait))?;
        self.port.write_all(format!("{line}\n").as_bytes())
    }

    /// The next line, waited for at most so long; `None` for ever.
    pub(crate) fn read(&mut self, wait: Option<Duration>) -> io::Result<String> {
        let deadline = wait.map(|wait| Instant::now() + wait);
        loop {
            if let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') {
                let line = self.pending.drain(..=end).collect::<Vec<u8>>();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.pending.len() > self.max {
                return Err(io::Error::other(format!(
                    "a line is longer than {} bytes",
                    self.max
                )));
            }
            self.wait_for(PollFlags::IN, deadline)?;
            let mut buffer = [0; 4096];
            match self.port.read(&mut buffer)? {
                // virtio_console.c, port_fops_read(): the host's end is gone.
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.pending.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn wait_for(&self, flags: PollFlags, deadline: Option<Instant>) -> io::Result<()> {
        let Some(deadline) = deadline else {
            return Ok(());
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut fds = [PollFd::new(&self.port, flags)];
        match rustix::event::poll(&mut fds, Some(&timeout))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }
}
