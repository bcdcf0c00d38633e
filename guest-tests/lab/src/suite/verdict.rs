// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! From what was seen to a verdict, and from verdicts to the exit code.

use irqstorm_agent::catalogue::find;
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

/// The tests of a run that had to fail, since its kernel breaks what they claim
/// by design, with what of the design it is. Those that were skipped had not.
pub(crate) fn failing_by_design(record: &Record) -> Vec<(&str, &'static str)> {
    let run = record
        .cases
        .iter()
        .filter(|case| case.verdict != Verdict::Skip);
    run.filter_map(|case| {
        let why = find(&case.name)?.fails_by_design(&record.kernel.name)?;
        Some((case.name.as_str(), why))
    })
    .collect()
}

/// The exit code. With tests that are to fail, success is that precisely these
/// did.
pub(crate) fn exit_of(record: &Record, expected: &[String]) -> Exit {
    let failed = record.failed();
    let as_expected = expected.iter().all(|name| failed.contains(&name.as_str()));
    let no_other = failed
        .iter()
        .all(|name| expected.iter().any(|expected| expected == name));
    match as_expected && no_other {
        true => Exit::Passed,
        false => Exit::TestsFailed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use irqstorm_agent::protocol::Figure;

    use super::*;
    use crate::results::{Case, SCHEMA};

    fn finished(verdict: Verdict, reason: &str) -> Ending {
        Ending::Finished(Finished {
            test: "x".into(),
            verdict,
            reason: reason.into(),
            figures: Vec::new(),
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

    fn record(failed: &[&str]) -> Record {
        let case = |name: &str, verdict| Case {
            name: name.into(),
            claim: String::new(),
            machine: None,
            verdict,
            reasons: Vec::new(),
            seconds: 0.0,
            figures: Vec::new(),
            device: None,
            splats: Vec::new(),
            hang: None,
        };
        let mut cases = vec![case("sound", Verdict::Pass), case("other", Verdict::Skip)];
        cases.extend(failed.iter().map(|name| case(name, Verdict::Fail)));
        Record {
            schema: SCHEMA,
            irqstorm: String::new(),
            started: String::new(),
            seconds: 0.0,
            complete: true,
            kernel: Default::default(),
            qemu: String::new(),
            accel: String::new(),
            cpus: 2,
            memory_mib: 512,
            seed: 1,
            scenario: String::new(),
            replay: None,
            guest: None,
            cases,
        }
    }

    #[test]
    fn the_exit_code_follows_the_verdicts() {
        assert_eq!(exit_of(&record(&[]), &[]), Exit::Passed);
        assert_eq!(exit_of(&record(&["a"]), &[]), Exit::TestsFailed);
    }

    #[test]
    fn an_expected_failure_must_come_and_come_alone() {
        let expected = ["a".to_owned()];
        assert_eq!(exit_of(&record(&["a"]), &expected), Exit::Passed);
        assert_eq!(exit_of(&record(&[]), &expected), Exit::TestsFailed);
        assert_eq!(exit_of(&record(&["a", "b"]), &expected), Exit::TestsFailed);
    }

    #[test]
    fn what_a_design_breaks_has_to_fail_unless_it_is_skipped() {
        let mut run = record(&["queue-calls", "task-context"]);
        assert_eq!(failing_by_design(&run), []);
        run.kernel.name = "7.2+v4".into();
        let found = failing_by_design(&run);
        assert!(matches!(found[..], [("queue-calls", _)]), "{found:?}");
        for case in &mut run.cases {
            case.verdict = Verdict::Skip;
        }
        assert_eq!(failing_by_design(&run), []);
    }
}
