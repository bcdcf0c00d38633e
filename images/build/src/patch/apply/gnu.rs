// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! patch(1) and diff(1), on files of ours in a folder that vanishes: no name of
//! a posted patch reaches them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::{Error, io_error};
use crate::patch::diff::Hunk;

/// What patch(1) made of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The file with the hunks that fitted.
    pub(super) content: Vec<u8>,
    /// Those that fitted elsewhere, or not exactly.
    pub(super) moved: Vec<Moved>,
    /// The numbers, from 1, of those that did not.
    pub(super) failed: Vec<usize>,
}

/// A hunk that did not go where it said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Its number, from 1.
    pub(super) hunk: usize,
    /// The line where it went.
    pub(super) line: u32,
    /// How far that is, in lines.
    pub(super) offset: i64,
    /// How many lines of context at each end did not count.
    pub(super) fuzz: u32,
}

/// How close a hunk has to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// This many lines of context at each end need not.
    Fuzz(usize),
    /// White space does not count: only to learn what is wrong.
    AnySpace,
}

/// Applies hunks to a file.
pub(super) fn patch(content: &[u8], hunks: &[Hunk], how: Match) -> Result<Outcome, Error> {
    let folder = scratch()?;
    let mut diff = b"--- old\n+++ new\n".to_vec();
    hunks.iter().for_each(|hunk| hunk.write(&mut diff));
    write(folder.path(), "old", content)?;
    write(folder.path(), "diff", &diff)?;
    let mut command = Command::new("patch");
    command.args(["--force", "--binary", "--get=0", "--no-backup-if-mismatch"]);
    match how {
        Match::Fuzz(lines) => command.arg(format!("--fuzz={lines}")),
        Match::AnySpace => command.args(["--fuzz=0", "--ignore-whitespace"]),
    };
    command.args(["--reject-file=rejected", "--output=new", "old", "diff"]);
    let output = run(&mut command, folder.path())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (moved, failed) = read_report(&said);
    // 1 is that hunks failed, which are named; 2 is trouble.
    let named = output.status.code() == Some(1) && !failed.is_empty();
    if !named && !output.status.success() {
        let said = said + &String::from_utf8_lossy(&output.stderr);
        return Err(io_error("run patch in", folder.path())(
            std::io::Error::other(said),
        ));
    }
    Ok(Outcome {
        content: read(folder.path(), "new")?,
        moved,
        failed,
    })
}

/// The lines `Hunk #2 succeeded at 1792 with fuzz 2 (offset 78 lines).` and
/// `Hunk #1 FAILED at 18.`
fn read_report(said: &str) -> (Vec<Moved>, Vec<usize>) {
    let (mut moved, mut failed) = (Vec::new(), Vec::new());
    for line in said.lines() {
        let Some((number, rest)) = line.strip_prefix("Hunk #").and_then(|l| l.split_once(' '))
        else {
            continue;
        };
        let Ok(hunk) = number.parse() else {
            continue;
        };
        match rest.strip_prefix("succeeded at ") {
            Some(rest) => moved.push(Moved {
                hunk,
                line: leading(rest).unwrap_or_default(),
                offset: behind(rest, "(offset ").unwrap_or_default(),
                fuzz: behind(rest, "with fuzz ").unwrap_or_default(),
            }),
            None => failed.push(hunk),
        }
    }
    (moved, failed)
}

fn behind<T: std::str::FromStr>(text: &str, words: &str) -> Option<T> {
    leading(text.split_once(words)?.1)
}

fn leading<T: std::str::FromStr>(text: &str) -> Option<T> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '-');
    text.get(..end.unwrap_or(text.len()))?.parse().ok()
}

