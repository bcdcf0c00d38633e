// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Unified diffs out of the text around them. A hunk is as long as its header
//! says, which tells it from what follows, and a whole one from a damaged one.

mod hunk;

use super::super::diff::{Change, FileDiff, Hunk, Name};
use hunk::hunk_header;

/// What a diff is damaged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// The line, from 1.
    pub(super) line: usize,
    /// What is wrong there.
    pub(super) reason: String,
}

/// More files, or hunks of one, than this are no patch that anybody posts.
const MOST: usize = 20_000;

/// All files that the diffs in a text are about.
pub(super) fn parse(text: &[u8]) -> Result<Vec<FileDiff>, Damage> {
    let mut parser = Parser::new(text);
    let mut files = Vec::new();
    while let Some(line) = parser.peek() {
        if line.starts_with(b"diff --git ") {
            files.push(parser.git_file()?);
        } else if parser.at_plain_file() {
            files.push(parser.plain_file()?);
        } else {
            parser.check_outside(line)?;
            parser.at += 1;
        }
        if files.len() > MOST {
            return parser.refuse("there are more files than any patch has");
        }
    }
    Ok(files)
}

struct Parser<'a> {
    lines: Vec<&'a [u8]>,
    at: usize,
}

/// Lines without their ends. A text that came by way of a form has carriage
/// returns at the end of each; one that has some has them in its files.
fn lines_of(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    if lines.iter().all(|line| line.ends_with(b"\r")) {
        lines
            .iter_mut()
            .for_each(|line| *line = &line[..line.len() - 1]);
    }
    lines
}

impl<'a> Parser<'a> {
    fn new(text: &'a [u8]) -> Parser<'a> {
        Parser {
            lines: lines_of(text),
            at: 0,
        }
    }

    fn ahead(&self, count: usize) -> Option<&'a [u8]> {
        self.lines.get(self.at.checked_add(count)?).copied()
    }

