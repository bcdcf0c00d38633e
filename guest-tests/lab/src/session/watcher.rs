// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Who is told how a session goes.

use crate::failure::Failure;
use crate::results::{Case, Record};

/// Sees a session's cases as they end. A failure ends the session.
pub(crate) trait Watcher {
    /// So many cases are to come.
    fn begins(&mut self, record: &Record, cases: usize) -> Result<(), Failure>;

    /// The newest case of the record.
    fn ended(&mut self, record: &Record, case: &Case) -> Result<(), Failure>;

    /// The session ends here, with cases that were to come.
    fn gave_up(&mut self, _why: &Failure) {}

    /// No case is to come any more.
    fn complete(&mut self, _record: &Record) -> Result<(), Failure> {
        Ok(())
    }
}
