// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The device under the guest's control: the control protocol over its port.

use std::time::Duration;

use irqstorm_core::control::{
    self, Answer, Command, Hold, HoldReply, List, ListReply, ReleaseReply, Reply, ScenarioReply,
    Selection, StatusReply, StormReply,
};
use serde::de::DeserializeOwned;

use super::ports::{self, Lines};
use irqstorm_agent::protocol::CONTROL_PORT;

/// The device answers at once; a machine under emulation on a busy host does
/// so within this.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection to the device.
pub(crate) struct Device {
    lines: Lines,
    last_id: u64,
}

impl Device {
    /// Opens the port and sees that the device answers.
    pub(crate) fn open() -> Result<Device, String> {
        let port = ports::open(CONTROL_PORT, Duration::from_secs(2)).map_err(|e| e.to_string())?;
        let mut device = Device {
            lines: Lines::new(port, control::MAX_LINE),
            last_id: 0,
        };
        device.status()?;
        Ok(device)
    }

    fn ask<T: DeserializeOwned>(&mut self, command: &Command) -> Result<T, String> {
        self.last_id += 1;
        let line = control::format_line(self.last_id, command).map_err(|e| e.to_string())?;
        let failed = |e: std::io::Error| format!("ask the device {line}: {e}");
        self.lines.write(&line, PATIENCE).map_err(failed)?;
        loop {
            let answer = self.lines.read(Some(PATIENCE)).map_err(failed)?;
            // The greeting, and answers to whoever used the port before.
            let Ok(reply) = serde_json::from_str::<Reply>(&answer) else {
                continue;
            };
            if reply.id != self.last_id {
                continue;
            }
            return match reply.result {
                Answer::Ok(value) => serde_json::from_value(value)
                    .map_err(|e| format!("understand the device's answer {answer}: {e}")),
                Answer::Error(refusal) => Err(format!("the device refused {line}: {refusal}")),
            };
        }
    }

    /// Counters and state.
    pub(crate) fn status(&mut self) -> Result<StatusReply, String> {
        self.ask(&Command::Status {})
    }

    /// Holds completions, or stops doing so.
    pub(crate) fn hold(&mut self, on: bool) -> Result<HoldReply, String> {
        self.ask(&Command::Hold(Hold {
            on,
            ..Hold::default()
        }))
    }

    /// How many completions are held.
    pub(crate) fn held(&mut self) -> Result<u64, String> {
        let one = List {
            limit: Some(1),
            ..List::default()
        };
        let list: ListReply = self.ask(&Command::List(one))?;
        Ok(list.total)
    }

    /// Lets every held completion go.
    pub(crate) fn release_all(&mut self) -> Result<u64, String> {
        let reply: ReleaseReply = self.ask(&Command::Release(Selection::default()))?;
        Ok(reply.released)
    }

    /// Stops the scenario's storms, or starts them.
    pub(crate) fn storm(&mut self, on: bool) -> Result<StormReply, String> {
        self.ask(&Command::Storm { on, name: None })
    }

    /// Puts another scenario in force.
    pub(crate) fn scenario(&mut self, name: &str, toml: &str) -> Result<ScenarioReply, String> {
        self.ask(&Command::Scenario {
            toml: toml.to_owned(),
            name: name.to_owned(),
        })
    }
}
