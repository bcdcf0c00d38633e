// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From what `--patch` names to patches in order: the bytes, the messages in
//! them, the diff of each that is a patch, and the series that they make.
//!
//! A message is a patch if it has a diff of its own and is neither an answer
//! nor the letter in front of a series. What answers quote begins with `>` and
//! is no diff; what they propose themselves is left alone.

mod archive;
mod flowed;
mod input;
mod mail;
mod series;
mod subject;
mod unified;

use std::path::{Path, PathBuf};

use super::diff::FileDiff;
use super::error::PatchError;
use mail::Message;
use series::Member;
use subject::Subject;

pub(super) use series::{Patch, Series, missing};

/// The patches of one argument: a path, or `-` for stdin.
pub(super) fn read(argument: &Path) -> Result<Series, PatchError> {
    parse(&input::name_of(argument), &input::read(argument)?)
}

/// The files that a diff names, without the folder in front: both names of each.
pub(crate) fn files_of(diff: &[u8]) -> Result<Vec<PathBuf>, String> {
    let files = unified::parse(diff)
        .map_err(|damage| format!("line {}: {}", damage.line, damage.reason))?;
    let names = files.iter().flat_map(|file| [&file.old, &file.new]);
    let paths = names.flatten().filter_map(|name| name.strip(1));
    Ok(paths.collect())
}

/// The patches of a text, in order.
pub(super) fn parse(name: &str, text: &[u8]) -> Result<Series, PatchError> {
    let found = Found::read(name, text)?;
    if found.members.is_empty() {
        return Err(PatchError::Unreadable {
            name: name.to_owned(),
            reason: found.why_none(),
        });
    }
    series::assemble(name, found)
}

/// What a text was found to have.
#[derive(Default)]
struct Found {
    members: Vec<Member>,
    /// Whether the letter of a series was among the mails.
    letter: bool,
    answers: usize,
    notes: Vec<String>,
}

impl Found {
    fn read(name: &str, text: &[u8]) -> Result<Found, PatchError> {
        let refuse = |reason: String| PatchError::Unreadable {
            name: name.to_owned(),
            reason,
        };
        let mut found = Found::default();
        if mail::is_mailbox(text) || mail::is_mail(text) {
            let mails = match mail::is_mailbox(text) {
                true => mail::split_mailbox(text),
                false => vec![text.to_vec()],
            };
            for (at, mail) in mails.iter().enumerate() {
                let place = match mails.len() {
                    1 => String::new(),
                    _ => format!("mail {}: ", at + 1),
                };
                let message = mail::read(mail).map_err(|e| refuse(place.clone() + &e))?;
                let alone = mails.len() == 1;
                found
                    .add(message, true, alone)
                    .map_err(|e| refuse(place + &e))?;
            }
        } else {
            let messages = archive::split(text);
            let alone = messages.len() == 1;
            for message in messages {
                found.add(message, false, alone).map_err(refuse)?;
            }
        }
        Ok(found)
    }

    /// Takes a message's patch, if it is one. A mailbox has mails of any kind:
    /// damage is one's own only if it says that it is a patch.
    fn add(&mut self, message: Message, mailed: bool, alone: bool) -> Result<(), String> {
        let subject = message.subject.as_ref();
        let is_answer = match subject {
            Some(subject) => subject.reply,
            None => message
                .readings
                .first()
                .is_some_and(|text| archive::begins_as_reply(text)),
        };
        if is_answer {
            self.answers += 1;
            return Ok(());
        }
        if let Some(Subject {
            number: Some((0, _)),
            ..
        }) = subject
        {
            // A page lists the letter of a thread without showing it.
            self.letter |= mailed;
            return Ok(());
        }
        let says_patch = alone || subject.is_none_or(|subject| subject.patch);
        match diffs_of(&message) {
            Ok(files) if files.is_empty() => {}
            Ok(files) => self.members.push(Member {
                subject: message.subject.unwrap_or_default(),
                files,
            }),
            Err(reason) if says_patch => return Err(reason),
            Err(reason) => self.notes.push(format!(
                "left out '{}': {reason}",
                subject
                    .map(|subject| subject.text.as_str())
                    .unwrap_or_default()
            )),
        }
        Ok(())
    }

    fn why_none(&self) -> String {
        let sought = "a unified diff: '--- a/FILE', '+++ b/FILE', '@@ -LINE,COUNT +LINE,COUNT @@'";
        match (self.answers, self.letter) {
            (0, false) => format!("it has no patch in it, which is {sought}"),
            (0, true) => "it is the letter of a series, without its patches".into(),
            (1, _) => "it is an answer, which may quote a patch but is none; give the message that it answers, or save the diff that it proposes as a file".into(),
            (answers, _) => format!("it has {answers} answers, which may quote a patch but are none; give the message that they answer"),
        }
    }
}

/// The diffs of a message, from the first of its readings that has any.
fn diffs_of(message: &Message) -> Result<Vec<FileDiff>, String> {
    let mut first = None;
    for reading in &message.readings {
        match unified::parse(reading) {
            Ok(files) => return Ok(files),
            Err(damage) => first = first.or(Some(damage)),
        }
    }
    let Some(damage) = first else {
        return Ok(Vec::new());
    };
    let line = damage.line.saturating_add(message.lines_before);
    let flowed = match message.flowed {
        true => "; it was sent as format=flowed, in which lines get broken",
        false => "",
    };
    Err(format!("line {line}: {}{flowed}", damage.reason))
}

#[cfg(test)]
mod tests;
