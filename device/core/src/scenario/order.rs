// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! In which order a queue's completions become visible.

use serde::{Deserialize, Serialize};

use super::BadValue;
use crate::latency::MAX_LATENCY;
use crate::units::Nanos;

/// The most completions that one window gathers.
pub const MAX_WINDOW: u32 = 65_536;

/// The order of a queue's completions. What is held or lost keeps nobody
/// waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// As their latencies say.
    #[default]
    Due,
    /// As the requests arrived: none is due before one that came earlier.
    Fifo,
    /// Gathered, then the last due first.
    Lifo(Window),
    /// Gathered, then by chance.
    Shuffle(Window),
}

/// How much is gathered before it is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// So many completions, 2 to [`MAX_WINDOW`].
    pub window: u32,
    /// So long after the first of them was due at the latest.
    #[serde(default = "a_millisecond")]
    pub time: Nanos,
}

fn a_millisecond() -> Nanos {
    Nanos::from_millis(1)
}

impl Order {
    /// The window that it gathers, if it does.
    pub fn window(&self) -> Option<Window> {
        match *self {
            Order::Due | Order::Fifo => None,
            Order::Lifo(window) | Order::Shuffle(window) => Some(window),
        }
    }

    /// Refuses values that no device can follow; `key` is where it stands.
    pub(super) fn check(&self, key: &str) -> Result<(), BadValue> {
        let Some(Window { window, time }) = self.window() else {
            return Ok(());
        };
        if !(2..=MAX_WINDOW).contains(&window) {
            let allowed = format!("2 to {MAX_WINDOW}");
            return Err(BadValue::at(key, "window", window, allowed));
        }
        if time == Nanos::ZERO || time > MAX_LATENCY {
            return Err(BadValue::at(key, "time", time, "above 0 and at most 600s"));
        }
        Ok(())
    }
}
