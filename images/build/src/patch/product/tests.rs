// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use super::*;
use crate::progress::Silent;
use crate::source::Sources;

const BIO: &str = "one\ntwo\nthree\nfour\nfive\n";

/// A cache with the source of Linux 9.9 and a kernel of it with a patch of its
/// own, that makes 2 of two.
struct Place {
    folder: tempfile::TempDir,
    images: Images,
    spec: KernelSpec,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let version = folder.path().join("cache/linux/9.9");
        fs::create_dir_all(version.join("source/block")).unwrap();
        fs::write(version.join("source/block/bio.c"), BIO).unwrap();
        fs::write(version.join("origin"), "test 9.9.1").unwrap();
        let own = folder.path().join("own.patch");
        fs::write(&own, change("two", "2")).unwrap();
        let images = Images {
            cache_dir: folder.path().join("cache"),
            kernels: folder.path().to_owned(),
            sources: Sources {
                local: None,
                kernel_org: "http://127.0.0.1:1".into(),
            },
        };
        let spec = KernelSpec {
            name: "9.9+own".into(),
            description: "a kernel".into(),
            version: "9.9".into(),
            config: Vec::new(),
            patches: vec![own],
            variants: Vec::new(),
            mutant: None,
        };
        Place {
            folder,
            images,
            spec,
        }
    }

    fn posted(&self, text: &str) -> PatchSet {
        let path = self.folder.path().join("v4.mbox");
        fs::write(&path, text).unwrap();
        PatchSet::read(&[path]).unwrap()
    }

    fn patched(&self, text: &str) -> Result<Patched, Error> {
        let choice = KernelChoice::Named(self.spec.clone());
        self.images.patch(&choice, &self.posted(text), &mut Silent)
    }

    fn tree(&self) -> Tree {
        let cache = &self.images.cache_dir;
        Tree::open(cache, &self.images.sources, "9.9", &mut Silent).unwrap()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.images.cache_dir.join(folder));
        let entries = entries.into_iter().flatten();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

/// A diff of block/bio.c around the line that changes.
fn change(from: &str, to: &str) -> String {
    format!("--- a/block/bio.c\n+++ b/block/bio.c\n@@ -1,3 +1,3 @@\n one\n-{from}\n+{to}\n three\n")
}

