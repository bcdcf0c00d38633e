// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One source tree a version, switched between the kernels made from it.
//!
//! ```text
//! linux/7.2/source/     the tree, in the state of the kernel built last
//! linux/7.2/touched     the names of all files that any patch has touched
//! linux/7.2/pristine/   their originals, of those that Linux itself has
//! linux/7.2/origin      where the source came from, with its exact version
//! linux/7.2/build-KEY/  objects, one folder a configuration
//! linux/7.2/lock        held by the process that builds
//! ```
//!
//! Switching rewrites only the files that differ, so that make sees only them
//! as new. Patches are applied in a temporary folder first: a patch that fails
//! changes nothing, and a switch that was cut short is put right by the next,
//! which compares the content of every file again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cache::{self, Lock};
use crate::error::{Error, io_error};
use crate::progress::Progress;
use crate::source::Sources;

/// What a source tree takes with what it is unpacked from, in bytes.
const SOURCE_SPACE: u64 = 2_500 << 20;

/// The source tree of one version, held by this process.
pub(crate) struct Tree {
    version: String,
    folder: PathBuf,
    origin: String,
    _lock: Lock,
}

impl Tree {
    /// Where the source of a version came from, if it is there: the tree is
    /// not held, since that never changes.
    pub(crate) fn known_origin(
        cache_dir: &Path,
        sources: &Sources,
        version: &str,
    ) -> Result<Option<String>, Error> {
        let folder = cache_dir.join("linux").join(sources.folder_name(version)?);
        if !folder.join("source").is_dir() {
            return Ok(None);
        }
        let origin = read_optional(&folder.join("origin"))?;
        Ok(origin.map(|origin| String::from_utf8_lossy(&origin).into_owned()))
    }

    /// The tree of a version, fetched if it is not there.
    pub(crate) fn open(
        cache_dir: &Path,
        sources: &Sources,
        version: &str,
        progress: &mut dyn Progress,
    ) -> Result<Tree, Error> {
        let folder = cache_dir.join("linux").join(sources.folder_name(version)?);
        let lock = Lock::take(&folder.join("lock"), || {
            progress.begin(&format!("wait for another build of Linux {version}"), None);
        })?;
        // Nobody else works here.
        cache::remove_unfinished(&folder, Duration::ZERO)?;
        let source = folder.join("source");
        let origin_file = folder.join("origin");
        if !source.is_dir() {
            cache::require_space(&folder, SOURCE_SPACE)?;
            let staged = cache::staging(&source)?;
            let log = folder.join("fetch.log");
            let origin = sources.fetch(version, staged.path(), &log, progress)?;
            cache::write_whole(&origin_file, origin.as_bytes())?;
            cache::publish(staged, &source)?;
        }
        let origin = fs::read_to_string(&origin_file).map_err(io_error("read", &origin_file))?;
        Ok(Tree {
            version: version.to_owned(),
            folder,
            origin,
            _lock: lock,
        })
    }

    /// The tree itself.
    pub(crate) fn source(&self) -> PathBuf {
        self.folder.join("source")
    }

    /// Where the source came from, with its exact version.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The objects of one configuration.
    pub(crate) fn build_dir(&self, config_key: &str) -> PathBuf {
        self.folder.join(format!("build-{config_key}"))
    }

    /// Brings the tree into the state that the patches make.
    pub(crate) fn switch_to(&self, patches: &[PathBuf]) -> Result<(), Error> {
        let patched = self.patched(patches)?;
        for file in self.touched()? {
            let wanted = match patched.get(&file) {
                Some(content) => content.clone(),
                None => self.pristine(&file)?,
            };
            put(&self.source().join(&file), wanted.as_deref())?;
        }
        Ok(())
    }

