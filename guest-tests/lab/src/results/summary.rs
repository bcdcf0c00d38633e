// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The summary that a person reads at the end.

use irqstorm_agent::protocol::figures;

use super::outcome::Outcome;
use super::record::{Case, Record};
use super::table;

/// The table of tests, the sums in words, and what failed.
pub(crate) fn summary(record: &Record) -> String {
    let mut text = format!("{}\n\n", table::text(&cases_table(record)));
    for line in proof(record) {
        text.push_str(&line);
        text.push('\n');
    }
    for case in &record.cases {
        text.extend(told(case));
    }
    let totals = record.totals();
    let known = match totals.known {
        0 => String::new(),
        known => format!("{known} failed as expected, "),
    };
    text.push_str(&format!(
        "{} passed, {} failed, {known}{} skipped, in {:.0} s (kernel {}, {} disk, {}, seed {})\n",
        totals.passed,
        totals.failed,
        totals.skipped,
        record.seconds,
        record.kernel.name,
        record.disk,
        record.accel,
        record.seed
    ));
    if let Some(replay) = &record.replay {
        text.push_str(&format!(
            "of {} requests {} got the decision recorded for them, {} were not recorded\n",
            replay
                .counts
                .repeated
                .saturating_add(replay.counts.unrecorded),
            replay.counts.repeated,
            replay.counts.unrecorded
        ));
    }
    text
}

/// What there is to say of a case that did not simply pass.
fn told(case: &Case) -> Option<String> {
    let reasons = case.reasons.join("; ");
    let (word, remark) = match case.outcome() {
        Outcome::Passed => return None,
        Outcome::Failed | Outcome::NotFailed | Outcome::NotRun => ("FAILED", case.remark()),
        Outcome::Skipped => ("skipped", None),
        Outcome::Known => ("known", case.remark()),
        Outcome::Fixed => ("passed", case.remark()),
    };
    let parts: Vec<String> = [Some(reasons), remark].into_iter().flatten().collect();
    let parts: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    Some(format!("{word} {}: {}\n", case.name, parts.join("; ")))
}

fn cases_table(record: &Record) -> comfy_table::Table {
    let mut table = table::new(&[
        "test",
        "verdict",
        "tagged>task",
        "untagged>hardirq",
        "runs",
        "bios/run",
        "switches/bio",
        "irqs written",
        "spurious",
        "delivered",
        "seconds",
    ]);
    for case in &record.cases {
        table.add_row(cells(case));
    }
    table::align_right(&mut table, 2);
    table
}

fn cells(case: &Case) -> Vec<String> {
    let number = |name| case.figure(name).map_or_else(|| "-".to_owned(), whole);
    let part_of = |part, all| match (case.figure(part), case.figure(all)) {
        (Some(part), Some(all)) if all > 0.0 => format!("{}/{}", whole(part), whole(all)),
        _ => "-".to_owned(),
    };
    let ratio = |value: Option<f64>, by: Option<f64>| match (value, by) {
        (Some(value), Some(by)) if by > 0.0 => format!("{:.2}", value / by),
        _ => "-".to_owned(),
    };
    let bios = sum_of_known(case, &[figures::TAGGED, figures::UNTAGGED]);
    let device = |count: fn(&super::DeviceCounts) -> u64| {
        let counts = case.device.as_ref();
        counts.map_or_else(|| "-".to_owned(), |counts| count(counts).to_string())
    };
    vec![
        case.name.clone(),
        match case.outcome() {
            Outcome::Passed | Outcome::Fixed => "pass",
            Outcome::Failed | Outcome::NotFailed | Outcome::NotRun => "FAIL",
            Outcome::Known => "known",
            Outcome::Skipped => "skip",
        }
        .to_owned(),
        part_of(figures::TAGGED_IN_TASK, figures::TAGGED),
        part_of(figures::UNTAGGED_IN_HARDIRQ, figures::UNTAGGED),
        number(figures::WORKER_RUNS),
        ratio(
            case.figure(figures::WORKER_BIOS),
            case.figure(figures::WORKER_RUNS),
        ),
        ratio(case.figure(figures::SWITCHES), bios),
        device(|counts| counts.signalled),
        device(|counts| counts.spurious),
        number(figures::DELIVERED),
        format!("{:.1}", case.seconds),
    ]
}

