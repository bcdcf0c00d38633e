// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use super::*;
use crate::patch::diff::Side;

const HUNK: &str = "@@ -1,3 +1,3 @@ int one(void)\n one\n-two\n+2\n three\n";

fn plain(hunk: &str) -> String {
    format!("--- a/block/x.c\n+++ b/block/x.c\n{hunk}")
}

fn files(text: &str) -> Vec<FileDiff> {
    parse(text.as_bytes()).unwrap()
}

fn refused(text: &str) -> Damage {
    parse(text.as_bytes()).unwrap_err()
}

fn texts(file: &FileDiff, side: Side) -> Vec<String> {
    let lines = file.hunks.iter().flat_map(|hunk| hunk.side(side));
    lines
        .map(|line| String::from_utf8_lossy(&line.text).into_owned())
        .collect()
}

#[test]
fn a_plain_diff_is_its_names_and_hunks() {
    let found = files(&plain(HUNK));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name(), "block/x.c");
    assert_eq!(texts(&found[0], Side::Old), ["one", "two", "three"]);
    assert_eq!(texts(&found[0], Side::New), ["one", "2", "three"]);
    assert_eq!(found[0].hunks[0].header(), "@@ -1,3 +1,3 @@ int one(void)");
}

#[test]
fn text_around_and_between_diffs_is_no_part_of_them() {
    let text = format!(
        "block: two is 2\n\nIt is.\n---\n block/x.c | 2 +-\n\n{}\n{}-- \n2.39.5\n\nlist mailing list\n",
        plain(HUNK),
        plain(HUNK)
    );
    let found = files(&text);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0], files(&plain(HUNK))[0]);
}

#[test]
fn what_was_written_out_reads_the_same() {
    let file = &files(&plain(
        "@@ -1,2 +1,2 @@\n-one\n+1\n two\n\\ No newline at end of file\n",
    ))[0];
    assert!(file.hunks[0].lines[2].unended);
    let mut written = Vec::new();
    file.hunks[0].write(&mut written);
    let again = &files(&plain(&String::from_utf8(written).unwrap()))[0];
    assert_eq!(again, file);
}

#[test]
fn the_headers_of_git_tell_what_happens_to_a_file() {
    let made = "diff --git a/x.c b/x.c\nnew file mode 100644\nindex 000000000000..0123abc\n\
                --- /dev/null\n+++ b/x.c\n@@ -0,0 +1 @@\n+int x;\n";
    let found = files(made);
    assert_eq!(
        (found[0].old.clone(), found[0].name()),
        (None, "x.c".to_owned())
    );
    assert_eq!(found[0].blob, None);
    let removed = "diff --git a/x.c b/x.c\ndeleted file mode 100644\nindex 0123abc..000000000000\n\
                   --- a/x.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-int x;\n";
    let found = files(removed);
    assert_eq!(found[0].new, None);
    assert_eq!(found[0].blob.as_deref(), Some("0123abc"));
    let moved = "diff --git a/x.c b/y.c\nsimilarity index 100%\nrename from x.c\nrename to y.c\n";
    assert_eq!(files(moved)[0].change, Change::Rename);
    let copied = moved.replace("rename", "copy");
    assert_eq!(files(&copied)[0].change, Change::Copy);
    let mode = "diff --git a/x.sh b/x.sh\nold mode 100644\nnew mode 100755\n";
    assert_eq!(files(mode)[0].mode.as_deref(), Some("100755"));
}

#[test]
fn lines_that_lost_their_blank_or_gained_a_return_are_the_same() {
    let blank = "@@ -1,3 +1,4 @@\n one\n \n+two\n three\n";
    let lost = blank.replace("\n \n", "\n\n");
    assert_eq!(files(&plain(&lost)), files(&plain(blank)));
    let returns = plain(HUNK).replace('\n', "\r\n");
    assert_eq!(files(&returns), files(&plain(HUNK)));
}

#[test]
fn damage_is_told_with_its_line() {
    for (hunk, line, said) in [
        ("@@ -1,3 +1,3 @@\n one\n-two\n", 5, "cut short"),
        (
            "@@ -1,3 +1,3 @@\n one\n-two\n+a line that was\nwrapped\n three\n",
            7,
            "'wrapped' is no line",
        ),
        (
            "@@ -1,2 +1,2 @@\n one\n-two\n-three\n+2\n",
            6,
            "other lines",
        ),
        ("@@ -1,2 +1,2 @@\n one\n-two\n+2\n+3\n", 7, "more lines"),
        (
            "@@ -1,3 +1,3 @\n one\n-two\n+2\n three\n",
            3,
            "begins with '@@",
        ),
        ("@@ -1,99999999999 +1 @@\n one\n", 3, "begins with '@@"),
        ("@@ -1,4294967295 +1,4294967295 @@\n one\n", 4, "cut short"),
        ("@@ -+1 +1 @@\n-one\n+two\n", 3, "begins with '@@"),
        (
            "@@ -1 +1 @@\n\\ No newline at end of file\n",
            4,
            "begin with '\\'",
        ),
    ] {
        let damage = refused(&plain(hunk));
        assert_eq!(damage.line, line, "{hunk}: {damage:?}");
        assert!(damage.reason.contains(said), "{hunk}: {damage:?}");
    }
}

#[test]
fn what_is_no_text_of_files_inside_the_source_is_refused() {
    let git = "diff --git a/x b/x\n";
    let names = |old: &str, new: &str| format!("--- {old}\n+++ {new}\n@@ -1 +1 @@\n-one\n+two\n");
    for (text, said) in [
        (names("a/../../x", "b/../../x"), "lead out"),
        (names("/etc/passwd", "/etc/passwd"), "absolute"),
        (names("/dev/null", "/dev/null"), "both names"),
        (names("/dev/null", "/dev/sda"), "absolute"),
        (format!("{git}new file mode 120000\n"), "symbolic link"),
        (
            format!("{git}index 0123abc..4567def 120000\n"),
            "symbolic link",
        ),
        (format!("{git}new file mode 160000\n"), "mode 160000"),
        (format!("{git}GIT binary patch\n"), "binary"),
        (format!("{git}Binary files a/x and b/x differ\n"), "binary"),
        (
            format!("{git}index 0123abc..4567def 100644\n"),
            "hunks of x are missing",
        ),
        (format!("{git}rename from y\nrename to x\n"), "another name"),
        (
            format!("{git}--- a/y\n+++ b/x\n@@ -1 +1 @@\n-one\n+two\n"),
            "another name",
        ),
        (
            format!("{git}new file mode 100644\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-o\n+t\n"),
            "made or removed",
        ),
        ("diff --git a/x\n".into(), "two file names"),
        (HUNK.into(), "without the names"),
        ("diff --cc x\n".into(), "merge"),
        ("*** a/x\n--- b/x\n***************\n".into(), "context diff"),
    ] {
        let damage = refused(&text);
        assert!(damage.reason.contains(said), "{text}: {damage:?}");
    }
}
