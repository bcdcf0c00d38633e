// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What can go wrong with a request on purpose.

use serde::{Deserialize, Serialize};

use super::BadValue;
use crate::latency::MAX_LATENCY;
use crate::queue::Lie;
use crate::request::Status;
use crate::units::Nanos;

/// A fault that a request is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// Nothing: takes back what a rule or a phase would have had from below.
    None,
    /// Completed with an I/O error; the store is not asked.
    IoError,
    /// Completed as not supported; the store is not asked.
    Unsupported,
    /// Not completed: it stays among the held, until a release lets it go.
    Lost {
        /// After this long it is completed nevertheless.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        back: Option<Nanos>,
    },
    /// Hostile: its used element comes twice.
    DuplicateId,
    /// Hostile: before its used element comes one that no request has.
    OutOfRangeId,
    /// Not completed: the device fails when it would be, and completes nothing
    /// any more until its driver resets it.
    DeviceFailure,
    /// Hostile: before its used element comes one of a request that was
    /// completed long ago.
    StaleId,
    /// Hostile: its used element tells this length.
    UsedLength(u32),
}

impl Fault {
    /// The status that it is completed with instead of the store's.
    pub fn status(self) -> Option<Status> {
        match self {
            Fault::IoError => Some(Status::IoError),
            Fault::Unsupported => Some(Status::Unsupported),
            _ => None,
        }
    }

    /// The lie about its completion, if it is one.
    pub fn lie(self) -> Option<Lie> {
        match self {
            Fault::DuplicateId => Some(Lie::DuplicateId),
            Fault::OutOfRangeId => Some(Lie::OutOfRangeId),
            Fault::StaleId => Some(Lie::StaleId),
            Fault::UsedLength(length) => Some(Lie::Length(length)),
            _ => None,
        }
    }

    /// Refuses what needs `hostile = true`, and times out of range.
    pub(super) fn check(&self, key: &str, hostile: bool) -> Result<(), BadValue> {
        match *self {
            _ if self.lie().is_some() && !hostile => {
                let value = serde_json::to_string(self).unwrap_or_default();
                let allowed = "a device that breaks the protocol says so with hostile = true";
                Err(BadValue::at(key, "", value, allowed))
            }
            Fault::Lost { back: Some(back) } if back > MAX_LATENCY => {
                Err(BadValue::at(key, "lost.back", back, "at most 600s"))
            }
            _ => Ok(()),
        }
    }
}
