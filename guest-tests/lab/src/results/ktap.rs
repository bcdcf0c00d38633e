// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! KTAP version 1 (Documentation/dev-tools/ktap.rst), line by line as the run
//! goes.

use irqstorm_agent::protocol::Verdict;

use super::record::{Case, Record};

/// The version line, what is run, and the plan.
pub(crate) fn header_lines(record: &Record, cases: usize) -> String {
    let kernel = &record.kernel;
    let release = kernel.release.as_deref().unwrap_or("unknown");
    format!(
        "KTAP version 1\n# kernel {} ({release}), {} CPUs, {}, scenario {}, seed {}\n1..{cases}\n",
        one_line(&kernel.name),
        record.cpus,
        record.accel,
        one_line(&record.scenario),
        record.seed,
    )
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
    if case.verdict == Verdict::Pass {
        for splat in &case.splats {
            diagnostic(format!("as required, the kernel said: {}", splat.title));
        }
    }
    let skipped = case.verdict == Verdict::Skip;
    for reason in case.reasons.iter().skip(usize::from(skipped)) {
        diagnostic(reason.clone());
    }
    let ok = if case.verdict == Verdict::Fail {
        "not ok"
    } else {
        "ok"
    };
    text.push_str(&format!("{ok} {number} {}", case.name));
    match case.reasons.first() {
        Some(reason) if skipped => text.push_str(&format!(" # SKIP {}", one_line(reason))),
        _ => {}
    }
    text.push('\n');
    text
}

/// A '#' would begin a directive, and a newline another line.
fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() || c == '#' { ' ' } else { c };
    text.chars().map(clean).collect()
}

/// A figure as people read it: counts whole, anything else to a hundredth.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::super::record::samples;
    use super::*;

    #[test]
    fn a_run_reads_as_ktap() {
        let record = samples::record();
        let mut text = header_lines(&record, record.cases.len());
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

    #[test]
    fn a_reason_cannot_forge_a_line() {
        let mut case = samples::case("x", Verdict::Fail);
        case.reasons = vec!["a\nok 1 x # SKIP".into()];
        let text = case_lines(1, &case);
        let results: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(results, ["not ok 1 x"]);
    }
}
