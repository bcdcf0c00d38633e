// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use super::*;

const DIFF: &str = "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a = 1;\n+b = \"\u{fc}\";\n";

fn text(mail: &str) -> String {
    let message = read(mail.as_bytes()).unwrap();
    String::from_utf8(message.readings[0].clone()).unwrap()
}

/// A mail with these headers besides its subject.
fn mail(headers: &str, body: &str) -> String {
    format!("From: A B <a@example.org>\nSubject: [PATCH] x\n{headers}\n{body}")
}

#[test]
fn a_text_is_the_bytes_that_were_sent() {
    assert_eq!(text(&mail("", DIFF)), DIFF);
    let eight = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
                 Content-Transfer-Encoding: 8bit\n";
    assert_eq!(text(&mail(eight, DIFF)), DIFF);
}

#[test]
fn quoted_printable_and_base64_are_decoded() {
    let quoted = "Content-Type: text/plain; charset=utf-8\n\
                  Content-Transfer-Encoding: quoted-printable\n";
    let body = DIFF.replace('=', "=3D").replace('\u{fc}', "=C3=\n=BC");
    assert_eq!(text(&mail(quoted, &body)), DIFF);
    let base64 = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n";
    let body = "LS0tIGEveC5jCisrKyBiL3guYwpAQCAtMSArMSBAQAotYSA9IDE7CitiID0gIsO8IjsK\n";
    assert_eq!(text(&mail(base64, body)), DIFF);
}

#[test]
fn a_text_of_another_charset_becomes_utf_8() {
    let headers = "Content-Type: text/plain; charset=iso-8859-1\n\
                   Content-Transfer-Encoding: quoted-printable\n";
    let body = DIFF.replace('=', "=3D").replace('\u{fc}', "=FC");
    assert_eq!(text(&mail(headers, &body)), DIFF);
}

#[test]
fn parts_that_may_have_a_patch_follow_one_another() {
    let headers = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"cut\"\n";
    let body = format!(
        "--cut\nContent-Type: multipart/alternative; boundary=\"in\"\n\n\
         --in\nContent-Type: text/plain\n\nhere it is\n\
         --in\nContent-Type: text/html\n\n<p>here it is</p>\n--in--\n\
         --cut\nContent-Type: text/x-patch; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{DIFF}\n\
         --cut\nContent-Type: application/octet-stream\n\
         Content-Disposition: attachment; filename=\"2.patch\"\n\nsecond\n\
         --cut\nContent-Type: image/png\n\nno text\n--cut--\n"
    );
    assert_eq!(
        text(&mail(headers, &body)),
        format!("here it is\n{DIFF}second\n")
    );
}

#[test]
fn mails_without_a_usable_text_are_refused() {
    let html = mail("Content-Type: text/html\n", "<p>x</p>\n");
    let error = read(html.as_bytes()).unwrap_err();
    assert!(error.contains("HTML"), "{error}");
    let damaged = mail("Content-Transfer-Encoding: base64\n", "%%%\n");
    let error = read(damaged.as_bytes()).unwrap_err();
    assert!(error.contains("damaged"), "{error}");
    let part = "--cut\n\nx\n".repeat(MOST_PARTS + 1);
    let parts = mail("Content-Type: multipart/mixed; boundary=cut\n", &part);
    let error = read(parts.as_bytes()).unwrap_err();
    assert!(error.contains("parts"), "{error}");
}

#[test]
fn a_subject_is_decoded_and_unfolded() {
    let mail = "From: a@example.org\nSubject: =?UTF-8?Q?[PATCH_2/3]_bl=C3=B6ck:?=\n rest\n\nx\n";
    let subject = read(mail.as_bytes()).unwrap().subject.unwrap();
    assert_eq!(subject.text, "[PATCH 2/3] bl\u{f6}ck: rest");
    assert_eq!(subject.number, Some((2, 3)));
}

#[test]
fn a_mailbox_is_split_where_mails_begin() {
    let one = "From: a@example.org\nSubject: one\n\nFrom here on\n\n>From there\n>>From x\n\n";
    let two = "From: b@example.org\nSubject: two\n\ntext\n";
    let mailbox = format!(
        "From 0123abc Mon Sep 17 00:00:00 2001\n{one}From b@example.org Wed Nov 25 10:00:00 2026\n{two}"
    );
    assert!(is_mailbox(mailbox.as_bytes()));
    let mails = split_mailbox(mailbox.as_bytes());
    let expected = one.replace(">From", "From");
    assert_eq!(mails.len(), 2);
    assert_eq!(String::from_utf8_lossy(&mails[0]), expected);
    assert_eq!(String::from_utf8_lossy(&mails[1]), two);
}

#[test]
fn texts_are_no_mails_because_of_a_colon() {
    assert!(is_mail(mail("", DIFF).as_bytes()));
    for text in [
        DIFF,
        "block: a title\n\nFrom: no header\n",
        "",
        "\n",
        "From here on\nto there\n",
    ] {
        assert!(!is_mail(text.as_bytes()), "{text}");
        assert!(!is_mailbox(text.as_bytes()), "{text}");
    }
}
