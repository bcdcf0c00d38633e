// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The fewest of a device's decisions with which a test still fails.
//!
//! [`Schedule`] is what was decided in a run that failed, and writes recordings
//! in which most of it is left out: what is left out is plain. [`ddmin`] looks
//! for the smallest such recording that fails. Neither runs anything: whoever
//! asks does.

mod ddmin;
mod schedule;

pub(crate) use ddmin::{Answer, Minimum, ddmin};
pub(crate) use schedule::Schedule;
