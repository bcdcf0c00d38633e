// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use super::*;
use crate::patch::read;

/// A kernel of two files, perhaps with a blob.
#[derive(Default)]
struct Kernel {
    files: BTreeMap<&'static str, String>,
    blob: Option<String>,
}

impl Base for Kernel {
    fn read(&self, file: &Path) -> Result<Result<Option<Vec<u8>>, String>, Error> {
        let name = file.to_str().unwrap();
        if name == "link" {
            return Ok(Err("link is a symbolic link".into()));
        }
        Ok(Ok(self
            .files
            .get(name)
            .map(|text| text.clone().into_bytes())))
    }

    fn has_folder(&self, folder: &Path) -> bool {
        folder == Path::new("block")
    }

    fn blob(&self, id: &str) -> Result<Vec<u8>, String> {
        let blob = self.blob.clone().filter(|_| id == "0123abc");
        blob.map(String::into_bytes)
            .ok_or_else(|| "there are no objects".into())
    }
}

const INCLUDES: &str = "#include <a.h>\n#include <b.h>\n\n";

/// `first`, then functions `f1` to `f9` of four lines each.
fn source(first: &str) -> String {
    let function = |n| format!("int f{n}(void)\n{{\n\treturn {n};\n}}\n");
    first.to_owned() + &(1..10).map(function).collect::<String>()
}

fn kernel(bio: &str) -> Kernel {
    let files = [("block/bio.c", bio.to_owned()), ("README", "read\n".into())];
    Kernel {
        files: files.into(),
        blob: None,
    }
}

/// The diff between two versions of block/bio.c.
fn diff(old: &str, new: &str) -> String {
    let text = gnu::diff("block/bio.c", Some(old.as_bytes()), Some(new.as_bytes()));
    String::from_utf8(text.unwrap()).unwrap()
}

/// The files and notes after a patch, or the error.
fn apply(
    kernel: &Kernel,
    text: &str,
) -> Result<(BTreeMap<String, Option<String>>, String), String> {
    let series = read::parse("x.patch", text.as_bytes()).unwrap();
    let mut overlay = Overlay::new(kernel, "7.2 (test)".into());
    for patch in &series.patches {
        overlay.apply(patch).map_err(|error| error.to_string())?;
    }
    let text = |content: &[u8]| String::from_utf8(content.to_vec()).unwrap();
    let files = overlay.files();
    let files = files.map(|(path, content)| (path.display().to_string(), content.map(text)));
    Ok((files.collect(), overlay.notes().join("\n")))
}

fn bio(applied: &(BTreeMap<String, Option<String>>, String)) -> &str {
    applied.0["block/bio.c"].as_deref().unwrap()
}

#[test]
fn a_patch_that_fits_applies_without_a_word() {
    let (old, new) = (source(""), source("").replace("return 5", "return 55"));
    let applied = apply(&kernel(&old), &diff(&old, &new)).unwrap();
    assert_eq!(bio(&applied), new);
    assert_eq!(applied.1, "");
}

#[test]
fn a_hunk_that_moved_is_found_and_told() {
    let (old, new) = (source(""), source("").replace("return 5", "return 55"));
    let patch = diff(&old, &new);
    let applied = apply(&kernel(&source("one\ntwo\n")), &patch).unwrap();
    assert_eq!(bio(&applied), "one\ntwo\n".to_owned() + &new);
    assert_eq!(applied.1, "block/bio.c: hunk 1 of 1 went to line 18 (+2)");
}

#[test]
fn context_that_changed_at_the_ends_is_told() {
    let (old, new) = (source(""), source("").replace("return 5", "return 55"));
    let there = old.replace("int f5", "long f5");
    let applied = apply(&kernel(&there), &diff(&old, &new)).unwrap();
    assert_eq!(bio(&applied), there.replace("return 5", "return 55"));
    assert!(
        applied.1.contains("without 2 of its lines of context"),
        "{}",
        applied.1
    );
}

