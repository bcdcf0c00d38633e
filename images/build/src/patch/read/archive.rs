// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Texts that are no mail: a diff, a patch without its headers, or a page of a
//! web archive, on which messages follow one another under their subjects.

use super::mail::Message;
use super::subject::Subject;

/// The messages of a text; what stands above the first subject is one as well.
pub(super) fn split(text: &[u8]) -> Vec<Message> {
    let mut messages = vec![message(None, 0)];
    for (at, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if let Some(subject) = heading(line) {
            messages.push(message(Some(subject), at + 1));
        } else if let Some(reading) = messages.last_mut().and_then(|m| m.readings.first_mut()) {
            reading.extend_from_slice(line);
        }
    }
    messages
}

fn message(subject: Option<Subject>, lines_before: usize) -> Message {
    Message {
        subject,
        readings: vec![Vec::new()],
        flowed: false,
        lines_before,
    }
}

/// A subject on a line of its own. No line of a hunk looks so: those begin with
/// a blank or a sign.
fn heading(line: &[u8]) -> Option<Subject> {
    if line.first().is_none_or(|first| b" +-@\\>".contains(first)) {
        return None;
    }
    let line = String::from_utf8_lossy(line);
    let line = line.trim();
    let named = ["Subject:", "subject:", "Subject\t"];
    let named = named.iter().find_map(|name| line.strip_prefix(name));
    // An archive's list of a thread has a mark.
    let subject = Subject::parse(named.unwrap_or(line.trim_start_matches(['*', '#', ' '])));
    (named.is_some() || subject.patch).then_some(subject)
}

/// Whether a text without a subject begins as an answer does.
pub(super) fn begins_as_reply(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&text[..text.len().min(4096)]);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).take(6);
    lines.any(|line| line.starts_with('>') || line.trim_end().ends_with("wrote:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(text: &str) -> Vec<String> {
        let messages = split(text.as_bytes());
        let subjects = messages.into_iter().filter_map(|message| message.subject);
        subjects.map(|subject| subject.text).collect()
    }

    #[test]
    fn messages_begin_with_their_subjects() {
        let page = "[PATCH v2 1/2] block: x\nPosted by A B 2 days ago\ndiff\n\
                    Re: [PATCH v2 1/2] block: x\nPosted by C D 1 day ago\n> diff\n\
                    * [PATCH v2 2/2] block: y\nSubject: a question\n";
        assert_eq!(
            subjects(page),
            [
                "[PATCH v2 1/2] block: x",
                "Re: [PATCH v2 1/2] block: x",
                "[PATCH v2 2/2] block: y",
                "a question"
            ]
        );
    }

    #[test]
    fn lines_of_hunks_quotes_and_text_are_no_subjects() {
        let text = " [PATCH] a\n+[PATCH] b\n-[PATCH] c\n> [PATCH] d\n[1] https://x\nRe: what\n";
        assert_eq!(subjects(text), [""; 0]);
    }

    #[test]
    fn each_message_knows_where_it_begins() {
        let messages = split(b"one\n[PATCH] a\ntwo\nthree\n");
        assert_eq!(messages[1].lines_before, 2);
        assert_eq!(messages[1].readings, [b"two\nthree\n"]);
    }

    #[test]
    fn an_answer_without_a_subject_is_known_by_its_beginning() {
        assert!(begins_as_reply(b"\nOn Monday, A B wrote:\n> x\n"));
        assert!(begins_as_reply(b"> diff --git a/x b/x\n"));
        assert!(!begins_as_reply(b"diff --git a/x b/x\n"));
    }
}
