// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What commands print: in colours on a terminal that wants them, plain
//! elsewhere and with NO_COLOR.

use std::io::{ErrorKind, Write};

use anstyle::{AnsiColor, Style};

use crate::failure::{Exit, Failure, io_failure};

/// Headings.
pub(crate) const STRONG: Style = Style::new().bold();
/// What matters less.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// As it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What changes how the device answers.
pub(crate) const NOTE: Style = AnsiColor::Yellow.on_default();
/// What was lost.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();

/// A text in a style; [`line()`] takes it off again where it is not wanted.
pub(crate) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Prints a line, at once.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(io_failure("write to", "standard output".as_ref()))
}

/// Ends well when whoever read what is printed has seen enough, as `head` has.
pub(crate) fn until_unread(result: Result<Exit, Failure>) -> Result<Exit, Failure> {
    match result {
        Err(Failure::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => {
            Ok(Exit::Passed)
        }
        result => result,
    }
}
