// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The words of `ctl`, KEY first, then its values; and names that may as well
//! be paths.

use std::ffi::OsStr;

use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use irqstorm_core::request::Operation;

use super::{candidates, live};
use crate::commands::ctl::words::{Key, Takes};

/// Completes KEY=VALUE words.
pub(super) fn key_values(keys: &'static [Key]) -> ArgValueCompleter {
    ArgValueCompleter::new(move |word: &OsStr| {
        let word = word.to_string_lossy();
        candidates(match word.split_once('=') {
            None => matching_keys(keys, &word),
            Some((key, begun)) => matching_values(keys, key, begun),
        })
    })
}

fn matching_keys(keys: &[Key], begun: &str) -> Vec<(String, String)> {
    let keys = keys.iter().filter(|(key, ..)| key.starts_with(begun));
    keys.map(|(key, _, help)| (format!("{key}="), (*help).to_owned()))
        .collect()
}

fn matching_values(keys: &[Key], key: &str, begun: &str) -> Vec<(String, String)> {
    let Some((_, takes, _)) = keys.iter().find(|(name, ..)| *name == key) else {
        return Vec::new();
    };
    let (values, listed) = match takes {
        Takes::Operations => {
            let names = Operation::ALL.iter().map(|operation| operation.name());
            (names.map(str::to_owned).collect(), true)
        }
        Takes::Queues => (live::queues(), true),
        Takes::Parts => (texts(&["both", "completion", "interrupt"]), false),
        Takes::Flag => (texts(&["true", "false"]), false),
        Takes::Request => (live::held(), false),
        Takes::Like(example) => (texts(&[example]), false),
    };
    // What comes before the last comma of a list stays.
    let (before, begun) = match begun.rsplit_once(',') {
        Some((before, begun)) if listed => (format!("{before},"), begun),
        _ => (String::new(), begun),
    };
    let fits = values.into_iter().filter(|value| value.starts_with(begun));
    fits.map(|value| (format!("{key}={before}{value}"), String::new()))
        .collect()
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// Completes KNOB=VALUE words: the values are what the knobs say.
pub(super) fn settings() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| {
        let word = word.to_string_lossy();
        let knobs = live::knobs().into_iter();
        candidates(match word.split_once('=') {
            None => knobs
                .filter(|(knob, _)| knob.starts_with(&*word))
                .map(|(knob, value)| (format!("{knob}="), value))
                .collect::<Vec<_>>(),
            Some(_) => knobs
                .map(|(knob, value)| (format!("{knob}={value}"), String::new()))
                .filter(|(setting, _)| setting.starts_with(&*word))
                .collect(),
        })
    })
}

/// Completes with names, and with paths.
pub(super) fn or_path(
    list: impl Fn() -> Vec<(String, String)> + Send + Sync + 'static,
) -> ArgValueCompleter {
    ArgValueCompleter::new(move |word: &OsStr| {
        let begun = word.to_string_lossy();
        let names = list().into_iter();
        let fits = names.filter(|(name, _)| name.starts_with(&*begun));
        let mut all: Vec<CompletionCandidate> = candidates(fits);
        all.extend(PathCompleter::any().complete(word));
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::ctl::words::{LIST, RELEASE};

    fn values(begun: &str) -> Vec<String> {
        let (key, begun) = begun.split_once('=').unwrap();
        let found = matching_values(RELEASE, key, begun);
        found.into_iter().map(|(word, _)| word).collect()
    }

    #[test]
    fn keys_come_first_then_their_values() {
        let keys = matching_keys(LIST, "l");
        let keys: Vec<&str> = keys.iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!(keys, ["limit=", "lba="]);
        assert_eq!(values("part=c"), ["part=completion"]);
        assert_eq!(values("newest="), ["newest=true", "newest=false"]);
        assert_eq!(values("nosuch="), [""; 0]);
    }

    #[test]
    fn lists_are_completed_at_their_end() {
        assert_eq!(
            values("operation=read,wr"),
            ["operation=read,write", "operation=read,write-zeroes"]
        );
    }
}
