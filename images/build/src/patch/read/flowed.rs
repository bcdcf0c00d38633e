// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What may have been sent as a format=flowed text (RFC 3676). A program that
//! follows the standard has put a blank before each line that began with one,
//! and broken long lines behind a blank; others have only said so.

/// Shorter lines were not broken by a program: their blank is their own.
const SHORTEST_BROKEN: usize = 60;

/// What the text may be, likeliest first.
pub(super) fn readings(text: &[u8], delete_blank: bool) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    let lone = |line: &&[u8]| matches!(line, [b' ', next, ..] if !b" \r".contains(next));
    if lines.iter().any(lone) {
        return vec![text.to_vec(), join(&lines, delete_blank)];
    }
    let plain: Vec<&[u8]> = lines
        .iter()
        .map(|line| line.strip_prefix(b" ").unwrap_or(line))
        .collect();
    vec![
        plain.join(&b'\n'),
        join(&plain, delete_blank),
        text.to_vec(),
    ]
}

fn join(lines: &[&[u8]], delete_blank: bool) -> Vec<u8> {
    let mut joined = Vec::new();
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let broken = line.ends_with(b" ") && line.len() >= SHORTEST_BROKEN;
        match line.strip_suffix(b" ") {
            Some(kept) if broken && delete_blank => joined.extend_from_slice(kept),
            _ => joined.extend_from_slice(line),
        }
        if !broken {
            joined.push(b'\n');
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n one\n \n-two\n+2\n";

    #[test]
    fn a_blank_before_each_context_line_goes() {
        let stuffed = DIFF.replace("\n ", "\n  ");
        assert_eq!(readings(stuffed.as_bytes(), false)[0], DIFF.as_bytes());
    }

    #[test]
    fn a_text_that_only_says_so_stays_as_it_is() {
        assert_eq!(readings(DIFF.as_bytes(), false)[0], DIFF.as_bytes());
    }

    #[test]
    fn broken_lines_are_joined_and_short_ones_are_not() {
        let long = "x".repeat(59);
        let broken = format!("+{long} \nrest\n one\n+short \n");
        let with = |blank: &str| format!("+{long}{blank}rest\n one\n+short \n\n").into_bytes();
        assert_eq!(readings(broken.as_bytes(), false)[1], with(" "));
        assert_eq!(readings(broken.as_bytes(), true)[1], with(""));
    }
}
