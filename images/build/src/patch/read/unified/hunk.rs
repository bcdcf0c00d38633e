// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A hunk: as many lines as its header counts, no more and no less.

use super::{Damage, Parser};
use crate::patch::diff::{Hunk, HunkLine, Side};

const WRAPPED: &str = "a mail program has wrapped or cut it; take the message as it was sent \
                       ('raw' in an archive)";

/// Lines of a hunk that are still to come.
struct Left {
    old: u32,
    new: u32,
}

impl Left {
    /// Counts a line; `None` if there is none left of its side.
    fn take(&mut self, side: Side) -> Option<()> {
        if side != Side::New {
            self.old = self.old.checked_sub(1)?;
        }
        if side != Side::Old {
            self.new = self.new.checked_sub(1)?;
        }
        Some(())
    }
}

impl Parser<'_> {
    pub(super) fn hunk(&mut self, number: usize) -> Result<Hunk, Damage> {
        let Some(header) = self.peek().and_then(hunk_header) else {
            return self.refuse("a hunk begins with '@@ -LINE,COUNT +LINE,COUNT @@'");
        };
        self.at += 1;
        let mut left = Left {
            old: header.old_lines,
            new: header.new_lines,
        };
        let mut lines = Vec::new();
        while left.old > 0 || left.new > 0 || self.starts(0, b"\\ ") {
            let Some(line) = self.peek() else {
                return self.refuse(format!(
                    "the text ends within hunk {number}, of which {} old and {} new lines are \
                     missing: it has been cut short",
                    left.old, left.new
                ));
            };
            self.hunk_line(number, line, &mut left, &mut lines)?;
            self.at += 1;
        }
        self.check_end(number)?;
        Ok(Hunk {
            old_start: header.old_start,
            new_start: header.new_start,
            title: header.title,
            lines,
        })
    }

    fn hunk_line(
        &self,
        number: usize,
        line: &[u8],
        left: &mut Left,
        lines: &mut Vec<HunkLine>,
    ) -> Result<(), Damage> {
        let (side, text) = match line.split_first() {
            // The blank of an empty line of context is easily lost.
            None => (Side::Both, line),
            Some((b' ', text)) => (Side::Both, text),
            Some((b'-', text)) => (Side::Old, text),
            Some((b'+', text)) => (Side::New, text),
            Some((b'\\', _)) => {
                return match lines.last_mut() {
                    Some(last) => {
                        last.unended = true;
                        Ok(())
                    }
                    None => self.refuse("a hunk does not begin with '\\'"),
                };
            }
            Some(_) => {
                return self.refuse(format!("{} is no line of a hunk: {WRAPPED}", shown(line)));
            }
        };
        if left.take(side).is_none() {
            return self.refuse(format!(
                "hunk {number} has other lines than its header counts: {WRAPPED}"
            ));
        }
        lines.push(HunkLine {
            side,
            text: text.to_vec(),
            unended: false,
        });
        Ok(())
    }

    /// A changed line right behind a hunk belonged to it.
    fn check_end(&self, number: usize) -> Result<(), Damage> {
        let line = self.peek().unwrap_or_default();
        // A signature's `-- ` and the next file's `--- ` are none.
        let changed =
            line.starts_with(b"+") || (line.starts_with(b"-") && !line.starts_with(b"--"));
        match changed {
            true => self.refuse(format!(
                "hunk {number} has more lines than its header counts"
            )),
            false => Ok(()),
        }
    }
}

fn shown(line: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(line).chars().take(60).collect();
    format!("'{}'", text.escape_debug())
}

/// What stands above a hunk's lines.
pub(super) struct Header {
    old_start: u32,
    old_lines: u32,
    new_start: u32,
    new_lines: u32,
    title: String,
}

/// `@@ -12,3 +12,5 @@ title`; a count of 1 may be left out.
pub(super) fn hunk_header(line: &[u8]) -> Option<Header> {
    let line = String::from_utf8_lossy(line);
    let (ranges, title) = line.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let (old_start, old_lines) = range(old)?;
    let (new_start, new_lines) = range(new)?;
    Some(Header {
        old_start,
        old_lines,
        new_start,
        new_lines,
        title: title.trim().chars().filter(|c| !c.is_control()).collect(),
    })
}

fn range(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    match text.split_once(',') {
        Some((start, count)) => Some((number(start)?, number(count)?)),
        None => Some((number(text)?, 1)),
    }
}