    /// The files that the patches touch, as they are afterwards; `None` for one
    /// that the patches remove. Their originals are kept as pristine before.
    pub(crate) fn patched(
        &self,
        patches: &[PathBuf],
    ) -> Result<BTreeMap<PathBuf, Option<Vec<u8>>>, Error> {
        let scratch =
            tempfile::tempdir().map_err(io_error("create a folder in", &std::env::temp_dir()))?;
        let mut touched = BTreeSet::new();
        for patch in patches {
            let text = fs::read(patch).map_err(io_error("read", patch))?;
            let files = crate::patch::files_of(&text).map_err(|output| Error::Patch {
                patch: patch.to_owned(),
                version: self.version.clone(),
                output,
            })?;
            for file in files {
                if touched.insert(file.clone()) {
                    put(
                        &scratch.path().join(&file),
                        self.pristine(&file)?.as_deref(),
                    )?;
                }
            }
            self.run_patch(patch, scratch.path())?;
        }
        let read = |file: PathBuf| Ok((file.clone(), read_optional(&scratch.path().join(&file))?));
        touched.into_iter().map(read).collect()
    }

    /// Every file that a patch has ever touched.
    fn touched(&self) -> Result<BTreeSet<PathBuf>, Error> {
        let names = read_optional(&self.folder.join("touched"))?.unwrap_or_default();
        let names = String::from_utf8_lossy(&names);
        Ok(names.lines().map(PathBuf::from).collect())
    }

    /// A file as it was before any patch, or `None` if Linux itself has no such
    /// file; kept from the first time that a patch touches it.
    fn pristine(&self, file: &Path) -> Result<Option<Vec<u8>>, Error> {
        let kept = self.folder.join("pristine").join(file);
        let mut touched = self.touched()?;
        if touched.contains(file) {
            return read_optional(&kept);
        }
        let content = read_optional(&self.source().join(file))?;
        if let Some(content) = &content {
            cache::write_whole(&kept, content)?;
        }
        touched.insert(file.to_owned());
        let names: Vec<String> = touched
            .iter()
            .map(|name| name.display().to_string())
            .collect();
        cache::write_whole(&self.folder.join("touched"), names.join("\n").as_bytes())?;
        Ok(content)
    }

    /// A file as it was before any patch, to be read alone: nothing is kept.
    pub(crate) fn original(&self, file: &Path) -> Result<Option<Vec<u8>>, Error> {
        match self.touched()?.contains(file) {
            true => read_optional(&self.folder.join("pristine").join(file)),
            false => read_optional(&self.source().join(file)),
        }
    }

    fn run_patch(&self, patch: &Path, folder: &Path) -> Result<(), Error> {
        let output = Command::new("patch")
            .args([
                "-p1",
                "--force",
                "--no-backup-if-mismatch",
                "--fuzz=0",
                "-i",
            ])
            .arg(patch)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => Error::MissingProgram {
                    program: "patch".into(),
                    package: "patch".into(),
                },
                _ => io_error("run patch on", patch)(source),
            })?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Patch {
            patch: patch.to_owned(),
            version: self.version.clone(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
        })
    }
}

fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io_error("read", path)(e)),
    }
}

