// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! When a block device completes and interrupts, with no transport.
//!
//! A front-end parses what the guest sent into a [`request::Request`], the
//! [`store`] executes it, the [`scenario`] plans when its completion becomes
//! visible and how its interrupt is decided, and the [`pump`] carries the plan
//! out in four separate steps: ring write, publish, decide, signal. Every step
//! is an [`event`] with its planned and its actual time.
//!
//! Nothing here knows virtio, NVMe, epoll or sockets, and nothing here asks
//! what time it is: `now` is an argument.

#![forbid(unsafe_code)]

pub mod clock;
pub mod control;
pub mod counters;
pub mod event;
pub mod filter;
pub mod held;
pub mod inbox;
pub mod latency;
pub mod metrics;
pub mod pattern;
pub mod plan;
pub mod pump;
pub mod queue;
pub mod request;
pub mod scenario;
pub mod steps;
pub mod store;
pub mod storm;
pub mod timeline;
pub mod units;
