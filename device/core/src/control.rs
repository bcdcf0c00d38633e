// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The control protocol: one language for `irqstorm ctl`, the lab and the guest.
//!
//! Newline-delimited JSON. The device greets each connection with a
//! [`Greeting`]; then every line from the client is a command with an `id` of
//! the client's choosing, answered by one line that carries the same `id`:
//!
//! ```text
//! < {"irqstorm":1,"version":"0.1.0","commands":["status","hold",...]}
//! > {"id":1,"cmd":"hold","on":true}
//! < {"id":1,"ok":{"holding":true}}
//! > {"id":2,"cmd":"release","count":"3"}
//! < {"id":2,"error":{"code":"bad-request","text":"..."}}
//! ```
//!
//! A client that reaches the device through a serial port may have missed the
//! greeting: it sends a command and skips lines until its `id` comes back.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::counters::Counters;
use crate::request::{Operation, QueueId, RequestId, Sector};
use crate::units::Nanos;

/// The version of this protocol; raised when a client must change.
pub const PROTOCOL: u32 = 1;

/// The longest line that the device takes, in bytes: a scenario fits many times.
pub const MAX_LINE: usize = 1 << 20;

/// The most held requests that one `list` shows.
pub const MAX_LIST: u32 = 10_000;

/// The most interrupts that one `fire` writes.
pub const MAX_FIRE: u32 = 1_000_000;

/// The names of all commands, as the greeting tells them.
pub const COMMANDS: [&str; 7] = [
    "status", "hold", "list", "release", "fire", "storm", "scenario",
];

/// The first line from the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The protocol's version, [`PROTOCOL`].
    pub irqstorm: u32,
    /// The device's own version.
    pub version: String,
    /// What may be asked, [`COMMANDS`].
    pub commands: Vec<String>,
}

impl Greeting {
    /// The greeting of a device of this version of the crate.
    pub fn new() -> Greeting {
        Greeting {
            irqstorm: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commands: COMMANDS.map(str::to_owned).to_vec(),
        }
    }
}

impl Default for Greeting {
    fn default() -> Greeting {
        Greeting::new()
    }
}

/// What a client may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Scenario, seed, counters: answered with [`StatusReply`].
    Status {},
    /// Holds completions from now on, or stops doing so; what is held stays
    /// held until released. Answered with [`HoldReply`].
    Hold {
        /// Whether to hold.
        on: bool,
    },
    /// What is held, oldest first: answered with [`ListReply`].
    List {
        /// At most so many; [`MAX_LIST`] is the bound and the default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    },
    /// Lets held completions go, oldest first: answered with [`ReleaseReply`].
    Release(Selection),
    /// Raises interrupts with no completion behind them, now: answered with
    /// [`FireReply`].
    Fire {
        /// The queue; all of them when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queue: Option<QueueId>,
        /// How many on each queue, 1 to [`MAX_FIRE`].
        #[serde(default = "one")]
        count: u32,
    },
    /// Starts or stops the scenario's storms: answered with [`StormReply`].
    Storm {
        /// Whether they run.
        on: bool,
    },
    /// Replaces the scenario for what arrives from now on; what is planned or
    /// held stays so. Answered with [`ScenarioReply`].
    Scenario {
        /// The new one, in TOML.
        toml: String,
        /// What to call it in events and errors.
        #[serde(default = "unnamed")]
        name: String,
    },
}

fn one() -> u32 {
    1
}

fn unnamed() -> String {
    "control".to_owned()
}

/// Which held completions a release lets go. All that is absent matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// This request only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Those of this queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueId>,
    /// Those of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// At most so many, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Which half of the completion.
    pub part: Part,
}

/// Completion and interrupt of a held request can be let go apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The completion becomes visible and its interrupt is decided.
    #[default]
    Both,
    /// The completion becomes visible; its interrupt stays owed.
    Completion,
    /// The interrupts owed by earlier `completion` releases are decided.
    Interrupt,
}

/// Answer to [`Command::Status`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReply {
    /// The scenario's name.
    pub scenario: String,
    /// The seed in use.
    pub seed: u64,
    /// Whether completions are held.
    pub holding: bool,
    /// Whether any storm runs.
    pub storming: bool,
    /// Whether a guest's driver is connected.
    pub connected: bool,
    /// Sums over all queues.
    pub total: Counters,
    /// Per queue, up to the last one that has done anything.
    pub queues: Vec<Counters>,
    /// Events that could not be written and were dropped.
    pub events_dropped: u64,
    /// Pauses that the guard put into storms.
    pub guard_pauses: u64,
    /// Instants of storms that were let go because the device was late.
    pub storm_skipped: u64,
}

/// Answer to [`Command::Hold`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReply {
    /// Whether completions are held from now on.
    pub holding: bool,
}

/// One held request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldEntry {
    /// Its number.
    pub request: RequestId,
    /// Its queue.
    pub queue: QueueId,
    /// Its kind.
    pub operation: Operation,
    /// Where on the disk.
    pub sector: Sector,
    /// Data bytes.
    pub bytes: u64,
    /// Time since its arrival.
    pub age: Nanos,
}

