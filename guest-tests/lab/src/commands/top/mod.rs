// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm top`: a device, live.
//!
//! Keys become actions ([`keys`]), a thread of its own speaks to the device
//! ([`link`]), what it says becomes the [`state`], and [`draw`] shows that and
//! nothing else. Whatever ends this, the terminal is as it was before.

mod draw;
mod histogram;
mod keys;
mod link;
mod state;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use irqstorm_core::control::Command;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use self::keys::Action;
use self::link::{Link, Told};
use self::state::State;
use super::ctl;
use crate::cli::TopArguments;
use crate::control::Control;
use crate::failure::{Exit, Failure, io_failure};

/// Between two looks for keys and answers.
const POLL: Duration = Duration::from_millis(50);

/// Shows the device until the user has seen enough.
pub(crate) fn run(arguments: &TopArguments) -> Result<Exit, Failure> {
    for (name, is_terminal) in [
        ("standard input", io::stdin().is_terminal()),
        ("standard output", io::stdout().is_terminal()),
    ] {
        if !is_terminal {
            return Err(Failure::BadArgument {
                what: format!("{name} for 'top'"),
                reason: "it is no terminal; 'irqstorm ctl status' prints the same once, \
                         'irqstorm ctl watch' what happens"
                    .to_owned(),
            });
        }
    }
    let control = Control::connect(&ctl::socket(&arguments.socket)?)?;
    let signalled = signals()?;
    let mut state = State::new(no_color());
    // Dropped, and the terminal restored, before anything is printed.
    let mut screen = Screen::open()?;
    let interval = Duration::from_nanos(arguments.interval.0);
    live(
        &mut screen.terminal,
        control,
        &mut state,
        interval,
        &signalled,
    )
}

/// As <https://no-color.org> has it: set, and not to nothing.
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn signals() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&flag))
            .map_err(io_failure("listen for", "signals".as_ref()))?;
    }
    Ok(flag)
}

/// The terminal while it is ours. A panic restores it too, before its message.
struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    fn open() -> Result<Screen, Failure> {
        let terminal = ratatui::try_init().map_err(|error| {
            ratatui::restore();
            terminal_failure(error)
        })?;
        Ok(Screen { terminal })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn terminal_failure(source: io::Error) -> Failure {
    io_failure("use", "the terminal".as_ref())(source)
}

fn live(
    terminal: &mut DefaultTerminal,
    control: Control,
    state: &mut State,
    interval: Duration,
    signalled: &AtomicBool,
) -> Result<Exit, Failure> {
    let link = Link::start(control);
    let mut next_look = Instant::now();
    let mut asked = false;
    loop {
        if signalled.load(Ordering::Relaxed) {
            return Ok(Exit::Interrupted);
        }
        while let Some(told) = link.told()? {
            match told {
                Told::Status(status) => {
                    asked = false;
                    state.take(*status);
                }
                Told::Done(text) => state.say(text, false),
                Told::Refused(text) => state.say(text, true),
            }
        }
        if !asked && Instant::now() >= next_look {
            link.ask(Command::Status {});
            asked = true;
            next_look = Instant::now() + interval;
        }
        terminal
            .draw(|frame| draw::draw(state, frame))
            .map_err(terminal_failure)?;
        if !event::poll(POLL).map_err(terminal_failure)? {
            continue;
        }
        let Event::Key(key) = event::read().map_err(terminal_failure)? else {
            continue;
        };
        match keys::action(key, state) {
            Some(Action::Quit) => return Ok(Exit::Passed),
            Some(Action::Interrupt) => return Ok(Exit::Interrupted),
            Some(Action::Tell(command)) => {
                link.ask(command);
                // What it did is to be seen at once.
                next_look = Instant::now();
            }
            Some(Action::Show(change)) => state.show(change),
            None => {}
        }
    }
}
