// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! KTAP version 1 (Documentation/dev-tools/ktap.rst), line by line as the run
//! goes, and as the kernel's own parser, tools/testing/kunit/kunit_parser.py,
//! takes it: what does not fail the run is "ok", with a directive that says
//! what it is. A failure that was expected is `ok N NAME # XFAIL WHY`, as
//! kselftest has it; "not ok # TODO" would be counted as a failure.

use irqstorm_agent::protocol::Verdict;

use super::outcome::{Expected, Outcome};
use super::record::{Case, Record};
use crate::failure::Failure;

/// What ends the kernel's parser wherever in a line it stands: the last words
/// of a kernel, which here are quoted as the reason of a failure.
const LAST_WORDS: [&str; 3] = [
    "List of all partitions:",
    "Kernel panic - not syncing: VFS:",
    "reboot: System halted",
];

/// The version line, what is run, and the plan; with a name, of a run within a
/// document of several.
pub(crate) fn header_lines(record: &Record, cases: usize, name: Option<&str>) -> String {
    let kernel = &record.kernel;
    let release = kernel.release.as_deref().unwrap_or("unknown");
    let name = name.map(|name| format!("# Subtest: {}\n", one_line(name)));
    format!(
        "KTAP version 1\n{}# kernel {} ({release}), {} CPUs, {} disk, {}, scenario {}, seed {}\n1..{cases}\n",
        name.unwrap_or_default(),
        one_line(&kernel.name),
        record.cpus,
        record.disk,
        record.accel,
        one_line(&record.scenario),
        record.seed,
    )
}

/// Lines of a run within a document of several.
pub(crate) fn nested(text: &str) -> String {
    let lines = text.lines().map(|line| format!("    {line}\n"));
    lines.collect()
}

/// The result line of case `number`, counted from 1, after its diagnostics.
pub(crate) fn case_lines(number: usize, case: &Case) -> String {
    let mut text = String::new();
    let mut diagnostic = |line: String| {
        text.push_str(&format!("# {}: {}\n", case.name, one_line(&line)));
    };
    if let Some(machine) = &case.machine {
        diagnostic(format!("machine: {machine}"));
    }
    for figure in &case.figures {
        let unit = if figure.unit.is_empty() { "" } else { " " };
        diagnostic(format!(
            "{}: {}{unit}{}",
            figure.name,
            rounded(figure.value),
            figure.unit
        ));
    }
    if let Some(device) = &case.device {
        diagnostic(format!(
            "device: {} requests, {} interrupts written for completions, {} spurious",
            device.requests, device.signalled, device.spurious
        ));
    }
    if let Some(trace) = &case.trace {
        diagnostic(format!("trace: {}", trace.summary()));
    }
    if case.verdict == Verdict::Pass {
        for splat in &case.splats {
            diagnostic(format!("as required, the kernel said: {}", splat.title));
        }
    }
    let outcome = case.outcome();
    // The reason of a skip is on its result line.
    let told = usize::from(outcome == Outcome::Skipped);
    for reason in case.reasons.iter().skip(told) {
        diagnostic(reason.clone());
    }
    if let Some(remark) = case.remark() {
        diagnostic(remark);
    }
    let ok = if outcome.fails_run() { "not ok" } else { "ok" };
    let directive = directive(case, outcome);
    text.push_str(&format!("{ok} {number} {}{directive}\n", case.name));
    text
}

/// What stands behind the name on a result line.
fn directive(case: &Case, outcome: Outcome) -> String {
    match outcome {
        Outcome::Skipped => {
            let reason = case.reasons.first().map_or("", String::as_str);
            format!(" # SKIP {}", one_line(reason)).trim_end().into()
        }
        Outcome::Known => {
            let reason = case.expected.as_ref().map(Expected::reason);
            format!(" # XFAIL {}", one_line(&reason.unwrap_or_default()))
        }
        Outcome::Passed
        | Outcome::Failed
        | Outcome::Fixed
        | Outcome::NotFailed
        | Outcome::NotRun => String::new(),
    }
}

/// The sums, as kselftest has them.
pub(crate) fn totals_line(record: &Record) -> String {
    let totals = record.totals();
    format!(
        "# Totals: pass:{} fail:{} xfail:{} xpass:{} skip:{} error:0\n",
        totals.passed - totals.fixed,
        totals.failed,
        totals.known,
        totals.fixed,
        totals.skipped
    )
}

