// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the device says of itself, over its control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks for one thing, without any values.
pub(crate) fn ask<T: DeserializeOwned>(socket: &Path, command: &str) -> anyhow::Result<T> {
    let mut stream = UnixStream::connect(socket).context("connect to the control socket")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    writeln!(stream, "{{\"id\":1,\"cmd\":\"{command}\"}}")?;
    for line in BufReader::new(stream).lines() {
        let mut line: Value = serde_json::from_str(&line?)?;
        if line["id"] == 1 {
            return Ok(serde_json::from_value(line["ok"].take())?);
        }
    }
    Err(anyhow!("ask the device for its {command}: it closed"))
}
