// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From what was seen to a verdict, and from verdicts to the exit code.

use irqstorm_agent::protocol::{Finished, Verdict, figures};

use super::case::Ending;
use super::ways::{COMPLAINED, LIMIT, LOST, MORE, MORE_COMPLAINTS};
use crate::console::Splat;
use crate::failure::Exit;
use crate::results::Record;

/// Complaints named one by one in a verdict.
const MOST_NAMED: usize = 3;

/// The verdict of one test and its reasons. What the test expects of the kernel
/// has to be among the complaints, and is none itself.
pub(super) fn judge(
    ending: &Ending,
    splats: &[Splat],
    expects: Option<&str>,
    lagging: bool,
) -> (Verdict, Vec<String>) {
    let mut reasons = Vec::new();
    let (as_expected, splats): (Vec<&Splat>, Vec<&Splat>) = splats
        .iter()
        .partition(|splat| expects.is_some_and(|expected| splat.title.contains(expected)));
    match ending {
        Ending::Finished(finished) => {
            if !finished.reason.is_empty() {
                reasons.push(finished.reason.clone());
            }
            if finished.verdict == Verdict::Fail && reasons.is_empty() {
                reasons.push("the test says no more than that it failed".into());
            }
            if finished.verdict == Verdict::Skip && splats.is_empty() {
                return (Verdict::Skip, reasons);
            }
            if finished.verdict == Verdict::Pass {
                reasons.clear();
                reasons.extend(undriven(finished));
            }
        }
        Ending::Limit(limit) => {
            reasons.push(format!("{LIMIT}{} s", limit.as_secs()));
        }
        Ending::Lost(reason) => reasons.push(format!("{LOST}{reason}")),
    }
    if lagging {
        reasons.push("the console never showed the test's end: what it said cannot be told".into());
    }
    if let Some(missing) = expects.filter(|_| as_expected.is_empty()) {
        reasons.push(format!("the kernel never said \"{missing}\", as it was to"));
    }
    let named = splats.iter().take(MOST_NAMED);
    reasons.extend(named.map(|splat| format!("{COMPLAINED}{}", splat.title)));
    if splats.len() > MOST_NAMED {
        let more = splats.len() - MOST_NAMED;
        reasons.push(format!("{MORE}{more}{MORE_COMPLAINTS}"));
    }
    match reasons.is_empty() {
        true => (Verdict::Pass, reasons),
        false => (Verdict::Fail, reasons),
    }
}

/// A test that passed without the condition that it is about proves nothing:
/// with a queue for each CPU untagged bios must end in hardirq.
fn undriven(finished: &Finished) -> Option<String> {
    let figure = |name: &str| {
        let found = finished.figures.iter().find(|figure| figure.name == name);
        found.map(|figure| figure.value)
    };
    let untagged = figure(figures::UNTAGGED).filter(|&count| count > 0.0)?;
    let in_hardirq = figure(figures::UNTAGGED_IN_HARDIRQ)?;
    (in_hardirq < untagged).then(|| {
        format!(
            "only {in_hardirq:.0} of {untagged:.0} untagged bios ended in hardirq: the device did not drive what the test is about"
        )
    })
}