/// Makes a file have this content, or be absent, and leaves it alone if so.
fn put(path: &Path, content: Option<&[u8]>) -> Result<(), Error> {
    let present = read_optional(path)?;
    if present.as_deref() == content {
        return Ok(());
    }
    match content {
        Some(content) => cache::write_whole(path, content),
        None => fs::remove_file(path).map_err(io_error("remove", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    const ORIGINAL: &str = "one\ntwo\nthree\n";

    fn tree(folder: &Path) -> Tree {
        let source = folder.join("linux/9.9/source/block");
        fs::create_dir_all(&source).unwrap();
        fs::write(source.join("bio.c"), ORIGINAL).unwrap();
        fs::write(source.join("other.c"), ORIGINAL).unwrap();
        fs::write(folder.join("linux/9.9/origin"), "test").unwrap();
        open(folder)
    }

    fn open(folder: &Path) -> Tree {
        let sources = Sources {
            local: None,
            kernel_org: "http://127.0.0.1:1".into(),
        };
        Tree::open(folder, &sources, "9.9", &mut Silent).unwrap()
    }

    fn patch(folder: &Path, name: &str, file: &str, from: &str, to: &str) -> PathBuf {
        let path = folder.join(name);
        let text = format!(
            "Subject: x\n---\n--- a/block/{file}\n+++ b/block/{file}\n@@ -1,3 +1,3 @@\n one\n-{from}\n+{to}\n three\n"
        );
        fs::write(&path, text).unwrap();
        path
    }

    fn content(tree: &Tree, file: &str) -> String {
        fs::read_to_string(tree.source().join("block").join(file)).unwrap()
    }

    #[test]
    fn a_tree_switches_forth_and_back() {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        let a = patch(folder.path(), "a.patch", "bio.c", "two", "2");
        let b = patch(folder.path(), "b.patch", "bio.c", "2", "zwei");
        tree.switch_to(&[a.clone(), b]).unwrap();
        assert_eq!(content(&tree, "bio.c"), "one\nzwei\nthree\n");
        tree.switch_to(&[a]).unwrap();
        assert_eq!(content(&tree, "bio.c"), "one\n2\nthree\n");
        tree.switch_to(&[]).unwrap();
        assert_eq!(content(&tree, "bio.c"), ORIGINAL);
    }

    #[test]
    fn files_that_stay_the_same_keep_their_time() {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        let a = patch(folder.path(), "a.patch", "bio.c", "two", "2");
        let b = patch(folder.path(), "b.patch", "other.c", "two", "2");
        tree.switch_to(std::slice::from_ref(&a)).unwrap();
        let path = tree.source().join("block/bio.c");
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        tree.switch_to(&[a, b]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn a_patch_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        let good = patch(folder.path(), "a.patch", "other.c", "two", "2");
        let bad = patch(folder.path(), "b.patch", "bio.c", "nowhere", "2");
        let error = tree.switch_to(&[good, bad]).unwrap_err().to_string();
        assert!(
            error.contains("b.patch") && error.contains("FAILED"),
            "{error}"
        );
        assert_eq!(content(&tree, "bio.c"), ORIGINAL);
        assert_eq!(content(&tree, "other.c"), ORIGINAL);
    }

    #[test]
    fn a_switch_that_was_cut_short_is_put_right_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let first = tree(folder.path());
        let both = [
            patch(folder.path(), "a.patch", "bio.c", "two", "2"),
            patch(folder.path(), "b.patch", "other.c", "two", "2"),
        ];
        first.switch_to(&both).unwrap();
        // As if killed between the first file and the second, and in the midst
        // of a fetch.
        fs::write(first.source().join("block/bio.c"), ORIGINAL).unwrap();
        let unfinished = folder.path().join("linux/9.9/.new-killed");
        fs::create_dir(&unfinished).unwrap();
        drop(first);
        let second = open(folder.path());
        assert!(!unfinished.exists());
        second.switch_to(&both).unwrap();
        assert_eq!(content(&second, "bio.c"), "one\n2\nthree\n");
        second.switch_to(&[]).unwrap();
        assert_eq!(content(&second, "other.c"), ORIGINAL);
    }

    #[test]
    fn a_file_that_a_patch_added_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        let adds = folder.path().join("add.patch");
        fs::write(
            &adds,
            "--- /dev/null\n+++ b/block/new.c\n@@ -0,0 +1 @@\n+int new;\n",
        )
        .unwrap();
        tree.switch_to(&[adds]).unwrap();
        assert_eq!(content(&tree, "new.c"), "int new;\n");
        tree.switch_to(&[]).unwrap();
        assert!(!tree.source().join("block/new.c").exists());
    }

    #[test]
    fn patches_cannot_name_files_outside() {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        let outside = patch(folder.path(), "a.patch", "../../bio.c", "two", "2");
        let error = tree.switch_to(&[outside]).unwrap_err().to_string();
        assert!(
            error.contains("a.patch") && error.contains("lead out"),
            "{error}"
        );
    }

    #[test]
    fn lines_of_hunks_that_look_like_names_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        let path = folder.path().join("a.patch");
        let text = "--- a/block/new.sql\n+++ b/block/new.sql\n@@ -0,0 +1 @@\n+++ b/block\n";
        fs::write(&path, text).unwrap();
        tree.switch_to(&[path]).unwrap();
        assert_eq!(content(&tree, "new.sql"), "++ b/block\n");
    }
}
