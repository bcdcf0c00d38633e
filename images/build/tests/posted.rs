// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Posted patches from outside: whatever a file holds, nobody panics, and
//! nothing is written but products in the cache that are whole.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use irqstorm_images::{Images, KernelChoice, KernelSpec, PatchSet, Patched, Silent};
use proptest::prelude::*;

/// A cache with the source of Linux 9.9, and files around it that are nobody's
/// to touch.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("cache/linux/9.9/source/block/bio.c", source()),
            ("cache/linux/9.9/source/Makefile", "all:\n".into()),
            ("cache/linux/9.9/origin", "test 9.9.1".into()),
            ("cache/secret", "kept\n".into()),
            ("secret", "kept\n".into()),
            ("images/kernels/README.md", String::new()),
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        std::os::unix::fs::symlink(
            "../../../..",
            folder.path().join("cache/linux/9.9/source/up"),
        )
        .unwrap();
        Place { folder }
    }

    /// The kernel with what is in a file, or why not.
    fn patched(&self, posted: &[u8]) -> Result<Patched, String> {
        let path = self.folder.path().join("posted");
        fs::write(&path, posted).unwrap();
        let set = PatchSet::read(&[path]).map_err(|error| error.to_string())?;
        let images = Images::new(&self.folder.path().join("cache"), self.folder.path());
        let spec = KernelSpec {
            name: "9.9".into(),
            description: String::new(),
            version: "9.9".into(),
            config: Vec::new(),
            patches: Vec::new(),
            variants: Vec::new(),
            mutant: None,
        };
        let patched = images.patch(&KernelChoice::Named(spec), &set, &mut Silent);
        patched.map_err(|error| error.to_string())
    }

    /// Every file there is, but the products, the lock and what was posted.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.folder.path(), &mut files);
        files.retain(|path, _| {
            let path = path.strip_prefix(self.folder.path()).unwrap();
            path != Path::new("posted")
                && path != Path::new("cache/linux/9.9/lock")
                && !path.starts_with("cache/patched")
        });
        files
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            collect(&path, files);
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            files.insert(path, target.into_os_string().into_encoded_bytes());
        } else {
            let content = fs::read(&path).unwrap();
            files.insert(path, content);
        }
    }
}

fn source() -> String {
    (1..40).map(|n| format!("int f{n}(void);\n")).collect()
}

const DIFF: &str = "diff --git a/block/bio.c b/block/bio.c\nindex 0123abcd..4567ef01 100644\n\
    --- a/block/bio.c\n+++ b/block/bio.c\n@@ -10,4 +10,5 @@ int f9(void);\n int f10(void);\n\
    -int f11(void);\n+long f11(void);\n+long f0(void);\n int f12(void);\n int f13(void);\n\
    diff --git a/block/new.c b/block/new.c\nnew file mode 100644\n--- /dev/null\n\
    +++ b/block/new.c\n@@ -0,0 +1,2 @@\n+int new;\n+int newer;\n";

/// Posts of all forms, to be damaged.
fn posts() -> Vec<String> {
    let mail = |n, body: &str, headers: &str| {
        format!(
            "From 0123abc Mon Sep 17 00:00:00 2001\nFrom: A B <a@example.org>\n\
             Subject: [PATCH v2 {n}/2] block: x\n{headers}\nIt is so.\n---\n{body}-- \n2.39.5\n\n"
        )
    };
    let flowed = "Content-Type: text/plain; charset=utf-8; format=flowed\n";
    let quoted = "Content-Type: text/plain; charset=iso-8859-1\n\
                  Content-Transfer-Encoding: quoted-printable\n";
    let parts = "Content-Type: multipart/mixed; boundary=cut\n\n--cut\nContent-Type: text/plain\n";
    let (first, second) = DIFF.split_at(DIFF.find("diff --git a/block/new.c").unwrap());
    vec![
        DIFF.to_owned(),
        mail(1, first, "") + &mail(2, second, ""),
        mail(1, &first.replace("\n ", "\n  "), flowed) + &mail(2, second, quoted),
        mail(2, DIFF, parts) + &mail(1, DIFF, ""),
        format!(
            "[PATCH v2 1/2] block: x\nPosted by A B\n{DIFF}Re: [PATCH v2 1/2] block: x\n> {DIFF}"
        ),
    ]
}

/// What damages a post: words that matter, in place of what is there.
fn damage() -> impl Strategy<Value = (usize, usize, Vec<u8>)> {
    let words = prop_oneof![
        Just(b"../../../secret".to_vec()),
        Just(b"/etc/passwd".to_vec()),
        Just(b"/dev/null".to_vec()),
        Just(b"up/secret".to_vec()),
        Just(
            b"\n--- a/up/cache/secret\n+++ b/up/cache/secret\n@@ -1 +1 @@\n-kept\n+lost\n".to_vec()
        ),
        Just(b"\nrename from block/bio.c\nrename to up/x\n".to_vec()),
        Just(b"\nnew file mode 120000\n".to_vec()),
        Just(b"\ndeleted file mode 100644\n".to_vec()),
        Just(b"4294967295".to_vec()),
        Just(b"\n@@ -1,2 +1,2 @@\n".to_vec()),
        Just(b"\nFrom x y\nSubject: [PATCH 2/2] x\n\n".to_vec()),
        Just(b"Content-Transfer-Encoding: base64\n".to_vec()),
        Just(b"Content-Type: multipart/mixed; boundary=\"--\"\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..8),
    ];
    (any::<usize>(), 0_usize..40, words)
}

fn damaged(text: &str, damages: &[(usize, usize, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (at, length, word) in damages {
        let at = at % (bytes.len() + 1);
        let end = at.saturating_add(*length).min(bytes.len());
        bytes.splice(at..end, word.iter().copied());
    }
    bytes
}

#[test]
fn every_form_is_applied_as_long_as_it_is_whole() {
    let place = Place::new();
    let posts = posts();
    for post in [&posts[0], &posts[1], &posts[2], &posts[4]] {
        let patched = place.patched(post.as_bytes()).unwrap();
        let diff = fs::read_to_string(patched.diff).unwrap();
        assert!(
            diff.contains("+long f0(void);") && diff.contains("+int newer;"),
            "{diff}"
        );
    }
}

#[test]
fn every_patch_of_the_project_is_one_that_can_be_posted() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let images = Images::new(Path::new("/nonexistent"), &repository);
    let kernels = images.list().unwrap();
    let patches: BTreeSet<PathBuf> = kernels.into_iter().flat_map(|spec| spec.patches).collect();
    assert!(patches.len() > 40);
    for patch in patches {
        assert_eq!(PatchSet::read(&[patch]).unwrap().count(), 1);
    }
}

proptest! {
    #[test]
    fn damage_neither_panics_nor_writes_elsewhere(
        post in 0_usize..5,
        damages in proptest::collection::vec(damage(), 1..4),
    ) {
        let place = Place::new();
        let before = place.files();
        let outcome = place.patched(&damaged(&posts()[post], &damages));
        prop_assert_eq!(place.files(), before);
        let products: Vec<PathBuf> = fs::read_dir(place.folder.path().join("cache/patched"))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect();
        match outcome {
            Ok(patched) => prop_assert_eq!(products, [patched.diff.parent().unwrap()]),
            Err(error) => {
                prop_assert_eq!(products.len(), 0);
                prop_assert!(error.len() > 10 && !error.contains('\0'), "{}", error);
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let place = Place::new();
        let before = place.files();
        prop_assert!(place.patched(&bytes).is_err());
        prop_assert_eq!(place.files(), before);
    }
}