/// That the rest of the plan will not come, as kselftest says it.
pub(crate) fn bail_out_line(failure: &Failure) -> String {
    match failure {
        Failure::Interrupted => "Bail out! interrupted\n".to_owned(),
        other => format!("Bail out! failed to {}\n", one_line(&other.to_string())),
    }
}

/// A newline would begin another line, a '#' behind a space a directive, and a
/// kernel's last words would end it all.
fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        let begins = c == '#' && (line.is_empty() || line.ends_with(' '));
        line.push(if breaks(c) || begins { ' ' } else { c });
    }
    for words in LAST_WORDS {
        line = line.replace(words, &words.replace(':', " -"));
    }
    line
}

/// A figure as people read it: counts whole, anything else to a hundredth.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Source;
    use super::super::record::samples;
    use super::*;

    #[test]
    fn a_run_reads_as_ktap() {
        let record = samples::record();
        let mut text = header_lines(&record, record.cases.len(), None);
        for (number, case) in (1..).zip(&record.cases) {
            text.push_str(&case_lines(number, case));
        }
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "KTAP version 1",
                "1..3",
                "ok 1 task-context",
                "not ok 2 exactly-once",
                "ok 3 hotplug-drain # SKIP the kernel has no BIO_COMPLETE_IN_TASK",
            ]
        );
        assert!(text.contains("# task-context: tagged bios: 100\n"));
        assert!(text.contains("# exactly-once: 3 bios ended twice\n"));
    }

    #[test]
    fn a_machine_of_its_own_is_named() {
        let mut case = samples::case("x", Verdict::Pass);
        case.machine = Some("1 queue".into());
        assert!(case_lines(1, &case).contains("# x: machine: 1 queue\n"));
    }

    #[test]
    fn what_the_kernel_was_to_say_is_shown() {
        let mut case = samples::case("x", Verdict::Pass);
        case.splats = samples::record().cases[1].splats.clone();
        let text = case_lines(1, &case);
        assert!(text.contains("# x: as required, the kernel said: WARNING: x"));
    }

    fn result_of(case: &Case) -> String {
        let text = case_lines(1, case);
        let results = text.lines().filter(|line| !line.starts_with('#'));
        results.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_does_not_fail_the_run_is_ok() {
        let mut case = samples::case("x", Verdict::Fail);
        case.expected = Some(Expected {
            by: Source::List,
            why: "see #12 # SKIP".into(),
            place: Some("known:1".into()),
            must: false,
        });
        assert_eq!(
            result_of(&case),
            "ok 1 x # XFAIL known: see  12   SKIP (known:1)"
        );
        case.verdict = Verdict::Pass;
        assert_eq!(result_of(&case), "ok 1 x");
        let text = case_lines(1, &case);
        assert!(
            text.contains("# x: listed as known to fail, passed"),
            "{text}"
        );
        case.expected.as_mut().unwrap().must = true;
        assert_eq!(result_of(&case), "not ok 1 x");
    }

    #[test]
    fn the_totals_are_those_of_kselftest() {
        assert_eq!(
            totals_line(&samples::record()),
            "# Totals: pass:1 fail:1 xfail:0 xpass:0 skip:1 error:0\n"
        );
    }

    #[test]
    fn a_run_that_ends_early_says_so_in_a_line() {
        let failure = Failure::Control("a\nok 1 x".into());
        assert_eq!(
            bail_out_line(&failure),
            "Bail out! failed to talk to the device: a ok 1 x\n"
        );
        let ended = bail_out_line(&Failure::Interrupted);
        assert_eq!(ended, "Bail out! interrupted\n");
    }

    #[test]
    fn a_kernels_last_words_do_not_end_the_report() {
        for words in LAST_WORDS {
            let mut case = samples::case("x", Verdict::Fail);
            case.reasons = vec![format!("it said: {words} and no more")];
            assert!(!case_lines(1, &case).contains(words));
        }
    }

    #[test]
    fn a_reason_cannot_forge_a_line() {
        let mut case = samples::case("x", Verdict::Fail);
        case.reasons = vec!["a\nok 1 x # SKIP".into()];
        let text = case_lines(1, &case);
        let results: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(results, ["not ok 1 x"]);
    }
}
