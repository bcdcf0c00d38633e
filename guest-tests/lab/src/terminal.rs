// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The user's terminal, when every key belongs to the guest.

use std::io;
use std::sync::Mutex;

use irqstorm_agent::program::Window;
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

/// As it was. It is process-wide, as the terminal is: whoever ends the process
/// can restore it.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// What a terminal has whose size is not known.
const USUAL: Window = Window {
    rows: 24,
    columns: 80,
};

/// Raw mode, until it is dropped.
#[derive(Debug)]
pub(crate) struct RawTerminal(());

impl RawTerminal {
    /// Turns it on if standard input is a terminal.
    pub(crate) fn enter() -> io::Result<Option<RawTerminal>> {
        if !isatty(stdin()) {
            return Ok(None);
        }
        let mut modes = tcgetattr(stdin())?;
        if let Ok(mut saved) = SAVED.lock() {
            *saved = Some(modes.clone());
        }
        modes.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &modes)?;
        Ok(Some(RawTerminal(())))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back as it was, if it was changed.
pub(crate) fn restore() {
    if let Ok(mut saved) = SAVED.lock()
        && let Some(modes) = saved.take()
    {
        // A terminal that is gone needs no more.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &modes);
    }
}

/// The size of the terminal, if there is one.
pub(crate) fn window() -> Window {
    let sizes = [
        tcgetwinsize(stdout()),
        tcgetwinsize(stdin()),
        tcgetwinsize(stderr()),
    ];
    let known = sizes.into_iter().flatten();
    let mut windows = known.map(|size| Window {
        rows: size.ws_row,
        columns: size.ws_col,
    });
    windows
        .find(|window| window.rows > 0 && window.columns > 0)
        .unwrap_or(USUAL)
}
