// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Why a hunk does not fit: where it was tried, and what is there instead.

use std::fmt::Write;

use super::gnu::{self, Match, Outcome};
use crate::error::Error;
use crate::patch::diff::{Hunk, Side};

/// Comparisons of lines that the search for the nearest place may take.
const MOST_COMPARED: usize = 20_000_000;

/// Lines of either side that are shown.
const SHOWN: usize = 8;

/// The reason for the first hunk that failed, and how many others did.
pub(super) fn explain(content: &[u8], hunks: &[Hunk], outcome: &Outcome) -> Result<String, Error> {
    let all = hunks.len();
    // One that leaves nothing could be undone anywhere.
    let leaves = hunks
        .iter()
        .all(|hunk| hunk.side(Side::New).next().is_some());
    if leaves && all_fit(content, &reversed(hunks), Match::Fuzz(0))? {
        return Ok("the kernel has this change already".into());
    }
    let (Some(&number), failed) = (outcome.failed.first(), outcome.failed.len()) else {
        return Ok("it does not fit".into());
    };
    let Some(hunk) = number.checked_sub(1).and_then(|at| hunks.get(at)) else {
        return Ok("it does not fit".into());
    };
    let moved = outcome.moved.iter().rev().find(|moved| moved.hunk < number);
    let offset = moved.map_or(0, |moved| moved.offset);
    let wanted = i64::from(hunk.old_start).saturating_add(offset).max(1);
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let mut text = format!("hunk {number} of {all}, {}, does not fit", hunk.header());
    if failed > 1 {
        let _ = write!(text, " ({} more do not either)", failed - 1);
    }
    if all_fit(content, hunks, Match::AnySpace)? {
        text += "; it would but for white space: what it came by has changed that, so take the \
                 message as it was sent ('raw' in an archive)";
        return Ok(text);
    }
    let _ = write!(
        text,
        "; it was tried at line {wanted} and then everywhere. "
    );
    text += &nearest(content, hunk, wanted);
    Ok(text)
}

fn all_fit(content: &[u8], hunks: &[Hunk], how: Match) -> Result<bool, Error> {
    Ok(gnu::patch(content, hunks, how)?.failed.is_empty())
}

/// The hunks that undo these.
fn reversed(hunks: &[Hunk]) -> Vec<Hunk> {
    let mut hunks = hunks.to_vec();
    for hunk in &mut hunks {
        std::mem::swap(&mut hunk.old_start, &mut hunk.new_start);
        for line in &mut hunk.lines {
            line.side = match line.side {
                Side::Both => Side::Both,
                Side::Old => Side::New,
                Side::New => Side::Old,
            };
        }
    }
    hunks
}

/// What stands at the place that is most like the hunk's, from the line before
/// the first that differs.
fn nearest(content: &[u8], hunk: &Hunk, wanted: usize) -> String {
    let lines: Vec<&[u8]> = content.split(|&byte| byte == b'\n').collect();
    let old = hunk.side(Side::Old).map(|line| line.text.as_slice());
    let old: Vec<&[u8]> = old.collect();
    let (best, alike) = most_alike(&lines, &old, wanted.saturating_sub(1));
    let there = lines.get(best..).unwrap_or_default();
    let differs = old.iter().zip(there).position(|(one, other)| one != other);
    let from = differs
        .unwrap_or(old.len().min(there.len()))
        .saturating_sub(1);
    let mut text = format!(
        "Most like its place is line {}, with {alike} of its {} lines. It expects there\n",
        best + 1,
        old.len()
    );
    for line in old.iter().skip(from).take(SHOWN) {
        let _ = writeln!(text, "        {}", shown(line));
    }
    text += "    and the kernel has\n";
    let there = there.iter().take(old.len()).enumerate().skip(from);
    for (at, line) in there.take(SHOWN) {
        let _ = writeln!(text, "  {:>5} {}", best + at + 1, shown(line));
    }
    text.trim_end().to_owned()
}

/// The place where most lines are the same, of several the nearest to the one
/// wanted, and how many are.
fn most_alike(lines: &[&[u8]], old: &[&[u8]], wanted: usize) -> (usize, usize) {
    let alike = |at: usize| {
        let there = lines.get(at..).unwrap_or_default();
        let pairs = there.iter().zip(old);
        pairs.filter(|(one, other)| one == other).count()
    };
    let wanted = wanted.min(lines.len().saturating_sub(1));
    let reach = MOST_COMPARED / old.len().max(1);
    let all = wanted.saturating_sub(reach)..wanted.saturating_add(reach).min(lines.len());
    let all = all.map(|at| (alike(at), std::cmp::Reverse(at.abs_diff(wanted)), at));
    let best = all.max();
    best.map_or((wanted, 0), |(alike, _, at)| (at, alike))
}

fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line).replace('\t', "    ");
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}
