// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Mails and mailboxes: where one ends and the next begins, and the texts of
//! each in the bytes that were sent.

use mailparse::{DispositionType, MailHeaderMap, ParsedMail};

use super::flowed;
use super::subject::Subject;

/// More parts than a mail with patches has.
const MOST_PARTS: usize = 200;

/// A message and what may be its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Its subject; `None` for a text that has none.
    pub(super) subject: Option<Subject>,
    /// Its text as it may have been sent, likeliest first.
    pub(super) readings: Vec<Vec<u8>>,
    /// Whether its sender let a program break lines.
    pub(super) flowed: bool,
    /// How many lines of the file stand before its text, where lines are the
    /// file's own.
    pub(super) lines_before: usize,
}

/// Whether a text begins with the line that begins each mail of a mailbox.
pub(super) fn is_mailbox(text: &[u8]) -> bool {
    text.starts_with(b"From ")
        && text
            .split(|&byte| byte == b'\n')
            .nth(1)
            .is_some_and(is_header)
}

/// Whether a text begins with the headers of a mail.
pub(super) fn is_mail(text: &[u8]) -> bool {
    let head = text
        .split(|&byte| byte == b'\n')
        .map(|line| line.trim_ascii_end());
    let mut head = head.take_while(|line| !line.is_empty()).take(500);
    let is_known = |line: &[u8]| {
        let names = ["from:", "subject:", "date:", "message-id:"];
        names.iter().any(|name| {
            line.get(..name.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(name.as_bytes()))
        })
    };
    let Some(first) = head.next() else {
        return false;
    };
    is_header(first) && (is_known(first) || head.any(is_known))
}

fn is_header(line: &[u8]) -> bool {
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    name.len() < line.len() && !name.is_empty() && name.iter().all(in_name)
}

/// The mails of a mailbox. A line of a text that began with From has got a `>`.
pub(super) fn split_mailbox(text: &[u8]) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
    let mut mails: Vec<Vec<u8>> = Vec::new();
    let mut after_blank = true;
    for (at, line) in lines.iter().enumerate() {
        let next = lines.get(at + 1).copied().unwrap_or_default();
        let begins = after_blank && line.starts_with(b"From ") && is_header(next.trim_ascii_end());
        after_blank = line.trim_ascii().is_empty();
        match mails.last_mut() {
            _ if begins => mails.push(Vec::new()),
            Some(mail) => mail.extend_from_slice(unquote_from(line)),
            None => {}
        }
    }
    mails
}

fn unquote_from(line: &[u8]) -> &[u8] {
    let quoted = line.iter().position(|&byte| byte != b'>').unwrap_or(0);
    match line
        .get(quoted..)
        .is_some_and(|rest| rest.starts_with(b"From "))
    {
        true => line.strip_prefix(b">").unwrap_or(line),
        false => line,
    }
}

/// A mail's subject and texts, or why there are none.
pub(super) fn read(mail: &[u8]) -> Result<Message, String> {
    let parsed = mailparse::parse_mail(mail).map_err(|e| format!("it is no mail: {e}"))?;
    let subject = parsed
        .headers
        .get_first_value("Subject")
        .unwrap_or_default();
    let mut texts = Texts::default();
    texts.add(&parsed)?;
    if texts.readings.is_empty() && texts.html {
        return Err("the mail is HTML alone; take the message as plain text".into());
    }
    Ok(Message {
        subject: Some(Subject::parse(&subject)),
        readings: texts.readings,
        flowed: texts.flowed,
        lines_before: 0,
    })
}

/// The texts of a mail's parts, one behind the other.
#[derive(Default)]
struct Texts {
    readings: Vec<Vec<u8>>,
    flowed: bool,
    html: bool,
    parts: usize,
}

impl Texts {
    fn add(&mut self, part: &ParsedMail) -> Result<(), String> {
        if !part.subparts.is_empty() {
            return part.subparts.iter().try_for_each(|part| self.add(part));
        }
        self.parts += 1;
        if self.parts > MOST_PARTS {
            return Err(format!("the mail has more than {MOST_PARTS} parts"));
        }
        self.html |= part.ctype.mimetype == "text/html";
        if !is_text(part) {
            return Ok(());
        }
        let body = body_of(part)?;
        let parameter = |name: &str| {
            part.ctype
                .params
                .get(name)
                .map(|value| value.to_lowercase())
        };
        let readings = match parameter("format").as_deref() == Some("flowed") {
            true => {
                self.flowed = true;
                flowed::readings(&body, parameter("delsp").as_deref() == Some("yes"))
            }
            false => vec![body],
        };
        self.append(readings);
        Ok(())
    }

    /// Parts of which one has several readings: each with all that came before.
    fn append(&mut self, readings: Vec<Vec<u8>>) {
        let count = self.readings.len().max(readings.len());
        let all = (0..count).map(|at| {
            let mut text = pick(&self.readings, at).to_vec();
            text.extend_from_slice(pick(&readings, at));
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            text
        });
        self.readings = all.collect();
    }
}

fn pick(readings: &[Vec<u8>], at: usize) -> &[u8] {
    let reading = readings.get(at).or(readings.last());
    reading.map(Vec::as_slice).unwrap_or_default()
}

/// Whether a part may have a patch in it.
fn is_text(part: &ParsedMail) -> bool {
    let kind = part.ctype.mimetype.as_str();
    if matches!(
        kind,
        "text/plain" | "text/x-patch" | "text/x-diff" | "application/x-patch"
    ) {
        return true;
    }
    let disposition = part.get_content_disposition();
    let name = disposition
        .params
        .get("filename")
        .or(part.ctype.params.get("name"));
    let attached = disposition.disposition != DispositionType::Inline;
    attached && name.is_some_and(|name| name.ends_with(".patch") || name.ends_with(".diff"))
}

/// The bytes of a part; a charset other than UTF-8 becomes that, as the kernel's
/// files are.
fn body_of(part: &ParsedMail) -> Result<Vec<u8>, String> {
    let charset = part.ctype.charset.to_ascii_lowercase();
    let body = match charset.as_str() {
        "utf-8" | "utf8" | "us-ascii" | "ascii" => part.get_body_raw(),
        _ => part.get_body().map(String::into_bytes),
    };
    match body {
        Ok(body) => Ok(without_returns(body)),
        Err(error) => Err(format!(
            "its encoding is damaged: {error}; take the message as it was sent"
        )),
    }
}

/// The lines of a mail end in two characters, and some keep both.
fn without_returns(text: Vec<u8>) -> Vec<u8> {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    let mut plain = Vec::with_capacity(text.len());
    for line in lines {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                plain.extend_from_slice(line);
                plain.push(b'\n');
            }
            None if line.ends_with(b"\n") => return text,
            None => plain.extend_from_slice(line),
        }
    }
    plain
}

#[cfg(test)]
mod tests;
