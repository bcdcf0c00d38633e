// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Patches onto the files of a kernel. All happens in memory: what has been
//! read of the kernel, and what patches made of it.
//!
//! A file's hunks are tried as maintainers' tools do: all exactly, if elsewhere;
//! then by a merge with the version that the patch was made from, where git has
//! that; then with up to two lines of context gone at either end. Only hunks
//! that merely add `#include` lines may lose all of it: see `includes`.

mod explain;
pub(crate) mod gnu;
mod includes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::diff::{Change, FileDiff, Name};
use super::error::PatchError;
use super::read::Patch;
use crate::error::Error;
use gnu::{Match, Moved};

/// Lines of context at each end that need not match.
const MOST_FUZZ: usize = 2;

/// The files of a kernel.
pub(crate) trait Base {
    /// A file's content; `None` if there is none. The reason of a refusal is for
    /// names that are no file's.
    fn read(&self, file: &Path) -> Result<Result<Option<Vec<u8>>, String>, Error>;

    /// Whether there is such a folder.
    fn has_folder(&self, folder: &Path) -> bool;

    /// The version of a file that git knows by this id, or why there is none.
    fn blob(&self, id: &str) -> Result<Vec<u8>, String>;
}

/// A kernel's files with patches on them.
pub(crate) struct Overlay<'a> {
    base: &'a dyn Base,
    /// What to call the kernel in errors.
    kernel: String,
    /// What patches touched, as it is now.
    files: BTreeMap<PathBuf, Option<Vec<u8>>>,
    notes: Vec<String>,
}

/// Why a file could not be changed.
enum Trouble {
    Machine(Error),
    Misfit { file: String, reason: String },
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Machine(error)
    }
}

