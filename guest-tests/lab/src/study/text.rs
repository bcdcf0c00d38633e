// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A study as text for a mail: 80 columns, plain.

use std::fmt::Write;

use super::figures::{self, number};
use super::measure::{Kind, Measure};
use super::table::{Effect, Estimate, Study};
use crate::results::table;

/// A mail has so many.
const COLUMNS: usize = 80;

/// The cells of a setting take as many at most.
const SETTING_COLUMNS: usize = 24;

/// All of it, the verdict first.
pub(crate) fn text(study: &Study) -> String {
    let mut text = format!("{}\n\n", title(study));
    // Writing to a string does not fail.
    for paragraph in [
        verdict(study),
        findings(study),
        conditions(study),
        left_out(study),
    ] {
        if !paragraph.is_empty() {
            let _ = writeln!(text, "{paragraph}");
        }
    }
    text += &how_to_read(study);
    for measure in 0..study.measures.len() {
        let _ = write!(text, "\n{}", measured(study, measure));
    }
    if let Some(command) = &study.command {
        let _ = write!(text, "\nAgain:\n  {command}\n");
    }
    text
}

/// What is compared.
pub(super) fn title(study: &Study) -> String {
    let names: Vec<&str> = study
        .subjects
        .iter()
        .map(|subject| subject.name.as_str())
        .collect();
    format!("{} of {}", study.experiment, names.join(", "))
}

/// What may be said, a sentence for each subject and measure that differs.
pub(super) fn verdict_lines(study: &Study) -> Vec<String> {
    let Some(first) = study.subjects.first() else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (index, subject) in study.subjects.iter().enumerate().skip(1) {
        let mut told: Vec<String> = Vec::new();
        let mut seldom = 0;
        for (place, measure) in study.measures.iter().enumerate() {
            let rows: Vec<&Estimate> = study
                .rows
                .iter()
                .filter(|row| row.measure == place)
                .filter_map(|row| row.estimates.get(index))
                .collect();
            for effect in [Effect::Less, Effect::More] {
                match seen(effect, &rows) {
                    0 => {}
                    some if some > by_chance(rows.len()) => {
                        told.push(sentence(&measure.name, effect, &rows));
                    }
                    _ => seldom += 1,
                }
            }
        }
        let rest = match seldom {
            0 => String::new(),
            some => format!("; effects at so few settings that chance alone would do: {some}"),
        };
        let all = match told.is_empty() {
            true => format!("{} cannot be told from {}{rest}.", subject.name, first.name),
            false => format!(
                "{} against {}: {}{rest}.",
                subject.name,
                first.name,
                told.join("; ")
            ),
        };
        lines.push(all);
    }
    lines
}

/// At how many settings it is so.
fn seen(effect: Effect, rows: &[&Estimate]) -> usize {
    rows.iter().filter(|one| one.effect == effect).count()
}

/// How many of so many 95 % intervals chance alone may have miss: with 95 % it
/// is no more. Both ways taken together, so that one way is seldom as many.
fn by_chance(intervals: usize) -> usize {
    let all = i32::try_from(intervals).unwrap_or(i32::MAX);
    let mut exactly = 0.95f64.powi(all);
    let mut at_most = exactly;
    let mut missed = 0;
    while at_most < 0.95 && missed < intervals {
        exactly *= (intervals - missed) as f64 / (missed + 1) as f64 * (0.05 / 0.95);
        at_most += exactly;
        missed += 1;
    }
    missed
}

/// "bios per worker run more at 12 of 24 settings (1.20x to 30.0x)".
fn sentence(name: &str, effect: Effect, rows: &[&Estimate]) -> String {
    let told = rows.iter().filter(|estimate| estimate.effect == effect);
    let ratios: Vec<f64> = told.filter_map(|estimate| estimate.ratio).collect();
    let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let high = ratios.iter().copied().fold(0.0, f64::max);
    let range = match number(low) == number(high) {
        true => format!("{}x", number(low)),
        false => format!("{}x to {}x", number(low), number(high)),
    };
    let at = match (rows.len(), ratios.len()) {
        (1, _) => String::new(),
        (all, some) if all == some => format!(" at all {all} settings"),
        (all, some) => format!(" at {some} of {all} settings"),
    };
    let word = match effect {
        Effect::Less => "less",
        _ => "more",
    };
    format!("{name} {word}{at} ({range})")
}

