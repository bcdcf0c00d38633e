// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm ctl`: words to commands, replies to lines and tables.

pub(crate) mod show;
mod watch;
pub(crate) mod words;

use std::path::PathBuf;
use std::time::Duration;

use irqstorm_core::control::{Command, Hold, Wait};
use serde_json::Value;

use crate::cli::{CtlArguments, CtlCommand, SocketArgument, StormAction};
use crate::control::Control;
use crate::failure::{Exit, Failure};
use crate::repository::Repository;
use crate::run_dir;

/// How long the device waits for a mark unless told otherwise.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);

/// Carries out one command and prints its reply.
pub(crate) fn run(arguments: &CtlArguments) -> Result<Exit, Failure> {
    if let CtlCommand::Watch { events } = &arguments.command {
        let events = watch::check(events)?;
        let control = Control::connect(&socket(&arguments.socket)?)?;
        return watch::run(control, events, arguments.json);
    }
    let command = command_of(&arguments.command)?;
    let mut control = Control::connect(&socket(&arguments.socket)?)?;
    let reply = match &command {
        Command::Wait(wait) => control.ask_for(&command, longest(wait)),
        _ => control.ask_raw(&command),
    };
    let reply = reply.map_err(|failure| advise(failure, &command))?;
    match arguments.json {
        true => show::line(&reply.to_string()),
        false => show::reply(&command, reply),
    }
}

/// The socket that is named, or that of what runs, if that is one device.
pub(crate) fn socket(named: &SocketArgument) -> Result<PathBuf, Failure> {
    if let Some(path) = &named.path {
        return Ok(path.clone());
    }
    let mut sockets = run_dir::control_sockets();
    if sockets.len() == 1 {
        return Ok(sockets.remove(0));
    }
    let reason = if sockets.is_empty() {
        "no 'irqstorm run' of this user is under way; start one, or name a device's with --socket PATH"
            .to_owned()
    } else {
        let list: Vec<String> = sockets
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        format!(
            "several runs are under way; choose with --socket: {}",
            list.join(", ")
        )
    };
    Err(Failure::BadArgument {
        what: "the default control socket".into(),
        reason,
    })
}

fn command_of(command: &CtlCommand) -> Result<Command, Failure> {
    match command {
        CtlCommand::Status => Ok(Command::Status {}),
        CtlCommand::Hold { words } => words::command("hold", &[], None, words),
        CtlCommand::Unhold => Ok(Command::Hold(Hold {
            on: false,
            ..Hold::default()
        })),
        CtlCommand::List { words } => words::command("list", &[], None, words),
        CtlCommand::Release { words } => words::command("release", &[], Some("request"), words),
        CtlCommand::Fire { words } => words::command("fire", &[], None, words),
        CtlCommand::Volley => Ok(Command::Volley {}),
        CtlCommand::Fail => Ok(Command::Fail {}),
        CtlCommand::Storm { action, name } => Ok(Command::Storm {
            on: *action == StormAction::Start,
            name: name.clone(),
        }),
        CtlCommand::Scenario { scenario } => {
            let found = Repository::find()?.scenario(scenario)?;
            Ok(Command::Scenario {
                toml: found.to_toml(),
                name: found.name,
            })
        }
        CtlCommand::Set { setting } => {
            let (knob, value) = words::setting(setting)?;
            Ok(Command::Set { knob, value })
        }
        CtlCommand::Get { knob } => Ok(Command::Get { knob: knob.clone() }),
        CtlCommand::Phase { to } => Ok(Command::Phase { to: to.clone() }),
        CtlCommand::Mark { name } => Ok(Command::Mark { name: name.clone() }),
        CtlCommand::Wait { mark, words } => {
            let base = [("mark", Value::from(mark.as_str()))];
            words::command("wait", &base, None, words)
        }
        CtlCommand::Watch { events } => watch::check(events).map(Command::Subscribe),
        CtlCommand::Metrics => Ok(Command::Metrics {}),
    }
}

/// How long an answer may take that comes with the mark.
fn longest(wait: &Wait) -> Duration {
    wait.timeout
        .map_or(DEFAULT_WAIT, |time| Duration::from_nanos(time.0))
}

/// Says after the device's refusal what to do next.
fn advise(failure: Failure, command: &Command) -> Failure {
    use irqstorm_core::control::Code;
    let Failure::Refused {
        command: name,
        code,
        refusal,
    } = failure
    else {
        return failure;
    };
    let next = match (command, code) {
        (Command::Storm { .. }, Code::NotFound) | (Command::Set { .. }, _) => {
            "; 'irqstorm ctl get' shows the scenario in force"
        }
        (Command::Wait(_), Code::TimedOut) => {
            "; 'irqstorm ctl status' shows the marks, 'irqstorm ctl mark' sets one"
        }
        (_, Code::Busy) => "; end another client of it and try again",
        _ => "",
    };
    Failure::Refused {
        command: name,
        code,
        refusal: format!("{}{next}", refusal.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_core::control::Code;

    #[test]
    fn a_refusal_says_what_to_do_next() {
        let refused = |code| Failure::Refused {
            command: "storm".into(),
            code,
            refusal: "no storm 'x'\n".into(),
        };
        let command = Command::Storm {
            on: true,
            name: Some("x".into()),
        };
        let failure = advise(refused(Code::NotFound), &command);
        assert!(
            failure.to_string().contains("'x'; 'irqstorm ctl get'"),
            "{failure}"
        );
        assert_eq!(failure.exit(), Exit::Usage);
        let failure = advise(refused(Code::Stopping), &command);
        assert!(failure.to_string().ends_with("'x'"), "{failure}");
    }

    #[test]
    fn hold_and_unhold_are_each_others_opposite() {
        let hold = command_of(&CtlCommand::Hold { words: Vec::new() }).unwrap();
        let unhold = command_of(&CtlCommand::Unhold).unwrap();
        assert!(matches!(hold, Command::Hold(Hold { on: true, .. })));
        assert!(matches!(unhold, Command::Hold(Hold { on: false, .. })));
    }
}