fn misfit<T>(file: &Path, reason: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Misfit {
        file: file.display().to_string(),
        reason: reason.into(),
    })
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a dyn Base, kernel: String) -> Overlay<'a> {
        Overlay {
            base,
            kernel,
            files: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    /// Where hunks went if not where they said.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The files that patches have touched, as they are now.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Path, Option<&[u8]>)> {
        let files = self.files.iter();
        files.map(|(path, content)| (path.as_path(), content.as_deref()))
    }

    /// Applies a patch; after an error the overlay is of no use.
    pub(crate) fn apply(&mut self, patch: &Patch) -> Result<(), Error> {
        for file in &patch.files {
            self.apply_file(file).map_err(|trouble| match trouble {
                Trouble::Machine(error) => error,
                Trouble::Misfit { file, reason } => PatchError::DoesNotApply {
                    patch: patch.title.clone(),
                    kernel: self.kernel.clone(),
                    file,
                    reason,
                }
                .into(),
            })?;
        }
        Ok(())
    }

    fn apply_file(&mut self, diff: &FileDiff) -> Result<(), Trouble> {
        match (&diff.old, &diff.new) {
            (Some(old), Some(new)) if diff.change != Change::Content => {
                self.relocate(diff, old, new)
            }
            (Some(_), Some(_)) => self.change(diff),
            (None, Some(new)) => self.make(diff, new),
            (Some(old), None) => self.remove(diff, old),
            // Reading refuses a file without a name.
            (None, None) => Ok(()),
        }
    }

    fn change(&mut self, diff: &FileDiff) -> Result<(), Trouble> {
        let names = [diff.new.as_ref(), diff.old.as_ref()];
        let Some((path, content)) = self.find(names.into_iter().flatten())? else {
            // diff -N writes no /dev/null for a file that was not there.
            let makes = !diff.hunks.is_empty()
                && diff
                    .hunks
                    .iter()
                    .all(|hunk| hunk.side(super::diff::Side::Old).next().is_none());
            return match &diff.new {
                Some(new) if makes => self.make(diff, new),
                _ => misfit(Path::new(&diff.name()), "the kernel has no such file"),
            };
        };
        self.note_mode(diff, &path);
        let content = self.fit(&path, &content, diff)?;
        self.files.insert(path, Some(content));
        Ok(())
    }

    fn make(&mut self, diff: &FileDiff, name: &Name) -> Result<(), Trouble> {
        let path = self.path_of_new(name);
        if diff.hunks.is_empty() {
            return misfit(
                &path,
                "the patch makes an empty file, which is not supported",
            );
        }
        let content = gnu::patch(&[], &diff.hunks, Match::Fuzz(0))?.content;
        match self.read(&path)? {
            None => {}
            Some(there) if there == content => {
                return misfit(&path, "the kernel has this file already");
            }
            Some(_) => {
                return misfit(
                    &path,
                    "the patch makes it, and the kernel has one of that name",
                );
            }
        }
        self.note_mode(diff, &path);
        self.files.insert(path, Some(content));
        Ok(())
    }

    fn remove(&mut self, diff: &FileDiff, name: &Name) -> Result<(), Trouble> {
        let Some((path, content)) = self.find([name].into_iter())? else {
            return misfit(
                Path::new(&diff.name()),
                "the patch removes it, and the kernel has no such file",
            );
        };
        let left = self.fit(&path, &content, diff)?;
        if !left.is_empty() {
            return misfit(
                &path,
                "the patch removes it, and the kernel's has more in it than the patch knows",
            );
        }
        self.files.insert(path, None);
        Ok(())
    }

    fn relocate(&mut self, diff: &FileDiff, old: &Name, new: &Name) -> Result<(), Trouble> {
        let Some((from, content)) = self.find([old].into_iter())? else {
            return misfit(
                Path::new(&diff.name()),
                "the patch moves or copies it, and the kernel has none of the old name",
            );
        };
        let to = self.path_of_new(new);
        if self.read(&to)?.is_some() {
            return misfit(
                &to,
                "the patch moves or copies a file to it, and the kernel has one of that name",
            );
        }
        let content = self.fit(&from, &content, diff)?;
        if diff.change == Change::Rename {
            self.files.insert(from, None);
        }
        self.note_mode(diff, &to);
        self.files.insert(to, Some(content));
        Ok(())
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Trouble> {
        match self.files.get(path) {
            Some(content) => Ok(content.clone()),
            None => self.base.read(path)?.or_else(|reason| misfit(path, reason)),
        }
    }

    /// The file of one of these names, with the folder in front that diff(1) was
    /// run on or without.
    fn find<'n>(
        &self,
        names: impl Iterator<Item = &'n Name> + Clone,
    ) -> Result<Option<(PathBuf, Vec<u8>)>, Trouble> {
        for folders in [1, 0] {
            for path in names.clone().filter_map(|name| name.strip(folders)) {
                if let Some(content) = self.read(&path)? {
                    return Ok(Some((path, content)));
                }
            }
        }
        Ok(None)
    }

    /// Where a new file goes: the first part of its name is git's, or that of a
    /// folder that diff(1) was run on, unless the kernel has such a folder.
    fn path_of_new(&self, name: &Name) -> PathBuf {
        let whole = name.strip(0).unwrap_or_default();
        let first = whole
            .components()
            .next()
            .map(|part| PathBuf::from(part.as_os_str()));
        let of_kernel = first.is_some_and(|first| self.base.has_folder(&first));
        match name.strip(1) {
            Some(rest) if name.has_prefix() || !of_kernel => rest,
            _ => whole,
        }
    }

    /// The file with its hunks applied.
    fn fit(&mut self, path: &Path, content: &[u8], diff: &FileDiff) -> Result<Vec<u8>, Trouble> {
        let hunks = &diff.hunks;
        if hunks.is_empty() {
            return Ok(content.to_vec());
        }
        let exact = gnu::patch(content, hunks, Match::Fuzz(0))?;
        if exact.failed.is_empty() {
            self.note_moved(path, hunks.len(), &exact.moved, &[]);
            return Ok(exact.content);
        }
        let no_merge = match self.merge(content, diff)? {
            Ok(merged) => {
                self.note(path, "merged with the version that the patch was made from");
                return Ok(merged);
            }
            Err(reason) => reason,
        };
        let context = hunks
            .iter()
            .map(|hunk| hunk.context().0.max(hunk.context().1));
        // A hunk keeps a line of context: without, it fits everywhere.
        let fuzz = context.min().unwrap_or(0).saturating_sub(1).min(MOST_FUZZ);
        let mut fuzzy = gnu::patch(content, hunks, Match::Fuzz(fuzz))?;
        let mut placed = Vec::new();
        fuzzy.failed.retain(|&number| {
            let hunk = number.checked_sub(1).and_then(|at| hunks.get(at));
            let include = hunk.filter(|hunk| includes::only_includes(hunk));
            match include.and_then(|hunk| includes::place(&fuzzy.content, hunk)) {
                Some((with, note)) => {
                    fuzzy.content = with;
                    placed.push(format!("hunk {number} lost its context; {note}"));
                    false
                }
                None => true,
            }
        });
        if fuzzy.failed.is_empty() {
            self.note_moved(path, hunks.len(), &fuzzy.moved, &placed);
            return Ok(fuzzy.content);
        }
        let reason = explain::explain(content, hunks, &fuzzy)?;
        misfit(path, format!("{reason}\n    ({no_merge})"))
    }

    /// The merge of the kernel's file and the patched one that the patch was
    /// made from, or why there is none.
    fn merge(&self, content: &[u8], diff: &FileDiff) -> Result<Result<Vec<u8>, String>, Error> {
        let Some(id) = &diff.blob else {
            return Ok(Err(
                "no merge either: the patch does not name the version that it was made from".into(),
            ));
        };
        let base = match self.base.blob(id) {
            Ok(base) => base,
            Err(reason) => return Ok(Err(format!("no merge either: {reason}"))),
        };
        let theirs = gnu::patch(&base, &diff.hunks, Match::Fuzz(0))?;
        if !theirs.failed.is_empty() {
            return Ok(Err(format!(
                "no merge either: the patch does not fit blob {id}"
            )));
        }
        let merged = gnu::merge(content, &base, &theirs.content)?;
        Ok(merged.ok_or_else(|| format!("a merge with blob {id} has conflicts")))
    }

    fn note(&mut self, path: &Path, note: &str) {
        self.notes.push(format!("{}: {note}", path.display()));
    }

    fn note_mode(&mut self, diff: &FileDiff, path: &Path) {
        if diff.mode.as_deref() == Some("100755") {
            self.note(path, "that it is executable is not kept");
        }
    }

    fn note_moved(&mut self, path: &Path, of: usize, moved: &[Moved], more: &[String]) {
        let mut parts = more.to_vec();
        parts.extend(moved.iter().map(|moved| {
            let Moved {
                hunk,
                line,
                offset,
                fuzz,
            } = moved;
            let fuzz = match fuzz {
                0 => String::new(),
                _ => format!(", without {fuzz} of its lines of context at either end"),
            };
            format!("hunk {hunk} of {of} went to line {line} ({offset:+}){fuzz}")
        }));
        if !parts.is_empty() {
            self.note(path, &parts.join("; "));
        }
    }
}

#[cfg(test)]
mod tests;