fn spec_of(patched: &Patched) -> &KernelSpec {
    match &patched.kernel {
        KernelChoice::Named(spec) => spec,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_patched_kernel_is_the_kernel_with_one_more_patch() {
    let place = Place::new();
    let patched = place.patched(&change("2", "zwei")).unwrap();
    let spec = spec_of(&patched);
    assert_eq!(spec.name, "9.9+own + v4.mbox (1 patch)");
    assert_eq!(
        spec.patches,
        [place.spec.patches[0].clone(), patched.diff.clone()]
    );
    assert_eq!(patched.notes, [""; 0]);
    let tree = place.tree();
    tree.switch_to(&spec.patches).unwrap();
    let bio = fs::read_to_string(tree.source().join("block/bio.c")).unwrap();
    assert_eq!(bio, BIO.replace("two", "zwei"));
    tree.switch_to(&[]).unwrap();
    assert_eq!(
        fs::read_to_string(tree.source().join("block/bio.c")).unwrap(),
        BIO
    );
}

#[test]
fn files_that_a_patch_makes_and_removes_come_and_go_with_it() {
    let place = Place::new();
    let text = "--- /dev/null\n+++ b/block/new.c\n@@ -0,0 +1 @@\n+int new;\n\
                \\ No newline at end of file\n\
                --- a/block/bio.c\n+++ /dev/null\n@@ -1,5 +0,0 @@\n-one\n-2\n-three\n-four\n-five\n";
    let patched = place.patched(text).unwrap();
    let tree = place.tree();
    tree.switch_to(&spec_of(&patched).patches).unwrap();
    let new = tree.source().join("block/new.c");
    assert_eq!(fs::read_to_string(&new).unwrap(), "int new;");
    assert!(!tree.source().join("block/bio.c").exists());
    tree.switch_to(&[]).unwrap();
    assert!(!new.exists());
    assert_eq!(
        fs::read_to_string(tree.source().join("block/bio.c")).unwrap(),
        BIO
    );
}

#[test]
fn the_same_patch_is_applied_once_while_others_build() {
    let place = Place::new();
    let first = place.patched(&change("2", "zwei")).unwrap();
    // Held by another build: the second must not wait for it.
    let _held = place.tree();
    assert_eq!(place.patched(&change("2", "zwei")).unwrap(), first);
    assert_eq!(place.names("patched").len(), 1);
}

#[test]
fn other_patches_and_other_kernels_are_other_products() {
    let mut place = Place::new();
    let first = place.patched(&change("2", "zwei")).unwrap();
    let other = place.patched(&change("2", "deux")).unwrap();
    assert_ne!(first.diff, other.diff);
    place.spec.patches.clear();
    let plain = place.patched(&change("two", "zwei")).unwrap();
    assert_ne!(plain.diff, first.diff);
    assert_eq!(place.names("patched").len(), 3);
}

#[test]
fn a_patch_that_fails_changes_nothing_in_the_cache() {
    let place = Place::new();
    place.patched(&change("2", "zwei")).unwrap();
    let before = (place.names("patched"), place.names("linux/9.9/pristine"));
    let new = "--- /dev/null\n+++ b/block/new.c\n@@ -0,0 +1 @@\n+int new;\n";
    let error = place
        .patched(&(new.to_owned() + &change("nowhere", "x")))
        .unwrap_err();
    assert!(
        error.to_string().contains("9.9+own (test 9.9.1)"),
        "{error}"
    );
    assert_eq!(
        (place.names("patched"), place.names("linux/9.9/pristine")),
        before
    );
    let tree = place.tree();
    assert!(!tree.source().join("block/new.c").exists());
    let touched = fs::read_to_string(place.images.cache_dir.join("linux/9.9/touched")).unwrap();
    assert_eq!(touched, "block/bio.c");
}

#[test]
fn a_product_that_a_killed_process_left_unfinished_is_none() {
    let place = Place::new();
    let half = place.images.cache_dir.join("patched/.new-killed");
    fs::create_dir_all(&half).unwrap();
    fs::write(half.join(DIFF), "half").unwrap();
    let patched = place.patched(&change("2", "zwei")).unwrap();
    assert!(fs::read_to_string(patched.diff).unwrap().contains("+zwei"));
}

#[test]
fn a_series_that_undoes_itself_is_refused() {
    let place = Place::new();
    let error = place
        .patched(&(change("2", "3") + &change("3", "2")))
        .unwrap_err();
    assert!(error.to_string().contains("change nothing"), "{error}");
}

#[test]
fn links_and_folders_of_the_source_are_no_files() {
    let place = Place::new();
    let source = place.images.cache_dir.join("linux/9.9/source");
    let outside = place.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("bio.c"), BIO).unwrap();
    std::os::unix::fs::symlink(&outside, source.join("link")).unwrap();
    std::os::unix::fs::symlink(outside.join("bio.c"), source.join("block/link.c")).unwrap();
    for (name, said) in [
        ("link/bio.c", "link is a symbolic link"),
        ("block/link.c", "block/link.c is a symbolic link"),
        ("block", "block is no file"),
        ("block/bio.c/x", "block/bio.c is no folder"),
    ] {
        for text in [
            change("two", "zwei").replace("block/bio.c", name),
            format!("--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+x\n"),
        ] {
            let error = place.patched(&text).unwrap_err().to_string();
            assert!(error.contains(said), "{name}: {error}");
        }
    }
    assert_eq!(fs::read_to_string(outside.join("bio.c")).unwrap(), BIO);
}

#[test]
fn a_tree_of_the_users_is_not_patched() {
    let place = Place::new();
    let choice = KernelChoice::Tree("/home/me/linux".into());
    let set = place.posted(&change("two", "zwei"));
    let error = place.images.patch(&choice, &set, &mut Silent).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("patch /home/me/linux: only kernels by name"),
        "{error}"
    );
}

#[test]
fn git_of_the_users_own_source_has_the_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        let output = git
            .arg("-C")
            .arg(folder.path())
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q"]);
    fs::write(folder.path().join("x"), "blob\n").unwrap();
    let id = git(&["hash-object", "-w", "x"]);
    let place = Place::new();
    let tree = place.tree();
    let base = |git| TreeBase {
        tree: &tree,
        patched: BTreeMap::new(),
        git,
    };
    assert_eq!(
        base(Some(folder.path())).blob(&id[..12]).unwrap(),
        b"blob\n"
    );
    let error = base(Some(folder.path())).blob("0123456789ab").unwrap_err();
    assert!(error.contains("has no blob"), "{error}");
    let error = base(None).blob(&id).unwrap_err();
    assert!(error.contains("without git's objects"), "{error}");
}
