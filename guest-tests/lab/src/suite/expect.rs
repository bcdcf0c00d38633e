// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Which cases are expected to fail: by `--expect-fail`, by the design of the
//! kernel, or by a list of known failures.
//!
//! A list is lines `TEST [KERNEL] [# WHY]`; both may be patterns, and `#` at
//! the beginning of a line makes it a comment.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use irqstorm_agent::catalogue::{TestInfo, find};

use super::names::Pattern;
use crate::failure::Failure;
use crate::process::option;
use crate::results::{Expected, Source};

/// The longest list, in bytes.
const MAX_LIST: u64 = 1 << 20;

/// What is expected of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expectations {
    arguments: Vec<String>,
    lists: Vec<PathBuf>,
    known: Vec<Known>,
    strict: bool,
}

/// A line of a list.
#[derive(Clone, Debug)]
struct Known {
    tests: Pattern,
    kernels: Option<Pattern>,
    why: String,
    place: String,
}

impl Expectations {
    /// Those of a command line; `strict` fails a run in which a test of a list
    /// passes.
    pub(crate) fn read(
        expect_fail: &[String],
        selected: &[&'static TestInfo],
        lists: &[PathBuf],
        strict: bool,
    ) -> Result<Expectations, Failure> {
        super::check_expected(expect_fail, selected)?;
        let mut known = Vec::new();
        for path in lists {
            known.extend(read_list(path)?);
        }
        Ok(Expectations {
            arguments: expect_fail.to_vec(),
            lists: lists.to_vec(),
            known,
            strict,
        })
    }

    /// The arguments that say the same for some tests.
    pub(crate) fn arguments(&self, tests: &[&'static TestInfo]) -> Vec<OsString> {
        let run = |name: &&String| tests.iter().any(|test| test.name == **name);
        let named = self.arguments.iter().filter(run);
        let named = named.map(|name| option("--expect-fail", name));
        let lists = self.lists.iter();
        let lists = lists.map(|list| option("--known-failures", list));
        let strict = (self.strict && !self.lists.is_empty()).then(|| "--strict-known".into());
        named.chain(lists).flatten().chain(strict).collect()
    }

    /// What is expected of a case on a kernel. Whoever names a test on the
    /// command line is heard first, and a list last.
    pub(crate) fn of(&self, case: &str, kernel: &str) -> Option<Expected> {
        if self.arguments.iter().any(|name| name == case) {
            return Some(Expected {
                by: Source::Argument,
                why: String::new(),
                place: None,
                must: true,
            });
        }
        if let Some(why) = find(case).and_then(|test| test.fails_by_design(kernel)) {
            return Some(Expected {
                by: Source::Design,
                why: why.to_owned(),
                place: None,
                must: true,
            });
        }
        let known = self
            .known
            .iter()
            .find(|known| known.speaks_of(case, kernel))?;
        Some(Expected {
            by: Source::List,
            why: known.why.clone(),
            place: Some(known.place.clone()),
            must: self.strict,
        })
    }
}

impl Known {
    fn speaks_of(&self, case: &str, kernel: &str) -> bool {
        let on_kernel = |kernels: &Pattern| kernels.takes(kernel);
        self.tests.takes(case) && self.kernels.as_ref().is_none_or(on_kernel)
    }
}

fn read_list(path: &Path) -> Result<Vec<Known>, Failure> {
    let unusable = |what: String, reason: String| Failure::BadArgument { what, reason };
    let list = || format!("{} as a list of known failures", path.display());
    let text = read_bounded(path).map_err(|error| unusable(list(), error.to_string()))?;
    if text.len() as u64 > MAX_LIST {
        let reason = format!("it is longer than {MAX_LIST} bytes");
        return Err(unusable(list(), reason));
    }
    let mut known = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let place = format!("{}:{number}", path.display());
        match read_line(line, &place) {
            Ok(line) => known.extend(line),
            Err(reason) => return Err(unusable(place, reason)),
        }
    }
    Ok(known)
}

/// One byte more than may be, if there is one.
fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_LIST + 1)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// A line's meaning, if it has one.
fn read_line(line: &str, place: &str) -> Result<Option<Known>, String> {
    let (words, why) = match line.split_once('#') {
        // What is part of a word is no comment.
        Some((words, why)) if words.is_empty() || words.ends_with([' ', '\t']) => (words, why),
        _ => (line, ""),
    };
    let mut words = words.split_ascii_whitespace();
    let Some(test) = words.next() else {
        return Ok(None);
    };
    let kernels = words.next().map(Pattern::new).transpose()?;
    if let Some(more) = words.next() {
        return Err(format!(
            "'{more}' is one word too many: a line is TEST [KERNEL] [# WHY]"
        ));
    }
    Ok(Some(Known {
        tests: Pattern::of_tests(test)?,
        kernels,
        why: why.trim().to_owned(),
        place: place.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn listed(text: &str) -> Result<Expectations, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known.txt");
        std::fs::write(&path, text).unwrap();
        Expectations::read(&[], &[], &[path], false)
    }

    #[test]
    fn a_list_names_tests_kernels_and_reasons() {
        let list = "# of 7.2\n\n\
            task-context 7.2+v4~* # see https://example.org/#c3\n\
            *-storm\n";
        let known = listed(list).unwrap();
        let found = known.of("task-context", "7.2+v4~lifo").unwrap();
        assert_eq!((found.by, found.must), (Source::List, false));
        assert_eq!(found.why, "see https://example.org/#c3");
        assert!(found.place.unwrap().ends_with("known.txt:3"));
        assert_eq!(known.of("task-context", "7.3"), None);
        assert!(known.of("spurious-storm", "7.3").is_some());
    }

    #[test]
    fn a_wrong_line_is_named_with_its_file() {
        for (text, words) in [
            (
                "\nnosuch # x\n",
                ["known.txt:2", "'nosuch'", "task-context"],
            ),
            (
                "task-context a b\n",
                ["known.txt:1", "'b'", "TEST [KERNEL]"],
            ),
            ("task-context [\n", ["known.txt:1", "'['", "no pattern"]),
        ] {
            let failure = listed(text).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage);
            for word in words {
                assert!(failure.to_string().contains(word), "{failure}");
            }
        }
    }

    #[test]
    fn a_list_that_cannot_be_read_is_a_wrong_argument() {
        let missing = [PathBuf::from("/nonexistent/known.txt")];
        let failure = Expectations::read(&[], &[], &missing, false).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.to_string().contains("/nonexistent/known.txt"));
    }

    #[test]
    fn the_command_line_comes_before_the_design_and_that_before_a_list() {
        let mut all = listed("queue-calls\ntask-context\n").unwrap();
        let by = |all: &Expectations, case| all.of(case, "7.2+v4").map(|found| found.by);
        assert_eq!(by(&all, "queue-calls"), Some(Source::Design));
        assert_eq!(by(&all, "task-context"), Some(Source::List));
        assert_eq!(by(&all, "baseline-io"), None);
        all.arguments = vec!["queue-calls".into(), "task-context".into()];
        assert_eq!(by(&all, "queue-calls"), Some(Source::Argument));
        assert_eq!(by(&all, "task-context"), Some(Source::Argument));
    }

    #[test]
    fn a_strict_list_must_be_right() {
        let mut list = listed("task-context\n").unwrap();
        list.strict = true;
        assert!(list.of("task-context", "7.3").unwrap().must);
    }
}