#[test]
fn a_hunk_without_context_goes_nowhere_else() {
    let old = source("");
    let patch =
        "--- a/block/bio.c\n+++ b/block/bio.c\n@@ -19,1 +19,1 @@\n-\treturn 5;\n+\treturn 55;\n";
    apply(&kernel(&old), patch).unwrap();
    let error = apply(&kernel(&old.replace("return 5", "return 6")), patch).unwrap_err();
    assert!(error.contains("does not fit"), "{error}");
}

#[test]
fn includes_find_a_place_where_their_context_is_gone() {
    let old = source(INCLUDES);
    let new = old
        .replace("<b.h>\n", "<b.h>\n#include <new.h>\n")
        .replace("return 9", "return 99");
    let there = old.replace(
        "<b.h>\n\n",
        "<b.h>\n#include <c.h>\n/* more */\n\n#define X\n",
    );
    let there = there.replace("#include <a.h>", "#include <z.h>");
    let applied = apply(&kernel(&there), &diff(&old, &new)).unwrap();
    let expected = there.replace("<b.h>\n", "<b.h>\n#include <new.h>\n");
    assert_eq!(bio(&applied), expected.replace("return 9", "return 99"));
    assert!(
        applied.1.contains(
            "hunk 1 lost its context; #include <new.h> went beside '#include <b.h>', to line 3"
        ),
        "{}",
        applied.1
    );
}

#[test]
fn a_merge_takes_what_context_cannot() {
    let old = source("");
    let new = old.replace("return 5", "return 55");
    // A line of context next to the change is another in this kernel.
    let there = old
        .replace("int f5(void)\n{\n", "int f5(void)\n{\n\tint x;\n\n")
        .replace("f4(void)", "f4(int)");
    let patch = diff(&old, &new).replace(
        "--- a/",
        "diff --git a/block/bio.c b/block/bio.c\nindex 0123abc..4567def 100644\n--- a/",
    );
    let without = apply(&kernel(&there), &patch).unwrap_err();
    assert!(
        without.contains("no merge either: there are no objects"),
        "{without}"
    );
    let mut kernel = kernel(&there);
    kernel.blob = Some(old);
    let merged = apply(&kernel, &patch);
    // Changes to neighbouring lines contradict for git as well.
    let error = merged.unwrap_err();
    assert!(error.contains("has conflicts"), "{error}");
    let apart = there
        .replace("\tint x;\n\n", "")
        .replace("f4(int)", "f4(void)")
        .replace(
            "\treturn 4;\n}\nint f5(void)",
            "\treturn 4; }\nlong f5(void)",
        );
    kernel.files.insert("block/bio.c", apart.clone());
    let merged = apply(&kernel, &patch).unwrap();
    assert_eq!(bio(&merged), apart.replace("return 5", "return 55"));
    assert!(merged.1.contains("merged with the version"), "{}", merged.1);
}

#[test]
fn a_misfit_names_file_hunk_and_place_and_shows_what_is_there() {
    let old = source("");
    let new = old
        .replace("return 2", "return 22")
        .replace("return 7", "return 77");
    let there = "moved\n".to_owned() + &old.replace("\treturn 7;", "\treturn seven();");
    let error = apply(&kernel(&there), &diff(&old, &new)).unwrap_err();
    for part in [
        "apply x.patch to 7.2 (test): block/bio.c: hunk 2 of 2, @@ -24,7 +24,7 @@",
        "it was tried at line 25 and then everywhere",
        "Most like its place is line 25, with 6 of its 7 lines",
        "            return 7;\n",
        "     28     return seven();\n",
        "no merge either: the patch does not name",
        "nothing was changed",
        "--kernel",
    ] {
        assert!(error.contains(part), "no '{part}' in {error}");
    }
}

#[test]
fn a_change_that_is_there_already_is_told() {
    let (old, new) = (source(""), source("").replace("return 5", "return 55"));
    let error = apply(&kernel(&new), &diff(&old, &new)).unwrap_err();
    assert!(error.contains("has this change already"), "{error}");
}

