// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The patches of one argument in the order in which they are to be applied,
//! or what is missing or too much.

use std::collections::BTreeSet;

use super::Found;
use super::subject::Subject;
use crate::patch::diff::FileDiff;
use crate::patch::error::PatchError;

/// A longer series is none.
const MOST_MEMBERS: u32 = 2_000;

/// A message that is a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Empty for a text that has none.
    pub(super) subject: Subject,
    /// What it changes.
    pub(super) files: Vec<FileDiff>,
}

/// The patches of one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// What to call it.
    pub(crate) name: String,
    /// In order.
    pub(crate) patches: Vec<Patch>,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
    /// Which of how many its one patch is, if the others are not there.
    pub(crate) alone: Option<(u32, u32)>,
}

/// One patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    /// Its subject, or what the argument is called.
    pub(crate) title: String,
    /// What it changes.
    pub(crate) files: Vec<FileDiff>,
}

pub(super) fn assemble(name: &str, found: Found) -> Result<Series, PatchError> {
    let refuse = |reason| PatchError::Series {
        name: name.to_owned(),
        reason,
    };
    let mut notes = found.notes;
    let mut members = newest(found.members, &mut notes).map_err(refuse)?;
    drop_copies(&mut members);
    let alone = order(&mut members, found.letter).map_err(refuse)?;
    let patch = |member: Member| Patch {
        title: match member.subject.text {
            text if text.is_empty() => name.to_owned(),
            text => text,
        },
        files: member.files,
    };
    Ok(Series {
        name: name.to_owned(),
        patches: members.into_iter().map(patch).collect(),
        notes: notes
            .into_iter()
            .map(|note| format!("{name}: {note}"))
            .collect(),
        alone,
    })
}

/// Those of the newest version. Patches without numbers are of one series only
/// if their titles say so.
fn newest(mut members: Vec<Member>, notes: &mut Vec<String>) -> Result<Vec<Member>, String> {
    let versions: BTreeSet<_> = members.iter().map(|m| m.subject.version).collect();
    let (Some(&newest), true) = (versions.last(), versions.len() > 1) else {
        return Ok(members);
    };
    let shown: Vec<String> = versions.iter().map(|v| version(*v)).collect();
    let shown = shown.join(", ");
    let again = |old: &Member| {
        let same = |new: &Member| new.subject.title == old.subject.title;
        let mut new = members.iter().filter(|new| new.subject.version == newest);
        old.subject.number.is_some() || new.any(same)
    };
    if let Some(other) = members.iter().find(|member| !again(member)) {
        return Err(format!(
            "it has versions {shown}, and '{}' is not in the last of them; give what you mean \
             as a file of its own",
            other.subject.text
        ));
    }
    notes.push(format!(
        "it has versions {shown}; {} is taken",
        version(newest)
    ));
    members.retain(|member| member.subject.version == newest);
    Ok(members)
}

fn version((major, minor): (u32, u32)) -> String {
    match minor {
        0 => format!("v{major}"),
        _ => format!("v{major}.{minor}"),
    }
}

/// A mail that came twice, by way of a list and directly.
fn drop_copies(members: &mut Vec<Member>) {
    let mut kept: Vec<Member> = Vec::new();
    for member in members.drain(..) {
        let copy = |other: &Member| {
            let key = |m: &Member| (m.subject.number, m.subject.title.clone());
            !member.subject.text.is_empty()
                && key(other) == key(&member)
                && other.files == member.files
        };
        if !kept.iter().any(copy) {
            kept.push(member);
        }
    }
    *members = kept;
}

/// Sorts by number; a patch that stands alone is taken alone, and its number
/// returned, unless the letter of its series is there without the rest.
fn order(members: &mut [Member], letter: bool) -> Result<Option<(u32, u32)>, String> {
    let numbers: Vec<(u32, u32)> = members.iter().filter_map(|m| m.subject.number).collect();
    let Some(&(_, of)) = numbers.first() else {
        return Ok(None);
    };
    if let Some(other) = members.iter().find(|m| m.subject.number.is_none()) {
        return Err(format!(
            "'{}' has no number and the others have; give them as files, each with --patch",
            other.subject.text
        ));
    }
    if let Some((n, other)) = numbers.iter().find(|(_, other)| *other != of) {
        return Err(format!(
            "there is a series of {of} and one of {other} ({n}/{other}); give each as a file"
        ));
    }
    if of > MOST_MEMBERS {
        return Err(format!("no series has {of} patches"));
    }
    members.sort_by_key(|member| member.subject.number);
    for pair in members.windows(2) {
        if let [one, other] = pair
            && one.subject.number == other.subject.number
        {
            return Err(format!(
                "there are two patches of one number, '{}' and '{}'; give the one that you mean",
                one.subject.text, other.subject.text
            ));
        }
    }
    if let Some((n, _)) = numbers.iter().find(|(n, _)| *n > of) {
        return Err(format!("there is a patch {n} of {of}"));
    }
    let missing = missing(&numbers, of);
    match (missing.is_empty(), members.len() == 1 && !letter) {
        (true, _) => Ok(None),
        (false, true) => Ok(numbers.first().copied()),
        (false, false) => Err(format!(
            "{} of the series {} missing; add what is missing, or give the patches that you \
             want as files, each with --patch",
            missing.join(", "),
            if missing.len() == 1 { "is" } else { "are" }
        )),
    }
}

/// The numbers of a series that are not there, as `2/3`.
pub(crate) fn missing(numbers: &[(u32, u32)], of: u32) -> Vec<String> {
    (1..=of)
        .filter(|n| !numbers.contains(&(*n, of)))
        .map(|n| format!("{n}/{of}"))
        .collect()
}
