// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How far a part is, for who waits for it at a terminal.

use std::io::{IsTerminal, Write};

/// A line on stderr, gone with this value.
pub(crate) struct Progress(&'static str);

impl Progress {
    pub(crate) fn new(part: &'static str) -> Progress {
        Progress(part)
    }

    pub(crate) fn show(&self, done: usize, all: usize) {
        write(&format!("\r\x1b[K{}: {done} of {all}", self.0));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        write("\r\x1b[K");
    }
}

fn write(text: &str) {
    let mut err = std::io::stderr();
    if err.is_terminal() {
        // Nothing depends on it.
        let _ = err.write_all(text.as_bytes());
    }
}