#[test]
fn tabs_that_became_blanks_are_told() {
    let (old, new) = (source(""), source("").replace("return 5", "return 55"));
    let patch = diff(&old, &new)
        .replace('\t', "        ")
        .replace("bio.c        ", "bio.c\t");
    let error = apply(&kernel(&old), &patch).unwrap_err();
    assert!(error.contains("but for white space"), "{error}");
}

#[test]
fn files_are_made_removed_moved_and_copied() {
    let text = "diff --git a/block/new.c b/block/new.c\nnew file mode 100755\n--- /dev/null\n\
                +++ b/block/new.c\n@@ -0,0 +1 @@\n+int new;\n\
                diff --git a/README b/README\ndeleted file mode 100644\n--- a/README\n\
                +++ /dev/null\n@@ -1 +0,0 @@\n-read\n\
                diff --git a/block/new.c b/block/copy.c\ncopy from block/new.c\ncopy to block/copy.c\n\
                diff --git a/block/new.c b/block/moved.c\nrename from block/new.c\n\
                rename to block/moved.c\n--- a/block/new.c\n+++ b/block/moved.c\n\
                @@ -1 +1 @@\n-int new;\n+int moved;\n";
    let (files, notes) = apply(&kernel(""), text).unwrap();
    let expected = [
        ("README", None),
        ("block/copy.c", Some("int new;\n")),
        ("block/moved.c", Some("int moved;\n")),
        ("block/new.c", None),
    ];
    let expected = expected.map(|(name, content)| (name.to_owned(), content.map(str::to_owned)));
    assert_eq!(files, expected.into());
    assert_eq!(notes, "block/new.c: that it is executable is not kept");
}

#[test]
fn names_are_found_with_and_without_a_folder_in_front() {
    let (old, new) = (source(""), source("").replace("return 5", "return 55"));
    let patch = diff(&old, &new);
    for (a, b) in [("", ""), ("linux-7.2.orig/", "linux-7.2/"), ("i/", "w/")] {
        let patch = patch
            .replace("--- a/", &format!("--- {a}"))
            .replace("+++ b/", &format!("+++ {b}"));
        assert_eq!(bio(&apply(&kernel(&old), &patch).unwrap()), new, "{a}");
    }
    for (name, made) in [
        ("block/x.c", "block/x.c"),
        ("b/fs/x.c", "fs/x.c"),
        ("linux/fs/x.c", "fs/x.c"),
    ] {
        let patch = format!("--- /dev/null\n+++ {name}\n@@ -0,0 +1 @@\n+int x;\n");
        let (files, _) = apply(&kernel(""), &patch).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), [made]);
    }
}

#[test]
fn what_a_kernel_cannot_take_is_told() {
    let make = |name: &str| format!("--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+read\n");
    let change = |name: &str| format!("--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-x\n+y\n");
    let git = |name: &str, to: &str| format!("diff --git a/{name} b/{to}\n");
    let renames = git("nosuch", "x") + "rename from nosuch\nrename to x\n";
    let onto = git("README", "block/bio.c") + "rename from README\nrename to block/bio.c\n";
    let empty = git("x", "x") + "new file mode 100644\n";
    for (text, said) in [
        (make("README"), "has this file already"),
        (make("block/bio.c"), "has one of that name"),
        (change("nosuch.c"), "nosuch.c: the kernel has no such file"),
        (change("link"), "symbolic link"),
        (
            "--- a/README\n+++ /dev/null\n@@ -1 +0,0 @@\n-other\n".into(),
            "does not fit",
        ),
        (
            "--- a/nosuch\n+++ /dev/null\n@@ -1 +0,0 @@\n-other\n".into(),
            "no such file",
        ),
        (renames, "none of the old name"),
        (onto, "has one of that name"),
        (empty, "empty file"),
    ] {
        let error = apply(&kernel("int x;\n"), &text).unwrap_err();
        assert!(error.contains(said), "{text}: {error}");
    }
}
