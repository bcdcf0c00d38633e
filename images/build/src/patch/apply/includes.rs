// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Hunks that only add `#include` lines. Their context is other includes, which
//! change from release to release, and their place among those hardly matters:
//! where the context is gone, they go beside one of the includes that are left.

use crate::patch::diff::{Hunk, Side};

/// Whether all that a hunk does is to include more.
pub(super) fn only_includes(hunk: &Hunk) -> bool {
    let mut changed = hunk.lines.iter().filter(|line| line.side != Side::Both);
    let is_include = |text: &[u8]| text.starts_with(b"#include ") || text.is_empty();
    changed.all(|line| line.side == Side::New && is_include(&line.text))
}

/// The file with the includes of a hunk, and a note of where they went; `None`
/// if none of the includes around them is there once.
pub(super) fn place(content: &[u8], hunk: &Hunk) -> Option<(Vec<u8>, String)> {
    let mut lines: Vec<&[u8]> = content.split_inclusive(|&byte| byte == b'\n').collect();
    let (at, anchor) = anchor(&lines, hunk)?;
    let has = |text: &[u8]| {
        lines
            .iter()
            .any(|line| line.trim_ascii_end() == text.trim_ascii_end())
    };
    let added: Vec<Vec<u8>> = hunk
        .lines
        .iter()
        .filter(|line| line.side == Side::New && !line.text.is_empty() && !has(&line.text))
        .map(|line| [line.text.as_slice(), b"\n"].concat())
        .collect();
    let shown: Vec<String> = added.iter().map(|line| shown(line)).collect();
    let note = match shown.is_empty() {
        true => "its includes are there already".to_owned(),
        false => format!(
            "{} went beside '{anchor}', to line {}",
            shown.join(", "),
            at + 1
        ),
    };
    lines.splice(at..at, added.iter().map(Vec::as_slice));
    Some((lines.concat(), note))
}

/// Where to insert, and beside what: the nearest include above that the file
/// has once, or else the nearest below.
fn anchor(lines: &[&[u8]], hunk: &Hunk) -> Option<(usize, String)> {
    let first = hunk.lines.iter().position(|line| line.side == Side::New)?;
    let (above, below) = hunk.lines.split_at(first);
    let find = |text: &[u8]| {
        let same = |line: &&&[u8]| line.trim_ascii_end() == text;
        let include = text.starts_with(b"#include ");
        let once = include && lines.iter().filter(|line| same(line)).count() == 1;
        once.then(|| lines.iter().position(|line| same(&line)))?
    };
    let above = above.iter().rev().map(|line| (1, line));
    let below = below
        .iter()
        .filter(|line| line.side == Side::Both)
        .map(|line| (0, line));
    above.chain(below).find_map(|(after, line)| {
        let text = line.text.trim_ascii_end();
        Some((find(text)? + after, shown(text)))
    })
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .trim_end()
        .chars()
        .filter(|c| !c.is_control())
        .take(80)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::diff::HunkLine;

    fn hunk(lines: &[&str]) -> Hunk {
        let line = |text: &&str| HunkLine {
            side: match text.as_bytes()[0] {
                b'+' => Side::New,
                b'-' => Side::Old,
                _ => Side::Both,
            },
            text: text.as_bytes()[1..].to_vec(),
            unended: false,
        };
        Hunk {
            old_start: 1,
            new_start: 1,
            title: String::new(),
            lines: lines.iter().map(line).collect(),
        }
    }

    const ADDS: [&str; 4] = [
        " #include <a.h>",
        " #include <gone.h>",
        "+#include <new.h>",
        " ",
    ];

    fn placed(content: &str, lines: &[&str]) -> Option<String> {
        let (content, _) = place(content.as_bytes(), &hunk(lines))?;
        Some(String::from_utf8(content).unwrap())
    }

    #[test]
    fn an_include_goes_beside_one_that_is_left() {
        let there = "#include <a.h>\n#include <other.h>\n\nint x;\n";
        let expected = "#include <a.h>\n#include <new.h>\n#include <other.h>\n\nint x;\n";
        assert_eq!(placed(there, &ADDS).unwrap(), expected);
        let below = ["+#include <new.h>", " #include <other.h>"];
        assert_eq!(placed(there, &below).unwrap(), expected);
        let (_, note) = place(there.as_bytes(), &hunk(&ADDS)).unwrap();
        assert_eq!(
            note,
            "#include <new.h> went beside '#include <a.h>', to line 2"
        );
    }

    #[test]
    fn an_include_that_is_there_is_not_repeated() {
        let there = "#include <a.h>\n#include <new.h>\n";
        assert_eq!(placed(there, &ADDS).unwrap(), there);
    }

    #[test]
    fn no_place_is_guessed() {
        assert_eq!(placed("#include <b.h>\n", &ADDS), None);
        assert_eq!(placed("#include <a.h>\n#include <a.h>\n", &ADDS), None);
        assert_eq!(placed("int x;\n", &[" int x;", "+#include <new.h>"]), None);
    }

    #[test]
    fn other_changes_are_no_includes() {
        assert!(only_includes(&hunk(&ADDS)));
        assert!(!only_includes(&hunk(&["+int y;"])));
        assert!(!only_includes(&hunk(&[
            "-#include <a.h>",
            "+#include <b.h>"
        ])));
    }
}
