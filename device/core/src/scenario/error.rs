// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is wrong with a scenario, and where.

use std::path::PathBuf;

pub use crate::latency::BadValue;

/// A scenario that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file could not be read.
    #[error("read scenario {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not a scenario; the message shows the line.
    #[error("read scenario {name}: {source}")]
    Parse {
        /// The file or where the text came from.
        name: String,
        /// Where in it and what is allowed.
        source: Box<toml::de::Error>,
    },
    /// A key has a value that no device can follow.
    #[error("use scenario {name}: {key} = {value}: {allowed}")]
    Value {
        /// The file or where the text came from.
        name: String,
        /// The key, with its table.
        key: String,
        /// What it says.
        value: String,
        /// What it may say.
        allowed: String,
    },
    /// A file that a latency names cannot be used.
    #[error("use scenario {name}: {key}: {source}")]
    File {
        /// The scenario's file.
        name: String,
        /// The key, with its table.
        key: String,
        /// What is wrong with the file.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ScenarioError {
    pub(super) fn value(name: &str, bad: BadValue) -> ScenarioError {
        ScenarioError::Value {
            name: name.to_owned(),
            key: bad.key,
            value: bad.value,
            allowed: bad.allowed,
        }
    }

    pub(super) fn parse(name: &str, source: toml::de::Error) -> ScenarioError {
        ScenarioError::Parse {
            name: name.to_owned(),
            source: Box::new(source),
        }
    }
}

impl BadValue {
    /// What `name` under `at` says, and what it may say. Either may be empty.
    pub(super) fn at(
        at: &str,
        name: &str,
        value: impl ToString,
        allowed: impl Into<String>,
    ) -> BadValue {
        let key = match (at, name) {
            ("", name) => name.to_owned(),
            (at, "") => at.to_owned(),
            (at, name) => format!("{at}.{name}"),
        };
        BadValue {
            key,
            value: value.to_string(),
            allowed: allowed.into(),
        }
    }
}