fn verdict(study: &Study) -> String {
    let lines = verdict_lines(study);
    lines.iter().map(|line| wrapped(line, "", "  ")).collect()
}

fn findings(study: &Study) -> String {
    if study.findings.is_empty() {
        return String::new();
    }
    let mut text = "What reviewers expected:\n".to_owned();
    for finding in &study.findings {
        let line = format!(
            "{}, {}: {} ({})",
            finding.outcome.word(),
            finding.subject,
            finding.expectation,
            finding.evidence
        );
        text += &wrapped(&line, "  ", "    ");
    }
    text
}

/// The conditions, one line for what all have in common and one for each subject.
pub(super) fn condition_lines(study: &Study) -> Vec<String> {
    let Some(first) = study.subjects.first() else {
        return Vec::new();
    };
    let common = &first.conditions;
    let mut lines = vec![format!(
        "{}; {} on QEMU {}, {} of {} CPUs, {} MiB, disk {}; scenario {}, seed {}",
        rounds(study),
        common.accel,
        common.qemu,
        common.cpus,
        common.host_cpus,
        common.memory_mib,
        common.disk,
        common.scenario,
        common.seed
    )];
    for (subject, column) in study.subjects.iter().zip(column_names(study)) {
        let kernel = &subject.conditions.kernel;
        let short = |text: &str| text.chars().take(12).collect::<String>();
        let letter = match column == subject.name {
            true => String::new(),
            false => format!("{column} is "),
        };
        let mut line = format!(
            "{letter}{}: Linux {}, kernel {}, config {}",
            subject.name,
            kernel.release.as_deref().unwrap_or("unknown"),
            short(&kernel.key),
            kernel.config.as_deref().map_or("unknown".to_owned(), short)
        );
        if let Some(precision) = &subject.precision {
            let _ = write!(
                line,
                "; completions {} late (p99 {}), interrupts {} (p99 {}), over a floor of {} (p99 {})",
                precision.published.p50,
                precision.published.p99,
                precision.signalled.p50,
                precision.signalled.p99,
                precision.floor.wakeup_p50,
                precision.floor.wakeup_p99
            );
        }
        lines.push(line);
    }
    let differing = study.differing();
    if !differing.is_empty() {
        lines.push(format!("NOT THE SAME FOR ALL: {}", differing.join(", ")));
    }
    lines
}

fn conditions(study: &Study) -> String {
    let lines = condition_lines(study);
    let lines = lines.iter().map(|line| wrapped(line, "  ", "    "));
    format!("Conditions:\n{}", lines.collect::<String>())
}

fn left_out(study: &Study) -> String {
    let lines = study
        .left_out
        .iter()
        .map(|line| wrapped(line, "  ", "    "));
    match study.left_out.is_empty() {
        true => String::new(),
        false => format!("Left out:\n{}", lines.collect::<String>()),
    }
}

/// In how many rounds all were measured.
pub(super) fn rounds(study: &Study) -> String {
    match study.rounds() {
        1 => "1 round".to_owned(),
        count => format!("{count} rounds"),
    }
}

/// What the tables mean.
pub(super) fn explanation(study: &Study) -> String {
    let mut text = "Medians of all rounds. '+' is more and '-' less than the first column, \
                    where the 95 % bootstrap interval of the ratio says so; '?' where there are \
                    too few rounds to say."
        .to_owned();
    if study.emulated() {
        text += " CPUs were emulated (TCG): counts and ratios are compared, and no time stands \
                 for one of a machine.";
    }
    text
}

fn how_to_read(study: &Study) -> String {
    wrapped(&explanation(study), "", "")
}

/// The names of the subjects, or letters for them if they are too long.
fn column_names(study: &Study) -> Vec<String> {
    let names = study.subjects.iter().map(|subject| subject.name.clone());
    let width: usize = names.clone().map(|name| name.len().max(8) + 2).sum();
    match width + SETTING_COLUMNS <= COLUMNS {
        true => names.collect(),
        false => ('A'..='Z')
            .map(String::from)
            .cycle()
            .take(study.subjects.len())
            .collect(),
    }
}

