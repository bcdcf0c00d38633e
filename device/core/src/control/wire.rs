// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Lines: commands with their ids, answers, and what is pushed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Code, Command, Refusal};
use crate::event::Event;

/// A line that answers no command: what a client has subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pushed {
    /// Something happened.
    Event(Event),
    /// So many events were not sent, since the client did not read them fast
    /// enough.
    Missed(u64),
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
    use super::super::{COMMANDS, Fire, Hold, List, Part, Selection, Subscribe, Wait};
    use super::*;
    use crate::filter::Choice;
    use crate::request::QueueId;

    fn all() -> Vec<Command> {
        let queue = Choice::one(QueueId(1));
        vec![
            Command::Status {},
            Command::Hold(Hold {
                on: true,
                queue: queue.clone(),
                ..Hold::default()
            }),
            Command::List(List {
                limit: Some(3),
                ..List::default()
            }),
            Command::Release(Selection {
                queue,
                count: Some(2),
                part: Part::Completion,
                ..Selection::default()
            }),
            Command::Fire(Fire {
                count: 3,
                ..Fire::default()
            }),
            Command::Volley {},
            Command::Fail {},
            Command::Storm {
                on: false,
                name: Some("noise".into()),
            },
            Command::Scenario {
                toml: "hold = true\n".into(),
                name: "x".into(),
            },
            Command::Set {
                knob: "latency.fixed".into(),
                value: "80us".into(),
            },
            Command::Get { knob: None },
            Command::Phase {
                to: Some("calm".into()),
            },
            Command::Mark { name: "go".into() },
            Command::Wait(Wait {
                mark: "go".into(),
                count: None,
                timeout: None,
            }),
            Command::Subscribe(Subscribe::default()),
            Command::Metrics {},
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
            (r#"{"id":6,"cmd":"hold","on":1}"#, 6),
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
