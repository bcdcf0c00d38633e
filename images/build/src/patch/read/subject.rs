// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a subject line says about a message: `Re: [PATCH RFC v4 1/3] block: x`.

/// A subject, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subject {
    /// All of it.
    pub(super) text: String,
    /// What is left without marks.
    pub(super) title: String,
    /// Whether it is an answer.
    pub(super) reply: bool,
    /// Whether a bracket says that it is a patch.
    pub(super) patch: bool,
    /// Which version of a series: the fourth is (4, 0), and v4.1 is (4, 1).
    pub(super) version: (u32, u32),
    /// Which member of how many; the letter in front is number 0.
    pub(super) number: Option<(u32, u32)>,
}

/// What mail programs put in front of answers.
const REPLY: [&str; 5] = ["re:", "aw:", "sv:", "antw:", "antwort:"];

impl Subject {
    pub(super) fn parse(line: &str) -> Subject {
        let text: String = line
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        let mut subject = Subject {
            version: (1, 0),
            ..Subject::default()
        };
        let mut rest = text.as_str();
        loop {
            rest = rest.trim_start();
            if let Some(after) = strip_reply(rest) {
                subject.reply = true;
                rest = after;
            } else if let Some((bracket, after)) =
                rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            {
                subject.read_bracket(bracket);
                rest = after;
            } else {
                break;
            }
        }
        subject.title = rest.trim().to_owned();
        subject.text = text;
        subject
    }

    fn read_bracket(&mut self, bracket: &str) {
        for word in bracket.split([' ', ',', ':']) {
            let upper = word.to_ascii_uppercase();
            // [PATCHv4] is written as well.
            let (word, is_patch) = match upper.strip_prefix("PATCH") {
                Some(after) => (after, true),
                None => (upper.as_str(), upper == "RFC"),
            };
            self.patch |= is_patch;
            if let Some(version) = version_of(word) {
                self.version = version;
            }
            if let Some((n, of)) = word.split_once('/')
                && let (Ok(n), Ok(of)) = (n.parse(), of.parse())
            {
                self.number = Some((n, of));
            }
        }
    }
}

fn strip_reply(text: &str) -> Option<&str> {
    let colon = text.find(':')?;
    let (word, rest) = text.split_at_checked(colon + 1)?;
    // Re[2]: counts how often.
    let word = match word.split_once('[') {
        Some((word, _)) => format!("{word}:"),
        None => word.to_owned(),
    };
    REPLY
        .contains(&word.to_ascii_lowercase().as_str())
        .then_some(rest)
}

/// `V4` or `V4.1`.
fn version_of(word: &str) -> Option<(u32, u32)> {
    let number = word.strip_prefix('V')?;
    match number.split_once('.') {
        Some((major, minor)) => Some((major.parse().ok()?, minor.parse().ok()?)),
        None => Some((number.parse().ok()?, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_whatever_their_order() {
        for marks in [
            "[PATCH RFC v4 1/3]",
            "[RFC PATCH net-next v4 1/3]",
            "[RFC][PATCH 1/3 v4]",
            "[patch V4 01/03]",
            "[PATCHv4 1/3]",
            "[linux-block] [PATCH,v4,1/3]",
        ] {
            let text = format!("{marks} block: do: it [now]");
            let expected = Subject {
                title: "block: do: it [now]".into(),
                reply: false,
                patch: true,
                version: (4, 0),
                number: Some((1, 3)),
                text: text.clone(),
            };
            assert_eq!(Subject::parse(&text), expected);
        }
        assert_eq!(Subject::parse("[PATCH v4.1] x").version, (4, 1));
    }

    #[test]
    fn what_no_mark_says_is_the_first_version_alone() {
        let plain = Subject::parse(" [PATCH]\n x");
        assert!(plain.patch && !plain.reply);
        assert_eq!((plain.version, plain.number), ((1, 0), None));
        assert_eq!(
            (plain.text.as_str(), plain.title.as_str()),
            ("[PATCH] x", "x")
        );
        assert!(!Subject::parse("x [PATCH 1/2]").patch);
    }

    #[test]
    fn replies_are_told_from_titles_with_a_colon() {
        for reply in [
            "Re: [PATCH] x",
            "RE: x",
            "Re[2]: x",
            "Aw: Re: x",
            "[list] Re: [PATCH] x",
        ] {
            assert!(Subject::parse(reply).reply, "{reply}");
        }
        for patch in [
            "[PATCH] re-add: x",
            "Revert: x",
            "block: Re: x",
            "[PATCH]",
            "",
            "[",
            "[:",
            "\u{e9}:",
        ] {
            assert!(!Subject::parse(patch).reply, "{patch}");
        }
    }
}