/// The table of one measure: a line for each setting, a column for each subject.
fn measured(study: &Study, index: usize) -> String {
    let Some(measure) = study.measures.get(index) else {
        return String::new();
    };
    let names = column_names(study);
    let set = study.settings.first().map_or(0, Vec::len);
    let heads: Vec<&str> = std::iter::repeat_n("", set)
        .chain(names.iter().map(String::as_str))
        .collect();
    let mut plain = table::new(&heads);
    for row in study.rows.iter().filter(|row| row.measure == index) {
        let setting = study.settings.get(row.setting).map(Vec::as_slice);
        let setting = figures::setting_cells(setting.unwrap_or_default());
        plain.add_row(setting.into_iter().chain(row.estimates.iter().map(cell)));
    }
    table::align_right(&mut plain, 0);
    format!(
        "{}\n{}\n",
        measure_title(study, measure),
        table::text(&plain)
    )
}

/// Its name and its unit, and whether that is one of an emulated clock.
pub(super) fn measure_title(study: &Study, measure: &Measure) -> String {
    let name = &measure.name;
    match (measure.unit.as_str(), measure.kind, study.emulated()) {
        ("", ..) => name.clone(),
        (unit, Kind::Time, true) => format!("{name} [{unit}, emulated]"),
        (unit, ..) => format!("{name} [{unit}]"),
    }
}

fn cell(estimate: &Estimate) -> String {
    let sign = match estimate.effect {
        Effect::More => "+",
        Effect::Less => "-",
        Effect::Unknown if estimate.ratio.is_some() => "?",
        Effect::Unknown | Effect::NotTold => " ",
    };
    match estimate.median {
        Some(median) => format!("{}{sign}", number(median)),
        None => String::new(),
    }
}

/// A paragraph in lines of a mail, the first of which begins with `first`.
fn wrapped(text: &str, first: &str, rest: &str) -> String {
    let mut lines = String::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        let room = line.chars().count() + word.chars().count() < COLUMNS;
        if !empty && !room {
            lines += &line;
            lines.push('\n');
            line = rest.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line += word;
        empty = false;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::super::table::Row;
    use super::*;

    #[test]
    fn it_says_what_differs_and_fits_into_a_mail() {
        let text = text(&samples::study());
        let long = text.lines().find(|line| line.chars().count() > COLUMNS);
        assert_eq!(long, None);
        for part in [
            "7.2+llist against 7.2+v4: bios per worker run more at all 2 settings (4.00x to\n",
            "confirmed, 7.2+llist: a jiffy's delay ends the storm",
            "the first 2 runs, which warm the machine up",
            "CPUs were emulated (TCG)",
            "throughput [/s, emulated]",
            "irqstorm compare --kernel 7.2+v4",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains("throughput less"), "{text}");
    }

    #[test]
    fn chance_is_a_quantile_of_the_binomial_distribution() {
        let quantiles = [1, 2, 8, 24, 100].map(by_chance);
        assert_eq!(quantiles, [0, 1, 2, 3, 9]);
    }

    #[test]
    fn what_chance_would_do_is_counted_and_not_told() {
        let verdict = |more: usize| {
            let mut study = samples::study();
            let row = |setting| {
                let effect = match setting < more {
                    true => Effect::More,
                    false => Effect::NotTold,
                };
                let second = Estimate {
                    ratio: Some(2.0),
                    effect,
                    ..Estimate::default()
                };
                Row {
                    setting,
                    measure: 0,
                    estimates: vec![Estimate::default(), second],
                }
            };
            study.rows = (0..24).map(row).collect();
            verdict_lines(&study).remove(0)
        };
        let chance = verdict(3);
        assert!(chance.contains("cannot be told from"), "{chance}");
        assert!(chance.contains("chance alone would do: 1."), "{chance}");
        let told = verdict(4);
        assert!(told.contains("more at 4 of 24 settings"), "{told}");
        assert!(!told.contains("chance"), "{told}");
    }

    #[test]
    fn with_two_rounds_nothing_is_called() {
        let mut samples = samples::samples();
        samples.samples.truncate(4);
        let study = Study::of(&samples, None);
        assert_eq!(
            verdict_lines(&study),
            ["7.2+llist cannot be told from 7.2+v4."]
        );
        assert!(text(&study).contains("30.0?"));
    }
}
