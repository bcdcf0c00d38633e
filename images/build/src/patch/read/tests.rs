// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use super::*;
use crate::patch::diff::Side;

/// A diff that makes `to` of the one line of a file.
fn diff(file: &str, to: &str) -> String {
    format!(
        "diff --git a/{file} b/{file}\nindex 0123abc..4567def 100644\n\
         --- a/{file}\n+++ b/{file}\n@@ -1,3 +1,3 @@\n before\n-old\n+{to}\n after\n"
    )
}

/// A patch as `git format-patch` makes a mail of it.
fn mail(subject: &str, body: &str) -> String {
    format!(
        "From 0123abc Mon Sep 17 00:00:00 2001\nFrom: A B <a@example.org>\n\
         Date: Wed, 25 Nov 2026 10:00:00 +0000\nSubject: {subject}\n\n{body}-- \n2.39.5\n\n"
    )
}

fn patch(subject: &str, to: &str) -> String {
    mail(
        subject,
        &format!("It is better so.\n---\n x.c | 2 +-\n\n{}", diff("x.c", to)),
    )
}

fn quoted(text: &str) -> String {
    let lines = text.lines().map(|line| format!("> {line}\n"));
    lines.collect()
}

fn answer(subject: &str, to: &str) -> String {
    let body = format!(
        "On Wednesday, A B wrote:\n{}\nWhy?\n",
        quoted(&diff("x.c", to))
    );
    mail(&format!("Re: {subject}"), &body)
}

fn read(text: &str) -> Series {
    parse("v4.mbox", text.as_bytes()).unwrap()
}

fn refused(text: &str) -> String {
    parse("v4.mbox", text.as_bytes()).unwrap_err().to_string()
}

/// What the patches add, in order.
fn added(series: &Series) -> Vec<String> {
    let files = series.patches.iter().flat_map(|patch| &patch.files);
    let lines = files
        .flat_map(|file| &file.hunks)
        .flat_map(|hunk| &hunk.lines);
    lines
        .filter(|line| line.side == Side::New)
        .map(|line| String::from_utf8_lossy(&line.text).into_owned())
        .collect()
}

#[test]
fn a_diff_alone_is_one_patch_of_the_files_name() {
    let series = read(&(diff("x.c", "one") + &diff("y.c", "two")));
    assert_eq!(series.patches.len(), 1);
    assert_eq!(series.patches[0].title, "v4.mbox");
    assert_eq!(added(&series), ["one", "two"]);
    assert_eq!(series.notes, [""; 0]);
}

#[test]
fn a_mail_is_one_patch_of_its_subject() {
    let mailed = patch("[PATCH v2] x: better", "one");
    let (_, saved) = mailed.split_once('\n').unwrap();
    for text in [mailed.as_str(), saved] {
        let series = read(text);
        assert_eq!(series.patches[0].title, "[PATCH v2] x: better");
        assert_eq!(added(&series), ["one"]);
    }
}

#[test]
fn a_series_is_ordered_by_number_and_its_letter_left_out() {
    let letter = mail(
        "[PATCH 0/3] x",
        &format!("What it does:\n{}", diff("x.c", "all")),
    );
    let mailbox = patch("[PATCH 3/3] x: c", "three")
        + &patch("[PATCH 1/3] x: a", "one")
        + &letter
        + &patch("[PATCH 2/3] x: b", "two");
    assert_eq!(added(&read(&mailbox)), ["one", "two", "three"]);
}

#[test]
fn answers_are_no_patches_whatever_they_quote_or_propose() {
    let proposal = mail(
        "Re: [PATCH 1/1] x",
        &format!("Rather:\n\n{}", diff("x.c", "rather")),
    );
    let mailbox = patch("[PATCH 1/1] x", "one") + &answer("[PATCH 1/1] x", "one") + &proposal;
    assert_eq!(added(&read(&mailbox)), ["one"]);
    let error = refused(&answer("[PATCH 1/1] x", "one"));
    assert!(error.contains("it is an answer"), "{error}");
    let error = refused(&format!(
        "On Wednesday, A B wrote:\n> x\n\n{}",
        diff("x.c", "rather")
    ));
    assert!(error.contains("it is an answer"), "{error}");
    let error = refused(&(answer("[PATCH] x", "one") + &proposal));
    assert!(error.contains("2 answers"), "{error}");
}

#[test]
fn a_page_of_an_archive_is_the_patch_that_it_shows() {
    let subject = "[PATCH RFC v4 1/3] x: better";
    let page = format!(
        "{subject}\n\nA B posted 3 patches 1 week ago\n{subject}\nPosted by A B 1 week ago\n\
         It is better so.\n\n---\n x.c | 2 +-\n\n{}\n-- \n2.39.5\n\
         Re: {subject}\nPosted by C D 6 days ago\nOn Wednesday, A B wrote:\n{}\nRather:\n\n{}\n\
         Re: {subject}\nPosted by A B 5 days ago\n> Rather:\n\n+\tI see;\n+\tyes;\n",
        diff("x.c", "one"),
        quoted(&diff("x.c", "one")),
        diff("x.c", "rather"),
    );
    let series = read(&page);
    assert_eq!(series.patches.len(), 1);
    assert_eq!(series.patches[0].title, subject);
    assert_eq!(added(&series), ["one"]);
    assert_eq!(series.alone, Some((1, 3)));
}