/// Answer to [`Command::List`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReply {
    /// How many are held in all.
    pub total: u64,
    /// The oldest of them, up to the limit.
    pub held: Vec<HeldEntry>,
}

/// Answer to [`Command::Release`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseReply {
    /// How many were let go.
    pub released: u64,
}

/// Answer to [`Command::Fire`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FireReply {
    /// Interrupts written, over all queues.
    pub fired: u64,
    /// Interrupts that the guard withheld, to keep the guest's line alive.
    pub withheld: u64,
}

/// Answer to [`Command::Storm`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StormReply {
    /// How many storms the scenario has.
    pub storms: usize,
    /// Whether they run from now on.
    pub storming: bool,
}

/// Answer to [`Command::Scenario`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioReply {
    /// The scenario's name.
    pub scenario: String,
    /// The seed in use from now on.
    pub seed: u64,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text} ({code:?})")]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people.
    pub text: String,
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Not a command, or with values that cannot be.
    BadRequest,
    /// A scenario that cannot be used.
    BadScenario,
    /// No such queue or held request.
    NotFound,
    /// The device is on its way out.
    Stopping,
}

/// One answer of the device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The command's id; 0 when the line had none that could be read.
    pub id: u64,
    /// What became of it.
    #[serde(flatten)]
    pub result: Answer,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Done: the reply of that command.
    Ok(Value),
    /// Not done.
    Error(Refusal),
}

impl Refusal {
    /// A refusal with a text.
    pub fn new(code: Code, text: impl Into<String>) -> Refusal {
        Refusal {
            code,
            text: text.into(),
        }
    }
}

impl Reply {
    /// The answer to command `id`.
    pub fn new(id: u64, result: Result<Value, Refusal>) -> Reply {
        Reply {
            id,
            result: match result {
                Ok(value) => Answer::Ok(value),
                Err(refusal) => Answer::Error(refusal),
            },
        }
    }
}

/// Reads one line of a client: its id and its command. An error carries the
/// id if the line had one.
pub fn parse_line(line: &str) -> Result<(u64, Command), (u64, Refusal)> {
    let bad = |id, text: String| (id, Refusal::new(Code::BadRequest, text));
    let mut value: Value =
        serde_json::from_str(line).map_err(|e| bad(0, format!("not JSON: {e}")))?;
    let fields = value
        .as_object_mut()
        .ok_or_else(|| bad(0, "a command is a JSON object".into()))?;
    let id = fields
        .remove("id")
        .and_then(|id| id.as_u64())
        .ok_or_else(|| bad(0, "a command has an \"id\", a whole number".into()))?;
    let command = serde_json::from_value(value).map_err(|e| bad(id, e.to_string()))?;
    Ok((id, command))
}

/// Writes one line of a client, without the newline.
pub fn format_line(id: u64, command: &Command) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(command)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("id".to_owned(), id.into());
    }
    serde_json::to_string(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Command> {
        vec![
            Command::Status {},
            Command::Hold { on: true },
            Command::List { limit: Some(3) },
            Command::Release(Selection {
                queue: Some(QueueId(1)),
                count: Some(2),
                part: Part::Completion,
                ..Selection::default()
            }),
            Command::Fire {
                queue: None,
                count: 3,
            },
            Command::Storm { on: false },
            Command::Scenario {
                toml: "hold = true\n".into(),
                name: "x".into(),
            },
        ]
    }

    #[test]
    fn commands_come_back_from_their_lines() {
        for (id, command) in (7..).zip(all()) {
            let line = format_line(id, &command).unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(parse_line(&line).unwrap(), (id, command));
        }
    }

    #[test]
    fn the_greeting_names_every_command() {
        let named: Vec<String> = all()
            .iter()
            .map(|c| {
                serde_json::to_value(c).unwrap()["cmd"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(named, COMMANDS);
    }

    #[test]
    fn bad_lines_are_refused_with_their_id() {
        for (line, id) in [
            ("", 0),
            ("[]", 0),
            (r#"{"cmd":"status"}"#, 0),
            (r#"{"id":-1,"cmd":"status"}"#, 0),
            (r#"{"id":5,"cmd":"stauts"}"#, 5),
            (r#"{"id":6,"cmd":"hold"}"#, 6),
            (r#"{"id":7,"cmd":"hold","on":true,"off":false}"#, 7),
            (r#"{"id":8,"cmd":"fire","count":-3}"#, 8),
            (r#"{"id":9,"cmd":"release","every":3}"#, 9),
        ] {
            let (found, refusal) = parse_line(line).unwrap_err();
            assert_eq!(found, id, "{line}");
            assert_eq!(refusal.code, Code::BadRequest);
        }
    }

    #[test]
    fn replies_read_as_documented() {
        let reply = Reply::new(1, Ok(serde_json::json!({"holding": true})));
        let text = serde_json::to_string(&reply).unwrap();
        assert_eq!(text, r#"{"id":1,"ok":{"holding":true}}"#);
        let refusal = Refusal::new(Code::NotFound, "no queue 9");
        let text = serde_json::to_string(&Reply::new(2, Err(refusal))).unwrap();
        assert_eq!(
            text,
            r#"{"id":2,"error":{"code":"not-found","text":"no queue 9"}}"#
        );
    }
}
