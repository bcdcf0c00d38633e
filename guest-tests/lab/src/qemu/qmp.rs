// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! QEMU's monitor protocol, as little of it as the lab needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::failure::Failure;

/// A QEMU that does not answer for so long hangs.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Lines and events skipped while waiting for an answer.
const MOST_LINES: usize = 1000;

/// A connection to the monitor.
#[derive(Debug)]
pub(crate) struct Qmp {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects and leaves negotiation behind.
    pub(crate) fn connect(path: &Path) -> Result<Qmp, Failure> {
        let stream = UnixStream::connect(path).map_err(monitor_failure)?;
        stream
            .set_read_timeout(Some(ANSWER_LIMIT))
            .and_then(|()| stream.set_write_timeout(Some(ANSWER_LIMIT)))
            .map_err(monitor_failure)?;
        let reader = BufReader::new(stream.try_clone().map_err(monitor_failure)?);
        let mut qmp = Qmp { stream, reader };
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Sends a break on the guest's console: with a letter after it, that is
    /// SysRq (Documentation/admin-guide/sysrq.rst).
    pub(crate) fn send_break(&mut self) -> Result<(), Failure> {
        self.execute("chardev-send-break", json!({"id": "console"}))
            .map(|_| ())
    }

    /// Stops the guest's CPUs and devices, as they are.
    pub(crate) fn pause(&mut self) -> Result<(), Failure> {
        self.execute("stop", json!({})).map(|_| ())
    }

    /// Has them go on.
    pub(crate) fn resume(&mut self) -> Result<(), Failure> {
        self.execute("cont", json!({})).map(|_| ())
    }

    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, Failure> {
        let mut line = json!({"execute": command, "arguments": arguments}).to_string();
        line.push('\n');
        self.stream
            .write_all(line.as_bytes())
            .map_err(monitor_failure)?;
        for _ in 0..MOST_LINES {
            let mut line = String::new();
            let mut limited = (&mut self.reader).take(1 << 20);
            limited.read_line(&mut line).map_err(monitor_failure)?;
            if line.is_empty() {
                return Err(Failure::Control("QEMU closed its monitor".into()));
            }
            // The greeting and events have neither key.
            let answer: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
            if let Some(error) = answer.get("error") {
                let text = format!("QEMU refused {command}: {}", error["desc"]);
                return Err(Failure::Control(text));
            }
        }
        Err(Failure::Control(format!("QEMU does not answer {command}")))
    }
}

fn monitor_failure(error: std::io::Error) -> Failure {
    Failure::Control(format!("QEMU's monitor: {error}"))
}
