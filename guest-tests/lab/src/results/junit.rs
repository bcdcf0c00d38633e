// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! junit.xml, for continuous integration.

use std::time::Duration;

use chrono::DateTime;
use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::outcome::Outcome;
use super::record::{Case, Record};

/// The document.
pub(crate) fn document(record: &Record) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new(format!("irqstorm on {}", record.kernel.name));
    let properties = [
        ("kernel", record.kernel.name.clone()),
        ("accel", record.accel.clone()),
        ("disk", record.disk.clone()),
        ("scenario", record.scenario.clone()),
        ("seed", record.seed.to_string()),
        ("cpus", record.cpus.to_string()),
    ];
    for (name, value) in properties {
        suite.add_property((name, value.as_str()));
    }
    suite.set_time(seconds(record.seconds));
    if let Ok(started) = DateTime::parse_from_rfc3339(&record.started) {
        suite.set_timestamp(started);
    }
    suite.add_test_cases(record.cases.iter().map(test_case));
    let mut report = Report::new("irqstorm");
    report.set_time(seconds(record.seconds));
    report.add_test_suite(suite);
    report.to_string().map(without_sum_of_skips)
}

/// The schema of Jenkins, which others follow, has the number of skipped tests
/// at a suite and not above all of them.
fn without_sum_of_skips(document: String) -> String {
    let (Some(begin), Some(end)) = (document.find("<testsuites "), document.find("<testsuite "))
    else {
        return document;
    };
    let root = &document[begin..end];
    let Some(at) = root.find(" skipped=\"") else {
        return document;
    };
    // Behind the attribute's value.
    let after = root[at..].match_indices('"').nth(1);
    match after {
        Some((length, _)) => {
            let (from, to) = (begin + at, begin + at + length + 1);
            [&document[..from], &document[to..]].concat()
        }
        None => document,
    }
}

fn test_case(case: &Case) -> TestCase {
    let reason = case.reasons.first().map_or("", String::as_str);
    let remark = case.remark().unwrap_or_default();
    let status = match case.outcome() {
        Outcome::Passed | Outcome::Fixed => TestCaseStatus::success(),
        Outcome::Skipped => skipped("skip", reason, ""),
        // What a known failure says stays to be read.
        Outcome::Known => skipped("xfail", &remark, &said(case)),
        Outcome::Failed => failure("fail", reason, &said(case)),
        Outcome::NotFailed => failure("xpass", &remark, ""),
        Outcome::NotRun => failure("skip", &remark, reason),
    };
    let mut test = TestCase::new(case.name.clone(), status);
    test.set_classname("irqstorm");
    test.set_time(seconds(case.seconds));
    let figures: Vec<String> = case
        .figures
        .iter()
        .map(|figure| {
            let text = format!("{}: {} {}", figure.name, figure.value, figure.unit);
            text.trim_end().to_owned()
        })
        .collect();
    let remark = (case.outcome() == Outcome::Fixed).then_some(remark);
    let said: Vec<String> = remark.into_iter().chain(figures).collect();
    if !said.is_empty() {
        test.set_system_out(said.join("\n"));
    }
    test
}

/// Its reasons, and what the kernel complained of.
fn said(case: &Case) -> String {
    let splats = case.splats.iter().map(|splat| splat.lines.join("\n"));
    let text: Vec<String> = case.reasons.iter().cloned().chain(splats).collect();
    text.join("\n")
}

fn skipped(kind: &str, message: &str, text: &str) -> TestCaseStatus {
    told(TestCaseStatus::skipped(), kind, message, text)
}

fn failure(kind: &str, message: &str, text: &str) -> TestCaseStatus {
    let status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    told(status, kind, message, text)
}

fn told(mut status: TestCaseStatus, kind: &str, message: &str, text: &str) -> TestCaseStatus {
    status.set_type(kind);
    status.set_message(message);
    if !text.is_empty() {
        status.set_description(text);
    }
    status
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::outcome::{Expected, Source};
    use super::super::record::samples;
    use super::*;

    #[test]
    fn what_failed_as_expected_is_skipped_and_says_why() {
        let mut record = samples::record();
        record.cases[1].expected = Some(Expected {
            by: Source::List,
            why: "see <there>".into(),
            place: None,
            must: false,
        });
        let xml = document(&record).unwrap();
        assert!(xml.contains(r#"failures="0""#), "{xml}");
        assert!(xml.contains(r#"type="xfail">3 bios ended twice"#), "{xml}");
        let expected = record.cases[1].expected.clone();
        record.cases[0].expected = expected;
        let passed = document(&record).unwrap();
        assert!(
            passed.contains("listed as known to fail, passed"),
            "{passed}"
        );
        for case in &mut record.cases {
            if let Some(expected) = &mut case.expected {
                expected.must = true;
            }
        }
        let strict = document(&record).unwrap();
        assert!(strict.contains(r#"type="xpass""#), "{strict}");
    }

    #[test]
    fn every_verdict_has_its_element_and_hostile_text_is_escaped() {
        let xml = document(&samples::record()).unwrap();
        assert!(xml.contains(r#"tests="3""#), "{xml}");
        assert!(
            xml.contains(r#"failures="1""#) && xml.contains(r#"skipped="1""#),
            "{xml}"
        );
        assert!(
            xml.contains("<failure message=\"3 bios ended twice\" type=\"fail\""),
            "{xml}"
        );
        assert!(xml.contains("<skipped message="), "{xml}");
        let root = xml.lines().nth(1).unwrap();
        assert_eq!(
            root,
            r#"<testsuites name="irqstorm" tests="3" failures="1" errors="0" time="9.250">"#
        );
        assert!(!xml.contains("<y>") && !xml.contains('\u{1}'), "{xml}");
    }
}