#[test]
fn a_member_that_is_missing_is_named() {
    let three = patch("[PATCH 1/3] a", "one") + &patch("[PATCH 3/3] c", "three");
    let error = refused(&three);
    assert!(error.contains("2/3 of the series is missing"), "{error}");
    let letter = mail("[PATCH 0/3] x", "What it does.\n") + &patch("[PATCH 2/3] b", "two");
    let error = refused(&letter);
    assert!(
        error.contains("1/3, 3/3 of the series are missing"),
        "{error}"
    );
    let error = refused(&mail("[PATCH 0/3] x", "What it does.\n"));
    assert!(error.contains("letter of a series"), "{error}");
}

#[test]
fn of_several_versions_the_newest_is_taken_and_said() {
    let mailbox = patch("[PATCH v3 1/1] x", "old") + &patch("[PATCH v4 1/1] x", "new");
    let series = read(&mailbox);
    assert_eq!(added(&series), ["new"]);
    assert_eq!(
        series.notes,
        ["v4.mbox: it has versions v3, v4; v4 is taken"]
    );
    let titles = patch("[PATCH] a", "one") + &patch("[PATCH v2] b", "two");
    let error = refused(&titles);
    assert!(error.contains("'[PATCH] a' is not in the last"), "{error}");
    let partial = patch("[PATCH 1/2] a", "1")
        + &patch("[PATCH 2/2] b", "2")
        + &mail("[PATCH v2 0/2] x", "again\n")
        + &patch("[PATCH v2 2/2] b", "two");
    let error = refused(&partial);
    assert!(error.contains("1/2 of the series is missing"), "{error}");
}

#[test]
fn a_mail_that_came_twice_counts_once() {
    let one = patch("[PATCH 1/2] a", "one");
    let mailbox = one.clone() + &patch("[PATCH 2/2] b", "two") + &one;
    assert_eq!(added(&read(&mailbox)), ["one", "two"]);
    let other = patch("[PATCH 1/2] a", "other");
    let error = refused(&(mailbox + &other));
    assert!(error.contains("two patches of one number"), "{error}");
}

#[test]
fn what_makes_no_order_is_refused_with_what_to_do() {
    for (mailbox, said) in [
        (
            patch("[PATCH 1/2] a", "1") + &patch("[PATCH 2/3] b", "2"),
            "a series of 2 and one of 3",
        ),
        (
            patch("[PATCH 1/1] a", "1") + &patch("[PATCH] b", "2"),
            "has no number",
        ),
        (patch("[PATCH 4/3] a", "1"), "a patch 4 of 3"),
        (
            patch("[PATCH 1/4000000000] a", "1"),
            "no series has 4000000000",
        ),
    ] {
        let error = refused(&mailbox);
        assert!(error.contains(said), "{error}");
        assert!(
            error.starts_with("put the patches of v4.mbox in order: "),
            "{error}"
        );
    }
}

#[test]
fn patches_without_numbers_keep_their_order() {
    let mailbox = patch("[PATCH] b", "one") + &patch("[PATCH] a", "two");
    assert_eq!(added(&read(&mailbox)), ["one", "two"]);
}

#[test]
fn a_mail_sent_as_flowed_is_mended_or_refused() {
    let headers = "From: a@example.org\nSubject: [PATCH] x\n\
                   Content-Type: text/plain; charset=utf-8; format=flowed\n\n";
    let long = "a_long_call_of_a_function(with_its_first_argument, and_its_second, third);";
    let sound = diff("x.c", long);
    let stuffed = sound.replace("\n ", "\n  ");
    let broken = stuffed.replace("second, third", "second, \nthird");
    for body in [&sound, &stuffed, &broken] {
        let series = read(&format!("{headers}{body}"));
        assert_eq!(added(&series), [long], "{body}");
    }
    let cut = sound.replace("first_argument, ", "first_argument,\n");
    let error = refused(&format!("{headers}{cut}"));
    assert!(
        error.contains("format=flowed") && error.contains("line 9"),
        "{error}"
    );
}

#[test]
fn damage_is_told_with_the_mail_and_the_line() {
    let wrapped = patch("[PATCH 2/2] b", "two words").replace("two words", "two\nwords");
    let error = refused(&(patch("[PATCH 1/2] a", "one") + &wrapped));
    assert!(
        error.contains("v4.mbox: mail 2: line 13: 'words'"),
        "{error}"
    );
    let page = format!("above\n[PATCH] x\n{}", diff("x.c", "two\nwords"));
    let error = refused(&page);
    assert!(error.contains("v4.mbox: line 11: 'words'"), "{error}");
}

#[test]
fn damage_in_a_mail_that_is_no_patch_is_left_out() {
    let report = mail("a crash", "it is here\n@@ -1,2 +1,2 @@\n one\n");
    let series = read(&(patch("[PATCH] a", "one") + &report));
    assert_eq!(added(&series), ["one"]);
    assert!(
        series.notes[0].contains("left out 'a crash'"),
        "{:?}",
        series.notes
    );
}

#[test]
fn a_text_without_a_patch_is_told_what_one_is() {
    let error = refused("hello\n");
    assert!(
        error.contains("no patch in it") && error.contains("'--- a/FILE'"),
        "{error}"
    );
}