/// The difference between two versions of a file, either of which may be none.
pub(crate) fn diff(name: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    let folder = scratch()?;
    let label = |side: &str, content: Option<&[u8]>| match content {
        Some(_) => format!("--label={side}/{name}"),
        None => "--label=/dev/null".to_owned(),
    };
    write(folder.path(), "old", old.unwrap_or_default())?;
    write(folder.path(), "new", new.unwrap_or_default())?;
    let mut command = Command::new("diff");
    command.args(["--unified=3", "--text"]);
    command.args([label("a", old), label("b", new), "old".into(), "new".into()]);
    let output = run(&mut command, folder.path())?;
    match output.status.code() {
        Some(0 | 1) => Ok(output.stdout),
        _ => Err(io_error("run diff in", folder.path())(
            std::io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()),
        )),
    }
}

/// The merge of what two have made of one file, if they do not contradict.
pub(super) fn merge(ours: &[u8], base: &[u8], theirs: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let folder = scratch()?;
    for (name, content) in [("ours", ours), ("base", base), ("theirs", theirs)] {
        write(folder.path(), name, content)?;
    }
    let mut command = Command::new("git");
    command.args(["merge-file", "-p", "-q", "ours", "base", "theirs"]);
    let output = run(&mut command, folder.path())?;
    Ok(output.status.success().then_some(output.stdout))
}

fn scratch() -> Result<tempfile::TempDir, Error> {
    tempfile::tempdir().map_err(io_error("create a folder in", &std::env::temp_dir()))
}

fn write(folder: &Path, name: &str, content: &[u8]) -> Result<(), Error> {
    let path = folder.join(name);
    fs::write(&path, content).map_err(io_error("write", &path))
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, Error> {
    let path = folder.join(name);
    match fs::read(&path) {
        // Of a file of which nothing is left.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        content => content.map_err(io_error("read", &path)),
    }
}

fn run(command: &mut Command, folder: &Path) -> Result<Output, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    for variable in [
        "POSIXLY_CORRECT",
        "PATCH_GET",
        "PATCH_VERSION_CONTROL",
        "VERSION_CONTROL",
    ] {
        command.env_remove(variable);
    }
    command.env("LC_ALL", "C").current_dir(folder);
    let output = command.stdin(Stdio::null()).output();
    output.map_err(|source| crate::command::spawn_error(&program, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_patch_is_read() {
        let said = "patching file new (read from old)\n\
                    Hunk #1 FAILED at 18.\n\
                    Hunk #2 succeeded at 1792 with fuzz 2 (offset 78 lines).\n\
                    Hunk #3 succeeded at 5 (offset -1 lines).\n\
                    Hunk #4 succeeded at 7 with fuzz 1.\n\
                    1 out of 4 hunks FAILED -- saving rejects to file rejected\n";
        let moved = |hunk, line, offset, fuzz| Moved {
            hunk,
            line,
            offset,
            fuzz,
        };
        let expected = vec![moved(2, 1792, 78, 2), moved(3, 5, -1, 0), moved(4, 7, 0, 1)];
        assert_eq!(read_report(said), (expected, vec![1]));
    }

    #[test]
    fn a_difference_names_the_file_or_its_absence() {
        let text = |old, new| String::from_utf8(diff("block/x.c", old, new).unwrap()).unwrap();
        let changed = text(Some(b"one\n"), Some(b"two\n"));
        assert!(
            changed.starts_with("--- a/block/x.c\n+++ b/block/x.c\n@@ -1 +1 @@\n"),
            "{changed}"
        );
        assert!(text(None, Some(b"one")).starts_with("--- /dev/null\n+++ b/block/x.c\n"));
        assert!(text(Some(b"one\n"), None).starts_with("--- a/block/x.c\n+++ /dev/null\n"));
        assert_eq!(text(Some(b"one\n"), Some(b"one\n")), "");
    }

    #[test]
    fn a_merge_is_made_where_the_two_do_not_contradict() {
        let base = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let merged = merge(
            b"one\n2\n3\n4\n5\n6\n7\n8\n9\n",
            base,
            b"1\n2\n3\n4\n5\n6\n7\n8\nnine\n",
        );
        assert_eq!(
            merged.unwrap().unwrap(),
            b"one\n2\n3\n4\n5\n6\n7\n8\nnine\n"
        );
        assert_eq!(merge(b"one\n", b"1\n", b"eins\n").unwrap(), None);
    }
}