/// The exit code: by what each case means.
pub(crate) fn exit_of(record: &Record) -> Exit {
    match record.cases.iter().any(|case| case.outcome().fails_run()) {
        true => Exit::TestsFailed,
        false => Exit::Passed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use irqstorm_agent::protocol::Figure;

    use super::super::{Expectations, select};
    use super::*;
    use crate::results::samples;

    fn finished(verdict: Verdict, reason: &str) -> Ending {
        Ending::Finished(Finished {
            test: "x".into(),
            verdict,
            reason: reason.into(),
            figures: Vec::new(),
            points: Vec::new(),
        })
    }

    fn splat(title: &str) -> Splat {
        Splat {
            test: Some("x".into()),
            title: title.into(),
            lines: vec![title.into()],
        }
    }

    #[test]
    fn a_test_passes_only_on_a_quiet_console() {
        let pass = finished(Verdict::Pass, "");
        assert_eq!(judge(&pass, &[], None, false).0, Verdict::Pass);
        let (verdict, reasons) = judge(&pass, &[splat("WARNING: x")], None, false);
        assert_eq!(verdict, Verdict::Fail);
        assert!(reasons[0].contains("WARNING: x"));
        assert_eq!(judge(&pass, &[], None, true).0, Verdict::Fail);
    }

    #[test]
    fn an_expected_complaint_has_to_come_and_excuses_no_other() {
        let pass = finished(Verdict::Pass, "");
        let expected = splat("irq 26: nobody cared (try booting with ...)");
        let other = splat("BUG: x");
        let verdict = |splats: &[Splat]| judge(&pass, splats, Some("nobody cared"), false);
        assert_eq!(verdict(std::slice::from_ref(&expected)).0, Verdict::Pass);
        let (missing, reasons) = verdict(&[]);
        assert_eq!(missing, Verdict::Fail);
        assert!(reasons[0].contains("never said"), "{reasons:?}");
        let (both, reasons) = verdict(&[expected, other]);
        assert_eq!(both, Verdict::Fail);
        assert_eq!(reasons, ["the kernel complained: BUG: x"]);
        // Unasked for, it is a complaint like others.
        let unasked = judge(&pass, &[splat("irq 26: nobody cared")], None, false);
        assert_eq!(unasked.0, Verdict::Fail);
    }

    #[test]
    fn a_skip_keeps_its_reason_unless_the_kernel_complained() {
        let skip = finished(Verdict::Skip, "no flag");
        assert_eq!(
            judge(&skip, &[], None, false),
            (Verdict::Skip, vec!["no flag".into()])
        );
        let complained = judge(&skip, &[splat("BUG: x")], None, false);
        assert_eq!(complained.0, Verdict::Fail);
        // What is not run need not bring its complaint.
        assert_eq!(judge(&skip, &[], Some("x"), false).0, Verdict::Skip);
    }

    #[test]
    fn limit_and_loss_fail_with_their_reasons() {
        let (verdict, reasons) = judge(&Ending::Limit(Duration::from_secs(9)), &[], None, false);
        assert_eq!(
            (verdict, reasons[0].as_str()),
            (Verdict::Fail, "not finished within 9 s")
        );
        let (verdict, reasons) = judge(&Ending::Lost("QEMU died".into()), &[], None, false);
        assert!(verdict == Verdict::Fail && reasons[0].contains("QEMU died"));
    }

    #[test]
    fn a_failure_is_never_without_a_reason() {
        let (verdict, reasons) = judge(&finished(Verdict::Fail, ""), &[], None, false);
        assert!(verdict == Verdict::Fail && !reasons.is_empty());
    }

    #[test]
    fn untagged_bios_outside_hardirq_fail_what_passed() {
        let Ending::Finished(mut passed) = finished(Verdict::Pass, "") else {
            unreachable!()
        };
        let figure = |name: &str, value| Figure {
            name: name.into(),
            value,
            unit: String::new(),
        };
        passed.figures = vec![
            figure(figures::UNTAGGED, 10.0),
            figure(figures::UNTAGGED_IN_HARDIRQ, 9.0),
        ];
        let (verdict, reasons) = judge(&Ending::Finished(passed), &[], None, false);
        assert_eq!(verdict, Verdict::Fail);
        assert!(reasons[0].contains("only 9 of 10"), "{reasons:?}");
    }

    #[test]
    fn the_exit_code_follows_what_the_cases_mean() {
        let mut record = samples::record();
        assert_eq!(exit_of(&record), Exit::TestsFailed);
        let expected = Expectations::default();
        for case in &mut record.cases {
            case.expected = expected.of(&case.name, "7.2+v4");
        }
        assert_eq!(exit_of(&record), Exit::TestsFailed);
        record.cases.retain(|case| case.verdict != Verdict::Fail);
        assert_eq!(exit_of(&record), Exit::Passed);
        let names = ["task-context".to_owned()];
        let selected = select(
            &names,
            crate::cli::SuiteChoice::All,
            &[],
            Default::default(),
        )
        .unwrap();
        let must = Expectations::read(&names, &selected, &[], false).unwrap();
        for case in &mut record.cases {
            case.expected = must.of(&case.name, "7.2+v4");
        }
        assert_eq!(exit_of(&record), Exit::TestsFailed, "it passed");
    }
}
