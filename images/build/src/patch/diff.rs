// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a patch is once it has been read: files, and the hunks of each.

use std::io::Write;
use std::path::{Component, Path, PathBuf};

/// What happens to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileDiff {
    /// Its name before; `None` if the patch makes it.
    pub(crate) old: Option<Name>,
    /// Its name after; `None` if the patch removes it.
    pub(crate) new: Option<Name>,
    /// How the one becomes the other.
    pub(crate) change: Change,
    /// The id of git's blob that it was made from, perhaps shortened.
    pub(crate) blob: Option<String>,
    /// The new mode, if the patch sets one.
    pub(crate) mode: Option<String>,
    /// In the order of the file.
    pub(crate) hunks: Vec<Hunk>,
}

/// What kind of change a file undergoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Its content alone; or it is made or removed, if it has one name only.
    Content,
    /// The old name goes.
    Rename,
    /// The old name stays as it is.
    Copy,
}

/// One place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hunk {
    /// The first line of the original that it is about, from 1.
    pub(crate) old_start: u32,
    /// The same afterwards.
    pub(crate) new_start: u32,
    /// What stands behind the second `@@`, perhaps nothing.
    pub(crate) title: String,
    /// Its lines.
    pub(crate) lines: Vec<HunkLine>,
}

/// A line of a hunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HunkLine {
    /// Where it is.
    pub(crate) side: Side,
    /// Its text without the mark and the line's end.
    pub(crate) text: Vec<u8>,
    /// Whether the file ends with it and no newline.
    pub(crate) unended: bool,
}

/// Which version of the file has a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Context.
    Both,
    /// Removed.
    Old,
    /// Added.
    New,
}

impl Side {
    fn mark(self) -> u8 {
        match self {
            Side::Both => b' ',
            Side::Old => b'-',
            Side::New => b'+',
        }
    }
}

impl Hunk {
    /// The lines that one version of the file has.
    pub(crate) fn side(&self, side: Side) -> impl Iterator<Item = &HunkLine> {
        let has = move |line: &&HunkLine| line.side == side || line.side == Side::Both;
        self.lines.iter().filter(has)
    }

    /// Lines of context before the first change and after the last.
    pub(crate) fn context(&self) -> (usize, usize) {
        let both = |line: &&HunkLine| line.side == Side::Both;
        let before = self.lines.iter().take_while(both).count();
        let after = self.lines.iter().rev().take_while(both).count();
        (before, after)
    }

    /// `@@ -1,3 +1,4 @@ title`.
    pub(crate) fn header(&self) -> String {
        let old = self.side(Side::Old).count();
        let new = self.side(Side::New).count();
        let (start, to) = (self.old_start, self.new_start);
        let header = format!("@@ -{start},{old} +{to},{new} @@ {}", self.title);
        header.trim_end().to_owned()
    }

    /// As it stands in a unified diff.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _ = writeln!(out, "{}", self.header());
        for line in &self.lines {
            out.push(line.side.mark());
            out.extend_from_slice(&line.text);
            out.push(b'\n');
            if line.unended {
                out.extend_from_slice(b"\\ No newline at end of file\n");
            }
        }
    }
}

impl FileDiff {
    /// The name to call it by: the new one if it has one.
    pub(crate) fn name(&self) -> String {
        let name = self.new.as_ref().or(self.old.as_ref());
        name.map(|name| name.display(0)).unwrap_or_default()
    }
}

/// A longer name is none of a file of Linux.
const LONGEST_NAME: usize = 1024;

/// A file's name as a patch has it, with the folder in front that diff(1) was
/// run on; it stays in the folder that it is taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// A name that leads nowhere else, or why it is none.
    pub(crate) fn new(text: &[u8]) -> Result<Name, String> {
        let shown = String::from_utf8_lossy(text).escape_debug().to_string();
        let shown: String = shown.chars().take(80).collect();
        let refuse = |reason: &str| Err(format!("the file name '{shown}' {reason}"));
        let Ok(text) = std::str::from_utf8(text) else {
            return refuse("is not UTF-8");
        };
        if text.is_empty() || text.len() > LONGEST_NAME {
            return refuse("is empty, or longer than any of Linux");
        }
        if text.starts_with('"') || text.contains(|c: char| c.is_control() || c == '\\') {
            return refuse("has characters that no file of Linux has");
        }
        if text.starts_with('/') {
            return refuse("is absolute; it has to begin in the kernel's source");
        }
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !text.split('/').all(plain) {
            return refuse(
                "has a part that is '.', '..' or empty, and so may lead out of the source",
            );
        }
        if text.split('/').any(|part| part == ".git") {
            return refuse("is git's own");
        }
        Ok(Name(text.to_owned()))
    }

    /// The name without so many folders in front, if something is left.
    pub(crate) fn strip(&self, folders: usize) -> Option<PathBuf> {
        let path: PathBuf = Path::new(&self.0).components().skip(folders).collect();
        let inside = path.components().all(|c| matches!(c, Component::Normal(_)));
        (inside && !path.as_os_str().is_empty()).then_some(path)
    }

    /// Whether one letter stands in front, as git puts it there.
    pub(crate) fn has_prefix(&self) -> bool {
        matches!(self.0.as_bytes(), [letter, b'/', ..] if letter.is_ascii_alphanumeric())
    }

    fn display(&self, folders: usize) -> String {
        let folders = if self.has_prefix() { 1 } else { folders };
        let path = self.strip(folders).unwrap_or_default();
        path.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_of_the_source_are_none() {
        for (name, said) in [
            ("a/../../etc/passwd", "lead out"),
            ("../x", "lead out"),
            ("a//etc/passwd", "lead out"),
            ("a/./x", "lead out"),
            ("a/x/", "lead out"),
            ("/etc/passwd", "absolute"),
            ("", "empty"),
            ("a/.git/hooks/post-checkout", "git's own"),
            ("\"a/\\303\"", "characters"),
            ("a/x\ny", "characters"),
            ("a/x\0", "characters"),
        ] {
            let error = Name::new(name.as_bytes()).unwrap_err();
            assert!(error.contains(said), "{name}: {error}");
        }
        assert!(Name::new(b"a/\xff").unwrap_err().contains("UTF-8"));
        assert!(Name::new(&[b'a'; 2000]).unwrap_err().contains("longer"));
    }

    #[test]
    fn a_name_is_stripped_of_the_folders_in_front() {
        let name = Name::new(b"b/block/bio.c").unwrap();
        assert_eq!(name.strip(1), Some(PathBuf::from("block/bio.c")));
        assert_eq!(name.strip(0), Some(PathBuf::from("b/block/bio.c")));
        assert_eq!(name.strip(3), None);
        assert!(name.has_prefix());
        assert!(!Name::new(b"block/bio.c").unwrap().has_prefix());
    }
}
