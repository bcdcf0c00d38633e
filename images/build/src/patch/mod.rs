// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Patches as they are posted, put onto a kernel by name.
//!
//! ```text
//! read/    a diff, a mail, a mailbox, a page of an archive → patches in order
//! apply/   those on the files of a kernel, in memory → files, and what moved
//! product  the difference as a diff that applies without fuzz, in the cache
//! ```
//!
//! That diff is one more patch of the kernel, which is then built as any other.
//! Until it is there, whole, nothing of the cache has changed; the source tree
//! is only read. Building runs what the kernel's makefiles say, patched or not:
//! a patch is to be trusted as much as the kernel itself.

mod apply;
mod diff;
mod error;
mod product;
mod read;

use std::path::PathBuf;

pub use error::PatchError;
pub use product::Patched;
pub(crate) use product::patched;

use read::Series;
pub(crate) use read::files_of;

/// Patches in the order in which they are to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchSet {
    series: Vec<Series>,
    notes: Vec<String>,
}

impl PatchSet {
    /// Reads what `--patch` was given: paths, of which one may be `-` for stdin.
    /// Each is a series of its own; their order is kept.
    pub fn read(arguments: &[PathBuf]) -> Result<PatchSet, PatchError> {
        let stdin = arguments.iter().filter(|path| path.as_os_str() == "-");
        if stdin.count() > 1 {
            return Err(PatchError::Unreadable {
                name: "-".into(),
                reason: "stdin can be read once; put all of it into one mailbox".into(),
            });
        }
        let series = arguments.iter().map(|path| read::read(path));
        Ok(PatchSet::of(series.collect::<Result<_, _>>()?))
    }

    fn of(series: Vec<Series>) -> PatchSet {
        let mut notes: Vec<String> = series.iter().flat_map(|s| s.notes.clone()).collect();
        let alone: Vec<(u32, u32)> = series.iter().filter_map(|s| s.alone).collect();
        for series in &series {
            if let Some((n, of)) = series.alone {
                let missing = read::missing(&alone, of);
                if !missing.is_empty() {
                    let missing = missing.join(", ");
                    notes.push(format!(
                        "{}: {n}/{of} alone, without {missing}",
                        series.name
                    ));
                }
            }
        }
        PatchSet { series, notes }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.series.iter().map(|series| series.patches.len()).sum()
    }

    /// Them, in order.
    pub(crate) fn patches(&self) -> impl Iterator<Item = &read::Patch> {
        self.series.iter().flat_map(|series| &series.patches)
    }

    /// What they are called in a kernel's name: `v4.mbox (1 patch)`.
    pub fn label(&self) -> String {
        let names: Vec<&str> = self.series.iter().map(|s| s.name.as_str()).collect();
        let patches = if self.count() == 1 {
            "patch"
        } else {
            "patches"
        };
        format!("{} ({} {patches})", names.join(" + "), self.count())
    }

    /// What was decided in reading them: for the user to see.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}
