// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! KEY=VALUE words: which there are, and what they become on the wire.
//!
//! The protocol's own types say what is allowed; this is where a shell's text
//! becomes their numbers, flags and tables.

use irqstorm_core::control::Command;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// What a key takes, as far as it can be laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Kinds of request, joined by commas.
    Operations,
    /// Queues, joined by commas.
    Queues,
    /// Halves of a completion.
    Parts,
    /// `true` or `false`.
    Flag,
    /// The number of a held request.
    Request,
    /// Something else, as in this.
    Like(&'static str),
}

/// A key, what it takes, what it is for.
pub(crate) type Key = (&'static str, Takes, &'static str);

const OPERATION: Key = ("operation", Takes::Operations, "of these kinds");
const QUEUE: Key = ("queue", Takes::Queues, "of these queues");
const LBA: Key = ("lba", Takes::Like("2048..4096"), "in these sectors");
const SIZE: Key = ("size", Takes::Like("4KiB..=64KiB"), "of so many bytes");
const COUNT: Key = ("count", Takes::Like("1"), "so many");
const NEWEST: Key = ("newest", Takes::Flag, "the newest first");

/// The keys of `hold`.
pub(crate) const HOLD: &[Key] = &[OPERATION, QUEUE, LBA, SIZE];

/// The keys of `list`.
pub(crate) const LIST: &[Key] = &[
    ("limit", Takes::Like("20"), "at most so many"),
    NEWEST,
    OPERATION,
    QUEUE,
    LBA,
    SIZE,
];

/// The keys of `release`.
pub(crate) const RELEASE: &[Key] = &[
    ("request", Takes::Request, "this one"),
    COUNT,
    NEWEST,
    ("min_age", Takes::Like("10ms"), "that old at least"),
    ("part", Takes::Parts, "which half of the completion"),
    OPERATION,
    QUEUE,
    LBA,
    SIZE,
];

/// The keys of `fire`.
pub(crate) const FIRE: &[Key] = &[
    QUEUE,
    COUNT,
    ("config", Takes::Flag, "the configuration's interrupt"),
];

/// The keys of `wait`.
pub(crate) const WAIT: &[Key] = &[COUNT, ("timeout", Takes::Like("10s"), "at most so long")];

/// The command `name` with KEY=VALUE words on top of the fields in `base`; a
/// word without a key is the value of `bare`.
pub(super) fn command(
    name: &str,
    base: &[(&str, Value)],
    bare: Option<&str>,
    words: &[String],
) -> Result<Command, Failure> {
    let mut fields = Map::new();
    fields.insert("cmd".into(), name.into());
    for (key, value) in base {
        fields.insert((*key).to_owned(), value.clone());
    }
    let bases = fields.clone();
    for word in words {
        let refuse = |reason: String| Failure::BadArgument {
            what: format!("'{word}' with {name}"),
            reason,
        };
        let (key, text) = match (word.split_once('='), bare) {
            (Some(pair), _) => pair,
            (None, Some(bare)) => (bare, word.as_str()),
            (None, None) => return Err(refuse("it is no KEY=VALUE".to_owned())),
        };
        // What is the matter with one word is said of that word.
        let mut alone = bases.clone();
        alone.insert(key.to_owned(), scalar(text));
        serde_json::from_value::<Command>(Value::Object(alone))
            .map_err(|error| refuse(error.to_string()))?;
        if fields.insert(key.to_owned(), scalar(text)).is_some() {
            return Err(refuse(format!("{key} is given twice")));
        }
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| Failure::BadArgument {
        what: format!("'{}' with {name}", words.join(" ")),
        reason: error.to_string(),
    })
}

/// A word as a number, a flag or a text.
fn scalar(text: &str) -> Value {
    match (text.parse::<u64>(), text.parse::<bool>()) {
        (Ok(number), _) => number.into(),
        (_, Ok(flag)) => flag.into(),
        _ => text.into(),
    }
}

/// `KNOB=VALUE` as its two halves; the value as a scenario has it.
pub(super) fn setting(word: &str) -> Result<(String, Value), Failure> {
    let refuse = |reason: String| Failure::BadArgument {
        what: format!("'{word}' with set"),
        reason,
    };
    let (knob, text) = word.split_once('=').ok_or_else(|| {
        refuse("it is no KNOB=VALUE, as in latency.fixed=80us; 'irqstorm ctl get' shows the knobs there are".to_owned())
    })?;
    let value = knob_value(text.trim()).map_err(refuse)?;
    Ok((knob.trim().to_owned(), value))
}

/// A number, a flag, a list or a table in TOML or JSON; all else is text, so
/// that `80us` needs no quotes.
fn knob_value(text: &str) -> Result<Value, String> {
    let toml = match text.parse::<toml::Value>() {
        Ok(value) => as_json(value),
        Err(error) => Err(error.to_string().trim_end().to_owned()),
    };
    match (toml, text.chars().next()) {
        (Ok(value), _) => Ok(value),
        (Err(error), Some('{' | '[' | '"' | '\'')) => serde_json::from_str(text)
            .map_err(|_| format!("its value is neither TOML nor JSON: {error}")),
        (Err(_), _) => Ok(text.into()),
    }
}