    fn peek(&self) -> Option<&'a [u8]> {
        self.ahead(0)
    }

    fn starts(&self, count: usize, with: &[u8]) -> bool {
        self.ahead(count).is_some_and(|line| line.starts_with(with))
    }

    fn refuse<T>(&self, reason: impl Into<String>) -> Result<T, Damage> {
        Err(Damage {
            line: self.at.min(self.lines.len().saturating_sub(1)) + 1,
            reason: reason.into(),
        })
    }

    fn at_plain_file(&self) -> bool {
        self.starts(0, b"--- ") && self.starts(1, b"+++ ") && self.starts(2, b"@@ -")
    }

    /// What stands outside of diffs is not looked at, unless it belonged to one.
    fn check_outside(&self, line: &[u8]) -> Result<(), Damage> {
        if line.starts_with(b"@@ -") && hunk_header(line).is_some() {
            return self.refuse("a hunk without the names of its file above it");
        }
        if line.starts_with(b"@@@ ") || line.starts_with(b"diff --cc ") {
            return self.refuse("the diff of a merge, which is against several files at once");
        }
        if line.starts_with(b"*** ") && self.starts(1, b"--- ") && self.starts(2, b"*****") {
            return self.refuse("a context diff; take a unified one, diff -u");
        }
        Ok(())
    }

    fn git_file(&mut self) -> Result<FileDiff, Damage> {
        let rest = self.peek().unwrap_or_default();
        let names = rest.strip_prefix(b"diff --git ").unwrap_or_default();
        let mut names = names
            .split(|&byte| byte == b' ')
            .filter(|name| !name.is_empty());
        let (Some(old), Some(new), None) = (names.next(), names.next(), names.next()) else {
            return self.refuse("'diff --git' is followed by two file names without blanks");
        };
        let mut file = FileDiff {
            old: self.name(old)?,
            new: self.name(new)?,
            change: Change::Content,
            blob: None,
            mode: None,
            hunks: Vec::new(),
        };
        self.at += 1;
        let extended = self.extended_header(&mut file)?;
        if self.starts(0, b"--- ") && self.starts(1, b"+++ ") {
            let (old, new) = self.file_names()?;
            file.old = self.agree(file.old, old)?;
            file.new = self.agree(file.new, new)?;
            file.hunks = self.hunks()?;
            if file.hunks.is_empty() {
                return self.refuse(format!("the hunks of {} are missing", file.name()));
            }
        } else if !extended {
            return self.refuse(format!("the hunks of {} are missing", file.name()));
        }
        if file.old.is_none() && file.new.is_none() {
            return self.refuse("both names of the file are /dev/null");
        }
        Ok(file)
    }

    /// The name in a `---` or `+++` line has to be that of the `diff --git` line.
    fn agree(&self, first: Option<Name>, second: Option<Name>) -> Result<Option<Name>, Damage> {
        match (&first, &second) {
            (Some(one), Some(other)) if one != other => {
                self.refuse("the file has another name here than in its 'diff --git' line")
            }
            (None, Some(_)) => {
                self.refuse("a file that is made or removed has a name on that side")
            }
            _ => Ok(second),
        }
    }

    /// The lines between `diff --git` and `---`; whether they change anything.
    fn extended_header(&mut self, file: &mut FileDiff) -> Result<bool, Damage> {
        let mut changes = false;
        while let Some(line) = self.peek() {
            let mut words = line
                .split(|&byte| byte == b' ')
                .filter(|word| !word.is_empty());
            let mut next = || words.next().unwrap_or_default();
            match (next(), next(), next()) {
                (b"similarity" | b"dissimilarity", b"index", _) => {}
                (b"index", blobs, mode) => {
                    let old = blobs.split(|&byte| byte == b'.').next().unwrap_or_default();
                    file.blob = blob_id(old);
                    self.check_mode(mode)?;
                }
                (b"old", b"mode", _) => {}
                (b"new", b"mode", mode) => {
                    self.check_mode(mode)?;
                    file.mode = Some(String::from_utf8_lossy(mode).into_owned());
                    changes = true;
                }
                (b"new", b"file", _) => {
                    let mode = line.strip_prefix(b"new file mode ").unwrap_or_default();
                    self.check_mode(mode)?;
                    file.mode = Some(String::from_utf8_lossy(mode).into_owned());
                    file.old = None;
                    changes = true;
                }
                (b"deleted", b"file", _) => {
                    file.new = None;
                    changes = true;
                }
                (word @ (b"rename" | b"copy"), from_or_to @ (b"from" | b"to"), name) => {
                    self.check_moved(file, from_or_to, name)?;
                    file.change = match word {
                        b"copy" => Change::Copy,
                        _ => Change::Rename,
                    };
                    changes = true;
                }
                (b"GIT", b"binary", b"patch") | (b"Binary", b"files", _) => {
                    return self.refuse(format!("{} is binary; only text is taken", file.name()));
                }
                _ => break,
            }
            self.at += 1;
        }
        Ok(changes)
    }

    /// `rename from` and its like repeat the names, without the prefix.
    fn check_moved(&self, file: &FileDiff, which: &[u8], name: &[u8]) -> Result<(), Damage> {
        let named = if which == b"from" {
            &file.old
        } else {
            &file.new
        };
        let told = self.name(name)?.and_then(|told| told.strip(0));
        let same = |folders| named.as_ref().and_then(|name| name.strip(folders)) == told;
        match told.is_some() && (same(0) || same(1)) {
            true => Ok(()),
            false => self.refuse("the file has another name here than in its 'diff --git' line"),
        }
    }

    fn check_mode(&self, mode: &[u8]) -> Result<(), Damage> {
        match mode {
            b"" | b"100644" | b"100755" | b"100664" => Ok(()),
            b"120000" => self.refuse("it makes or changes a symbolic link; only files are taken"),
            _ => self.refuse(format!(
                "the mode {} is none of a file",
                String::from_utf8_lossy(mode).escape_debug()
            )),
        }
    }

    fn plain_file(&mut self) -> Result<FileDiff, Damage> {
        let (old, new) = self.file_names()?;
        if old.is_none() && new.is_none() {
            return self.refuse("both names of the file are /dev/null");
        }
        Ok(FileDiff {
            old,
            new,
            change: Change::Content,
            blob: None,
            mode: None,
            hunks: self.hunks()?,
        })
    }

    fn file_names(&mut self) -> Result<(Option<Name>, Option<Name>), Damage> {
        let mut read = |prefix: &[u8]| {
            let line = self.peek().and_then(|line| line.strip_prefix(prefix));
            let name = line.unwrap_or_default();
            // A date may follow.
            let end = name.iter().position(|byte| b"\t ".contains(byte));
            let name = self.name(&name[..end.unwrap_or(name.len())])?;
            self.at += 1;
            Ok(name)
        };
        Ok((read(b"--- ")?, read(b"+++ ")?))
    }

    fn name(&self, name: &[u8]) -> Result<Option<Name>, Damage> {
        if name == b"/dev/null" {
            return Ok(None);
        }
        match Name::new(name) {
            Ok(name) => Ok(Some(name)),
            Err(reason) => self.refuse(reason),
        }
    }

    fn hunks(&mut self) -> Result<Vec<Hunk>, Damage> {
        let mut hunks = Vec::new();
        while self.starts(0, b"@@ -") {
            hunks.push(self.hunk(hunks.len() + 1)?);
            if hunks.len() > MOST {
                return self.refuse("there are more hunks than any patch has");
            }
        }
        Ok(hunks)
    }
}

/// The id of a blob; that of no file is all zeros.
fn blob_id(text: &[u8]) -> Option<String> {
    let is_id = (4..=64).contains(&text.len()) && text.iter().all(u8::is_ascii_hexdigit);
    let is_file = text.iter().any(|&digit| digit != b'0');
    (is_id && is_file).then(|| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests;
