// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What lab and agent say about a program of the host that runs in the guest.
//!
//! The host's files come over 9p, by the tags [`FILES_TAG`] and [`writable_tag`].
//! What the program reads and writes goes over ports of its own, as it is, a
//! port for each of its three streams ([`STREAM_PORTS`]); how many bytes these
//! were is told over the report port, so that the end of a stream needs no mark
//! in it. With a terminal, the program's errors come with its output.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The 9p tag of the host's files, which cannot be written.
pub const FILES_TAG: &str = "irqstorm.files";

/// The ports of the program's input, output and errors.
pub const STREAM_PORTS: [&str; 3] = ["irqstorm.stdin", "irqstorm.stdout", "irqstorm.stderr"];

/// What the console's markers, and so complaints, call the program.
pub const NAME: &str = "exec";

/// The 9p tag of a folder that can be written, by its place in
/// [`Execute::writable`].
pub fn writable_tag(place: usize) -> String {
    format!("irqstorm.write{place}")
}

/// A program to execute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Execute {
    /// Its name and arguments.
    pub command: Vec<Raw>,
    /// All of its environment: names and values. PATH is where its name is
    /// looked for.
    pub environment: Vec<(Raw, Raw)>,
    /// Where it runs.
    pub folder: Raw,
    /// The host's folders in which it may write.
    pub writable: Vec<Raw>,
    /// The size of its terminal, if it is to have one.
    pub terminal: Option<Window>,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// What a program writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Its output.
    Stdout,
    /// Its errors.
    Stderr,
}

/// Why a program could not be executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The exit code that a shell has for it: 127 not found, 126 not
    /// executable. `None` if it is nothing that the program is to blame for.
    pub code: Option<u8>,
    /// Reads after "failed to".
    pub reason: String,
}

/// Bytes that the operating system takes for text: in JSON a string, or where
/// they are no UTF-8 `{"base64":...}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "Encoded", try_from = "Encoded")]
pub struct Raw(Vec<u8>);

impl Raw {
    /// As the operating system takes it.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// For people.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl From<OsString> for Raw {
    fn from(text: OsString) -> Raw {
        Raw(text.into_vec())
    }
}

impl From<&str> for Raw {
    fn from(text: &str) -> Raw {
        Raw(text.as_bytes().to_vec())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Encoded {
    Text(String),
    Bytes { base64: String },
}

impl From<Raw> for Encoded {
    fn from(raw: Raw) -> Encoded {
        match String::from_utf8(raw.0) {
            Ok(text) => Encoded::Text(text),
            Err(error) => Encoded::Bytes {
                base64: STANDARD.encode(error.into_bytes()),
            },
        }
    }
}

impl TryFrom<Encoded> for Raw {
    type Error = base64::DecodeError;

    fn try_from(encoded: Encoded) -> Result<Raw, base64::DecodeError> {
        match encoded {
            Encoded::Text(text) => Ok(Raw(text.into_bytes())),
            Encoded::Bytes { base64 } => STANDARD.decode(base64).map(Raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ToAgent, ToLab};

    #[test]
    fn bytes_that_are_no_text_come_through_json() {
        let order = ToAgent::Execute(Execute {
            command: vec![
                "fio".into(),
                OsString::from_vec(vec![b'a', 0xff, 0x00]).into(),
            ],
            environment: vec![("PATH".into(), "/usr/bin".into())],
            folder: "/home/me".into(),
            ..Execute::default()
        });
        let line = serde_json::to_string(&order).unwrap();
        assert!(line.contains(r#"["fio",{"base64":"Yf8A"}]"#), "{line}");
        assert_eq!(serde_json::from_str::<ToAgent>(&line).unwrap(), order);
        let wrong = line.replace("Yf8A", "%");
        assert!(serde_json::from_str::<ToAgent>(&wrong).is_err());
    }

    #[test]
    fn what_is_said_of_a_program_reads_as_documented() {
        let ended = r#"{"do":"input-end","bytes":0}"#;
        let parsed: ToAgent = serde_json::from_str(ended).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), ended);
        let close = ToAgent::CloseOutput {
            stream: Stream::Stdout,
        };
        let close = serde_json::to_string(&close).unwrap();
        assert_eq!(close, r#"{"do":"close-output","stream":"stdout"}"#);
        let exited = r#"{"say":"exited","code":137,"stdout":9,"stderr":0}"#;
        let parsed: ToLab = serde_json::from_str(exited).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), exited);
    }
}