/// The same value on the wire. TOML's dates and endless numbers mean nothing
/// in a scenario: they are text.
fn as_json(value: toml::Value) -> Result<Value, String> {
    match value {
        toml::Value::Datetime(_) => Err("a date".to_owned()),
        toml::Value::Float(number) if !number.is_finite() => Err("no number".to_owned()),
        value => serde_json::to_value(value).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_core::control::{Fire, List, Part, Selection, Wait};
    use irqstorm_core::filter::Choice;
    use irqstorm_core::request::{Operation, QueueId, RequestId};
    use irqstorm_core::units::Nanos;
    use serde_json::json;

    use crate::failure::Exit;

    fn words(text: &str) -> Vec<String> {
        text.split_ascii_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn words_become_the_protocols_commands() {
        let release = |text| command("release", &[], Some("request"), &words(text)).unwrap();
        let one = Selection {
            request: Some(RequestId(1)),
            ..Selection::default()
        };
        assert_eq!(release("1"), Command::Release(one));
        let some = Selection {
            operation: serde_json::from_value(json!(["read", "flush"])).unwrap(),
            queue: Choice::one(QueueId(0)),
            lba: Some("8..=15".parse().unwrap()),
            size: Some("..64KiB".parse().unwrap()),
            newest: true,
            min_age: Some(Nanos::from_millis(10)),
            part: Part::Completion,
            ..Selection::default()
        };
        assert!(some.filter().operation.takes(&Operation::Flush));
        assert_eq!(
            release(
                "operation=read,flush queue=0 lba=8..=15 size=..64KiB newest=true min_age=10ms part=completion"
            ),
            Command::Release(some)
        );
        let fire = Fire {
            config: true,
            count: 3,
            ..Fire::default()
        };
        assert_eq!(
            command("fire", &[], None, &words("config=true count=3")).unwrap(),
            Command::Fire(fire)
        );
        let wait = Wait {
            mark: "7".into(),
            count: Some(2),
            timeout: Some(Nanos::from_millis(1500)),
        };
        let base = [("mark", Value::from("7"))];
        assert_eq!(
            command("wait", &base, None, &words("count=2 timeout=1.5s")).unwrap(),
            Command::Wait(wait)
        );
        assert_eq!(
            command("list", &[], None, &[]).unwrap(),
            Command::List(List::default())
        );
    }

    #[test]
    fn every_key_that_is_offered_is_taken() {
        for (name, keys) in [
            ("hold", HOLD),
            ("list", LIST),
            ("release", RELEASE),
            ("fire", FIRE),
            ("wait", WAIT),
        ] {
            let base = [("mark", Value::from("m"))];
            let base = if name == "wait" { &base[..] } else { &[] };
            for (key, takes, _) in keys {
                let value = match takes {
                    Takes::Operations => "read,write-zeroes",
                    Takes::Queues => "0,1",
                    Takes::Parts => "interrupt",
                    Takes::Flag => "true",
                    Takes::Request => "4",
                    Takes::Like(value) => value,
                };
                let word = format!("{key}={value}");
                command(name, base, None, &[word]).unwrap();
            }
        }
    }

    #[test]
    fn a_wrong_word_is_named_with_what_is_allowed() {
        for (name, text, hints) in [
            ("fire", "count=1 queu=0", ["'queu=0'", "`queue`"]),
            ("fire", "3", ["'3'", "KEY=VALUE"]),
            ("fire", "count=1 count=2", ["'count=2'", "twice"]),
            ("fire", "count=many", ["'count=many'", "u32"]),
            ("fire", "queue=x", ["'queue=x'", "a queue's number"]),
            ("release", "part=half", ["'part=half'", "completion"]),
            ("release", "min_age=10", ["'min_age=10'", "unit"]),
            ("hold", "lba=9..8", ["'lba=9..8'", "A..B"]),
            ("list", "operation=trim", ["'operation=trim'", "discard"]),
        ] {
            let failure = command(name, &[], None, &words(text)).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage);
            for hint in hints {
                assert!(failure.to_string().contains(hint), "{text}: {failure}");
            }
        }
    }

    #[test]
    fn knobs_take_what_a_scenario_says() {
        for (word, knob, value) in [
            ("latency.fixed=80us", "latency.fixed", json!("80us")),
            ("rule.0.probability=5%", "rule.0.probability", json!("5%")),
            ("rule.0.lba=0..8192", "rule.0.lba", json!("0..8192")),
            (
                "interrupt=per-completion",
                "interrupt",
                json!("per-completion"),
            ),
            ("hold=true", "hold", json!(true)),
            ("storm.0.burst=8", "storm.0.burst", json!(8)),
            (
                "latency.pareto.shape=1.5",
                "latency.pareto.shape",
                json!(1.5),
            ),
            ("storm.0.queues=[0, 2]", "storm.0.queues", json!([0, 2])),
            (
                "latency={ fixed = '5ms' }",
                "latency",
                json!({"fixed": "5ms"}),
            ),
            (
                r#"latency={"fixed": "5ms"}"#,
                "latency",
                json!({"fixed": "5ms"}),
            ),
            ("description='a = b'", "description", json!("a = b")),
            ("description=inf", "description", json!("inf")),
            ("description=1979-05-27", "description", json!("1979-05-27")),
        ] {
            assert_eq!(setting(word).unwrap(), (knob.to_owned(), value), "{word}");
        }
    }

    #[test]
    fn half_a_setting_is_refused() {
        for (word, hint) in [
            ("latency.fixed", "KNOB=VALUE"),
            ("latency={ fixed = 5ms }", "neither TOML nor JSON"),
            ("latency={", "neither TOML nor JSON"),
        ] {
            let failure = setting(word).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage);
            assert!(failure.to_string().contains(hint), "{word}: {failure}");
        }
    }
}
