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
//! A client that has subscribed gets lines without an `id` as well, between
//! answers: `{"event":{...}}`. A client that reaches the device through a
//! serial port may have missed the greeting: it sends a command and skips lines
//! until its `id` comes back. `device/daemon/PROTOCOL.md` has all of it.

mod command;
mod reply;
mod wire;

pub use command::{
    Command, Fire, Hold, List, MAX_FIRE, MAX_LIST, MAX_WAIT, Part, Selection, Subscribe, Wait,
};
pub use reply::{
    Code, ConfigCounts, FailReply, FireReply, Greeting, HeldEntry, HoldReply, KnobReply, ListReply,
    MarkReply, MetricsReply, PhaseReply, Precision, Quantiles, Refusal, ReleaseReply, ReplayStatus,
    ScenarioReply, StatusReply, StormReply, SubscribeReply, VolleyReply,
};
pub use wire::{Answer, Pushed, Reply, format_line, parse_line};

/// The version of this protocol; raised when a client must change.
pub const PROTOCOL: u32 = 1;

/// The longest line that the device takes, in bytes: a scenario fits many times.
pub const MAX_LINE: usize = 1 << 20;

/// The names of all commands, as the greeting tells them.
pub const COMMANDS: [&str; 16] = [
    "status",
    "hold",
    "list",
    "release",
    "fire",
    "volley",
    "fail",
    "storm",
    "scenario",
    "set",
    "get",
    "phase",
    "mark",
    "wait",
    "subscribe",
    "metrics",
];
