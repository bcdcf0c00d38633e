// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Posted patches of a run: applied before the build, kept with the results.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use irqstorm_images::{Images, KernelChoice, PatchSet, Patched};

use crate::failure::{Failure, io_failure};
use crate::process::option;
use crate::progress::Stages;
use crate::results::Folder;

/// In the results folder: what the patches changed of the kernel.
const KEPT: &str = "posted.patch";

/// The kernel with the patches, if there are any; what was decided is told.
pub(crate) fn apply(
    images: &Images,
    kernel: &KernelChoice,
    patches: &PatchSet,
    stages: &mut Stages,
) -> Result<Option<Patched>, Failure> {
    if patches.count() == 0 {
        return Ok(None);
    }
    let patched = images.patch(kernel, patches, stages)?;
    stages.end();
    for note in &patched.notes {
        stages.note(note);
    }
    Ok(Some(patched))
}

/// Writes the difference to the results, with the notes above it.
pub(crate) fn keep(patched: &Patched, folder: &Folder) -> Result<(), Failure> {
    let diff = std::fs::read(&patched.diff).map_err(io_failure("read", &patched.diff))?;
    let mut text = String::new();
    for note in &patched.notes {
        text += &format!("# {note}\n");
    }
    let mut text = text.into_bytes();
    text.extend_from_slice(&diff);
    folder.write(KEPT, &text)
}

/// The arguments that apply the same again: what came by stdin is gone, and
/// stands for itself in the results.
pub(crate) fn arguments(patches: &[PathBuf], results: &Path) -> Vec<OsString> {
    let all = if patches.iter().any(|patch| patch.as_os_str() == "-") {
        vec![results.join(KEPT)]
    } else {
        patches.to_vec()
    };
    let words = all.into_iter().map(|patch| option("--patch", patch));
    words.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_by_stdin_is_applied_again_from_the_results() {
        let results = Path::new("/results/1");
        let files = arguments(&["a.diff".into(), "b.mbox".into()], results);
        assert_eq!(files, ["--patch", "a.diff", "--patch", "b.mbox"]);
        let stdin = arguments(&["a.diff".into(), "-".into()], results);
        assert_eq!(stdin, ["--patch", "/results/1/posted.patch"]);
        assert!(arguments(&[], results).is_empty());
    }
}