fn sum_of_known(case: &Case, names: &[&str]) -> Option<f64> {
    let known: Vec<f64> = names.iter().filter_map(|name| case.figure(name)).collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

/// What the whole run shows, in sentences.
fn proof(record: &Record) -> Vec<String> {
    let sum = |name: &str| -> f64 {
        let known = record.cases.iter().filter_map(|case| case.figure(name));
        known.sum()
    };
    // Not every test that counts bios says where they ended.
    let sum_with = |name: &str, with: &str| -> f64 {
        let saying = record
            .cases
            .iter()
            .filter(|case| case.figure(with).is_some());
        saying.filter_map(|case| case.figure(name)).sum()
    };
    let mut lines = Vec::new();
    let tagged = sum_with(figures::TAGGED, figures::TAGGED_IN_TASK);
    if tagged > 0.0 {
        let share = all_or_some(sum(figures::TAGGED_IN_TASK), tagged);
        lines.push(format!(
            "{} tagged bios, {share} ended in task context",
            whole(tagged)
        ));
    }
    let untagged = sum_with(figures::UNTAGGED, figures::UNTAGGED_IN_HARDIRQ);
    if untagged > 0.0 {
        let share = all_or_some(sum(figures::UNTAGGED_IN_HARDIRQ), untagged);
        lines.push(format!(
            "{} untagged bios next to them, {share} ended in hardirq",
            whole(untagged)
        ));
    }
    let runs = sum(figures::WORKER_RUNS);
    if runs > 0.0 {
        lines.push(format!(
            "{} worker runs, {:.2} bios a run, {} context switches",
            whole(runs),
            sum(figures::WORKER_BIOS) / runs,
            whole(sum(figures::SWITCHES))
        ));
    }
    lines.extend(interrupts(record));
    lines
}

/// Written and delivered, over the tests for which both are known.
fn interrupts(record: &Record) -> Option<String> {
    let known: Vec<(u64, u64, f64)> = record
        .cases
        .iter()
        .filter_map(|case| {
            let device = case.device?;
            let delivered = case.figure(figures::DELIVERED)?;
            Some((device.signalled, device.spurious, delivered))
        })
        .collect();
    let signalled: u64 = known.iter().map(|(signalled, ..)| signalled).sum();
    let spurious: u64 = known.iter().map(|(_, spurious, _)| spurious).sum();
    let delivered: f64 = known.iter().map(|(.., delivered)| delivered).sum();
    (!known.is_empty()).then(|| {
        format!(
            "{} interrupts written by the device ({signalled} for completions, {spurious} spurious), {} delivered in /proc/interrupts: written ones merge on the way",
            signalled + spurious,
            whole(delivered)
        )
    })
}

fn all_or_some(part: f64, all: f64) -> String {
    match part >= all {
        true => "all".to_owned(),
        false => format!("only {}", whole(part)),
    }
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

#[cfg(test)]
mod tests {
    use super::super::outcome::{Expected, Source};
    use super::super::record::samples;
    use super::*;

    #[test]
    fn the_summary_says_what_ended_where_and_what_was_written_and_delivered() {
        let text = summary(&samples::record());
        for words in [
            "100 tagged bios, all ended in task context",
            "50 untagged bios next to them, all ended in hardirq",
            "40 worker runs, 2.50 bios a run, 200 context switches",
            "210 interrupts written by the device (150 for completions, 60 spurious), 170 delivered",
            "FAILED exactly-once: 3 bios ended twice",
            "skipped hotplug-drain: the kernel has no",
            "1 passed, 1 failed, 1 skipped",
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
    }

    #[test]
    fn a_failure_that_was_expected_is_told_as_one() {
        let mut record = samples::record();
        record.cases[1].expected = Some(Expected {
            by: Source::Design,
            why: "so it is made".into(),
            place: None,
            must: true,
        });
        let text = summary(&record);
        for words in [
            "known exactly-once: 3 bios ended twice;",
            "failed as expected, by design: so it is made",
            "1 passed, 0 failed, 1 failed as expected, 1 skipped",
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
    }

    #[test]
    fn what_no_test_counted_is_not_claimed() {
        let mut record = samples::record();
        for figure in &mut record.cases[0].figures {
            figure.value = 0.0;
        }
        let text = summary(&record);
        assert!(!text.contains("all ended"), "{text}");
    }

    #[test]
    fn a_bio_in_the_wrong_place_is_not_called_all() {
        let mut record = samples::record();
        let figures = &mut record.cases[0].figures;
        let in_task = figures
            .iter_mut()
            .find(|f| f.name == figures::TAGGED_IN_TASK);
        in_task.unwrap().value = 99.0;
        let text = summary(&record);
        assert!(text.contains("100 tagged bios, only 99 ended"), "{text}");
    }
}
