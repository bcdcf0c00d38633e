// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm ctl`: words to commands, replies to tables.

use std::path::PathBuf;

use irqstorm_core::control::{Command, HeldEntry, Hold, ListReply, StatusReply};
use irqstorm_core::counters::Counters;
use serde_json::{Map, Value};

use crate::cli::{CtlArguments, CtlCommand, StormAction};
use crate::control::Control;
use crate::failure::{Exit, Failure};
use crate::repository::Repository;
use crate::results::table;
use crate::run_dir;

/// Carries out one command and prints its reply.
pub(crate) fn run(arguments: &CtlArguments) -> Result<Exit, Failure> {
    let command = command_of(&arguments.command)?;
    let socket = match &arguments.socket {
        Some(path) => path.clone(),
        None => the_only_socket()?,
    };
    let reply = Control::connect(&socket)?.ask_raw(&command)?;
    match arguments.json {
        true => println!("{reply}"),
        false => print(&command, reply)?,
    }
    Ok(Exit::Passed)
}

/// The control socket of what runs, if that is one device.
fn the_only_socket() -> Result<PathBuf, Failure> {
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
        CtlCommand::Hold | CtlCommand::Unhold => Ok(Command::Hold(Hold {
            on: matches!(command, CtlCommand::Hold),
            ..Hold::default()
        })),
        CtlCommand::Storm { action } => Ok(Command::Storm {
            on: *action == StormAction::Start,
            name: None,
        }),
        CtlCommand::Scenario { scenario } => {
            let found = Repository::find()?.scenario(scenario)?;
            Ok(Command::Scenario {
                toml: found.to_toml(),
                name: found.name,
            })
        }
        CtlCommand::List { arguments } => from_words("list", None, arguments),
        CtlCommand::Release { arguments } => from_words("release", Some("request"), arguments),
        CtlCommand::Fire { arguments } => from_words("fire", None, arguments),
    }
}

/// KEY=VALUE words into the command of that name; a word without a key is the
/// value of `bare`. The protocol's own types say what is allowed.
fn from_words(name: &str, bare: Option<&str>, words: &[String]) -> Result<Command, Failure> {
    let refuse = |reason: String| Failure::BadArgument {
        what: format!("'{}' with {name}", words.join(" ")),
        reason,
    };
    let mut fields = Map::new();
    fields.insert("cmd".into(), name.into());
    for word in words {
        let (key, text) = match (word.split_once('='), bare) {
            (Some(pair), _) => pair,
            (None, Some(bare)) => (bare, word.as_str()),
            (None, None) => return Err(refuse(format!("'{word}' is no KEY=VALUE"))),
        };
        let value = text
            .parse::<u64>()
            .map_or_else(|_| Value::from(text), Value::from);
        if fields.insert(key.to_owned(), value).is_some() {
            return Err(refuse(format!("{key} is given twice")));
        }
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| refuse(error.to_string()))
}

fn print(command: &Command, reply: Value) -> Result<(), Failure> {
    let unexpected = |error| Failure::Control(format!("its reply is not as documented: {error}"));
    match command {
        Command::Status {} => print_status(&serde_json::from_value(reply).map_err(unexpected)?),
        Command::List { .. } => print_held(&serde_json::from_value(reply).map_err(unexpected)?),
        _ => {
            let fields = reply.as_object().cloned().unwrap_or_default();
            let words: Vec<String> = fields
                .iter()
                .map(|(key, value)| match value {
                    Value::String(text) => format!("{key}: {text}"),
                    other => format!("{key}: {other}"),
                })
                .collect();
            println!("{}", words.join(", "));
        }
    }
    Ok(())
}

fn print_status(status: &StatusReply) {
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    println!(
        "scenario {}, seed {}, driver connected: {}, holding: {}, storming: {}",
        status.scenario,
        status.seed,
        yes(status.connected),
        yes(status.holding),
        yes(status.storming)
    );
    println!(
        "guard pauses {}, storm instants skipped {}, events dropped {}",
        status.guard_pauses, status.storm_skipped, status.events_dropped
    );
    let mut table = table::new(&[
        "queue",
        "requests",
        "in flight",
        "held",
        "completed",
        "failed",
        "published",
        "wanted",
        "signalled",
        "suppressed",
        "spurious",
    ]);
    for (queue, counters) in status.queues.iter().enumerate() {
        table.add_row(counter_cells(queue.to_string(), counters));
    }
    table.add_row(counter_cells("all".into(), &status.total));
    table::align_right(&mut table, 1);
    println!("{}", table::text(&table));
}

fn counter_cells(name: String, counters: &Counters) -> Vec<String> {
    let numbers = [
        counters.requests,
        counters.in_flight,
        counters.held,
        counters.completed,
        counters.failed,
        counters.published,
        counters.wanted,
        counters.signalled,
        counters.suppressed,
        counters.spurious,
    ];
    std::iter::once(name)
        .chain(numbers.map(|number| number.to_string()))
        .collect()
}

fn print_held(list: &ListReply) {
    let mut table = table::new(&["request", "queue", "operation", "sector", "bytes", "age"]);
    for entry in &list.held {
        table.add_row(held_cells(entry));
    }
    println!("{}", table::text(&table));
    println!("{} held, {} shown", list.total, list.held.len());
}

/// The cells of one held request: for tables here and in reports.
pub(crate) fn held_cells(entry: &HeldEntry) -> Vec<String> {
    vec![
        entry.request.0.to_string(),
        entry.queue.0.to_string(),
        entry.operation.name().to_owned(),
        entry.sector.0.to_string(),
        entry.bytes.to_string(),
        entry.age.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_core::control::{Fire, Part, Selection};
    use irqstorm_core::filter::Choice;
    use irqstorm_core::request::{QueueId, RequestId};

    fn words(text: &str) -> Vec<String> {
        text.split_ascii_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn words_become_the_protocols_commands() {
        let one = from_words("release", Some("request"), &words("1")).unwrap();
        let request = Some(RequestId(1));
        assert_eq!(
            one,
            Command::Release(Selection {
                request,
                ..Selection::default()
            })
        );
        let some = from_words(
            "release",
            Some("request"),
            &words("queue=0 part=completion"),
        );
        let expected = Selection {
            queue: Choice::one(QueueId(0)),
            part: Part::Completion,
            ..Selection::default()
        };
        assert_eq!(some.unwrap(), Command::Release(expected));
        let fire = from_words("fire", None, &words("queue=0 count=3")).unwrap();
        let expected = Fire {
            queue: Choice::one(QueueId(0)),
            count: 3,
            ..Fire::default()
        };
        assert_eq!(fire, Command::Fire(expected));
    }

    #[test]
    fn wrong_words_say_what_is_allowed() {
        for (name, text, hint) in [
            ("fire", "queu=0", "queue"),
            ("fire", "3", "KEY=VALUE"),
            ("fire", "count=1 count=2", "twice"),
            ("fire", "count=many", "count=many"),
            ("release", "part=half", "completion"),
        ] {
            let failure = from_words(name, None, &words(text)).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage);
            assert!(failure.to_string().contains(hint), "{text}: {failure}");
        }
    }
}
