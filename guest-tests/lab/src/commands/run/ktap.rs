// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! KTAP on stdout as a run goes.

use std::io::Write;

use crate::failure::{Failure, io_failure};
use crate::results::{Case, Record, bail_out_line, case_lines, header_lines, nested, totals_line};
use crate::session::Watcher;

/// Prints what a session does.
pub(super) struct Ktap {
    /// Whether nothing is printed.
    pub(super) quiet: bool,
    /// Within a document of several runs: what this one is called there.
    pub(super) within: Option<String>,
}

impl Ktap {
    fn show(&self, text: &str) -> Result<(), Failure> {
        match &self.within {
            _ if self.quiet => Ok(()),
            None => print(text),
            Some(_) => print(&nested(text)),
        }
    }
}

/// Prints KTAP, at once: whoever reads it may act on it.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(io_failure("write to", "standard output".as_ref()))
}

impl Watcher for Ktap {
    fn begins(&mut self, record: &Record, cases: usize) -> Result<(), Failure> {
        let name = self.within.as_deref();
        self.show(&header_lines(record, cases, name))
    }

    fn ended(&mut self, record: &Record, case: &Case) -> Result<(), Failure> {
        self.show(&case_lines(record.cases.len(), case))
    }

    fn gave_up(&mut self, why: &Failure) {
        // Why it ends is said all the same.
        let _ = self.show(&bail_out_line(why));
    }

    fn complete(&mut self, record: &Record) -> Result<(), Failure> {
        self.show(&totals_line(record))
    }
}
