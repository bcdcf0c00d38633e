// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Bash, which takes KEY=VALUE for three words.
//!
//! `=` is one of COMP_WORDBREAKS (bash(1)): of `queue=0` bash hands over
//! `queue`, `=` and `0`, and puts what it gets in the place of the last. So the
//! words are put together again here, and of a candidate it gets what follows
//! the last `=`.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;

use clap_complete::engine::complete;
use clap_complete::env::{Bash as Plain, EnvCompleter};

/// How the script tells the word that is begun: nothing, right behind a `=`,
/// in whose place it would come.
const LAST_WORD: &str = r#"words[COMP_CWORD]="$2""#;
const LAST_WORD_OR_BREAK: &str = r#"[[ "${words[COMP_CWORD]}" == "=" ]] || words[COMP_CWORD]="$2""#;

/// The completer.
pub(super) struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        Plain.name()
    }

    fn is(&self, name: &str) -> bool {
        Plain.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let mut script = Vec::new();
        Plain.write_registration(var, name, bin, completer, &mut script)?;
        let script = String::from_utf8_lossy(&script);
        buf.write_all(script.replace(LAST_WORD, LAST_WORD_OR_BREAK).as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let number = |name: &str| std::env::var(name).ok()?.parse().ok();
        let index = number("_CLAP_COMPLETE_INDEX").unwrap_or(words.len().saturating_sub(1));
        let Joined { words, index, cut } = join(words, index);
        let candidates = complete(command, words, index, folder)?;
        let values: Vec<String> = candidates
            .iter()
            .map(|candidate| candidate.get_value().to_string_lossy().into_owned())
            .map(|value| match value.get(cut..) {
                Some(rest) => rest.to_owned(),
                None => value,
            })
            .collect();
        // As the registered script takes them apart.
        let separator = std::env::var("_CLAP_IFS").unwrap_or_else(|_| "\n".to_owned());
        write!(out, "{}", values.join(&separator))
    }
}

/// Words as the shell's user sees them.
struct Joined {
    words: Vec<OsString>,
    /// The one to complete.
    index: usize,
    /// Of its candidates so many bytes are there already.
    cut: usize,
}

/// Puts words together again that bash took apart at `=`.
fn join(words: Vec<OsString>, index: usize) -> Joined {
    let mut joined = Joined {
        words: Vec::new(),
        index,
        cut: 0,
    };
    let mut glue = false;
    for (place, word) in words.into_iter().enumerate() {
        let is_break = word.as_os_str() == OsStr::new("=");
        match joined.words.last_mut() {
            Some(last) if is_break || glue => {
                if place == index {
                    joined.cut = last.len() + usize::from(is_break);
                }
                last.push(&word);
            }
            _ => joined.words.push(word),
        }
        glue = is_break;
        if place == index {
            joined.index = joined.words.len().saturating_sub(1);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(words: &[&str], index: usize) -> (Vec<String>, usize, usize) {
        let words = words.iter().map(OsString::from).collect();
        let Joined { words, index, cut } = join(words, index);
        let words = words.iter().map(|w| w.to_string_lossy().into_owned());
        (words.collect(), index, cut)
    }

    #[test]
    fn what_bash_took_apart_is_one_word_again() {
        let words = [
            "irqstorm", "ctl", "release", "queue", "=", "0", "part", "=", "co",
        ];
        let (joined, index, cut) = joined(&words, 8);
        assert_eq!(joined, ["irqstorm", "ctl", "release", "queue=0", "part=co"]);
        assert_eq!((index, cut), (4, "part=".len()));
    }

    #[test]
    fn right_behind_the_break_nothing_is_begun() {
        let (words, index, cut) = joined(&["irqstorm", "fire", "config", "="], 3);
        assert_eq!(words, ["irqstorm", "fire", "config="]);
        assert_eq!((index, cut), (2, "config=".len()));
        let (words, index, cut) = joined(&["irqstorm", "fire", "config", "=", ""], 4);
        assert_eq!(words, ["irqstorm", "fire", "config="]);
        assert_eq!((index, cut), (2, "config=".len()));
    }

    #[test]
    fn the_script_keeps_a_break_that_nothing_follows() {
        let mut script = Vec::new();
        Bash.write_registration("V", "n", "b", "c", &mut script)
            .unwrap();
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains(LAST_WORD_OR_BREAK), "{script}");
    }

    #[test]
    fn words_without_breaks_stay() {
        let (words, index, cut) = joined(&["irqstorm", "ctl", "re"], 2);
        assert_eq!(words, ["irqstorm", "ctl", "re"]);
        assert_eq!((index, cut), (2, 0));
    }
}
