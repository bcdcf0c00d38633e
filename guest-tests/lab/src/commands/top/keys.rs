// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What each key does.

use irqstorm_core::control::{Command, Fire, Hold, Selection};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::state::{Change, State};

/// The keys and what they do, for the help.
pub(super) const HELP: [(&str, &str); 12] = [
    ("h", "hold completions, or stop holding"),
    ("s", "release the oldest held completion"),
    ("r", "release all that are held"),
    ("f", "fire an interrupt on every queue"),
    ("v", "a volley: every queue at one instant"),
    ("p", "on to the next phase"),
    ("space", "pause the display, the device goes on"),
    ("t", "per second, totals, or both"),
    ("up, down", "more queues"),
    ("?", "this help, or away with it"),
    ("q", "quit"),
    ("^C", "quit, with exit code 130"),
];

/// What a key asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// End well.
    Quit,
    /// End as interrupted.
    Interrupt,
    /// Tell the device something.
    Tell(Command),
    /// Show something else.
    Show(Change),
}

/// What a key does now; nothing for most.
pub(super) fn action(key: KeyEvent, state: &State) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Action::Interrupt);
    }
    let release = |count| {
        Action::Tell(Command::Release(Selection {
            count,
            ..Selection::default()
        }))
    };
    Some(match key.code {
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Char('h') => Action::Tell(Command::Hold(Hold {
            on: !state.status().is_some_and(|status| status.holding),
            ..Hold::default()
        })),
        KeyCode::Char('s') => release(Some(1)),
        KeyCode::Char('r') => release(None),
        KeyCode::Char('f') => Action::Tell(Command::Fire(Fire::default())),
        KeyCode::Char('v') => Action::Tell(Command::Volley {}),
        KeyCode::Char('p') => Action::Tell(Command::Phase { to: None }),
        KeyCode::Char(' ') => Action::Show(Change::Pause),
        KeyCode::Char('t') => Action::Show(Change::Figures),
        KeyCode::Char('?') => Action::Show(Change::Help),
        KeyCode::Esc if state.helps() => Action::Show(Change::Help),
        KeyCode::Up | KeyCode::Char('k') => Action::Show(Change::Up),
        KeyCode::Down | KeyCode::Char('j') => Action::Show(Change::Down),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_core::control::StatusReply;

    fn pressed(code: KeyCode, state: &State) -> Option<Action> {
        action(KeyEvent::new(code, KeyModifiers::NONE), state)
    }

    #[test]
    fn h_holds_and_then_stops_holding() {
        let mut state = State::new(true);
        let hold = |on| {
            Some(Action::Tell(Command::Hold(Hold {
                on,
                ..Hold::default()
            })))
        };
        assert_eq!(pressed(KeyCode::Char('h'), &state), hold(true));
        state.take(StatusReply {
            holding: true,
            ..StatusReply::default()
        });
        assert_eq!(pressed(KeyCode::Char('h'), &state), hold(false));
    }

    #[test]
    fn s_steps_and_r_releases_all() {
        let state = State::new(true);
        let count = |key| match pressed(KeyCode::Char(key), &state) {
            Some(Action::Tell(Command::Release(selection))) => selection.count,
            other => panic!("{key} does {other:?}"),
        };
        assert_eq!((count('s'), count('r')), (Some(1), None));
    }

    #[test]
    fn every_key_of_the_help_does_something() {
        let state = State::new(true);
        for (name, _) in HELP {
            let code = match name {
                "space" => KeyCode::Char(' '),
                "up, down" => KeyCode::Up,
                "^C" => continue,
                name => KeyCode::Char(name.chars().next().unwrap()),
            };
            assert!(pressed(code, &state).is_some(), "{name}");
        }
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(action(interrupt, &state), Some(Action::Interrupt));
        assert_eq!(pressed(KeyCode::Char('x'), &state), None);
        assert_eq!(pressed(KeyCode::Esc, &state), None);
    }
}
