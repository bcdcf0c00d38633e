// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a run leaves behind: a folder with results.json, junit.xml, ktap.txt,
//! the console, the device's events and the command lines. RESULTS.md beside
//! this crate describes it for readers.

mod folder;
mod junit;
#[cfg(test)]
mod kernel_parser;
mod ktap;
mod outcome;
mod record;
mod repetitions;
#[cfg(test)]
mod schema;
mod summary;
pub(crate) mod table;
mod trace;

pub(crate) use folder::{Folder, TRACES};
pub(crate) use ktap::{bail_out_line, case_lines, header_lines, nested, totals_line};
pub(crate) use outcome::{Expected, Outcome, Source};
#[cfg(test)]
pub(crate) use record::samples;
pub(crate) use record::{Case, DeviceCounts, Hang, KernelRecord, Record, ReplayRecord, SCHEMA};
pub(crate) use repetitions::{Tally, repetition_lines};
pub(crate) use summary::summary;
pub(crate) use trace::{ClockRecord, TraceRecord};
