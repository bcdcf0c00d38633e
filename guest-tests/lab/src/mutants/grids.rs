// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The two tables: what they say, whatever they are drawn with. Names stand in
//! backticks, what is to be looked at between stars.

use std::collections::BTreeMap;

use super::report::{Broken, BrokenVerdict, Report, Tally, Whole, WholeVerdict};

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grid {
    /// Names it in a file.
    pub(super) name: &'static str,
    /// Its header.
    pub(super) header: Vec<String>,
    /// Its rows, each as long as the header.
    pub(super) rows: Vec<Vec<String>>,
    /// What is said below it.
    pub(super) notes: Vec<String>,
}

/// Both tables, without those that have no rows.
pub(super) fn grids(report: &Report) -> Vec<Grid> {
    let all = [mutants(report), sound(report)];
    all.into_iter()
        .filter(|grid| !grid.rows.is_empty())
        .collect()
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

/// Mutants, by whom they are caught and missed.
fn mutants(report: &Report) -> Grid {
    let header = ["mutant", "claim", "breaks", "caught by", "missed by"];
    let rows = report.mutants.iter().map(|mutant| {
        vec![
            code(&mutant.kernel),
            mutant.claim.to_string(),
            mutant.breaks.clone(),
            caught_by(mutant, report),
            missed_by(mutant, report),
        ]
    });
    let mut notes = vec![mutants_in_words(report)];
    notes.extend(report.mutants.iter().filter_map(failed_as_well));
    Grid {
        name: "mutants",
        header: header.map(str::to_owned).into(),
        rows: rows.collect(),
        notes,
    }
}

fn caught_by(mutant: &Broken, report: &Report) -> String {
    let mut words: Vec<String> = match mutant.verdict {
        BrokenVerdict::Caught => Vec::new(),
        BrokenVerdict::Missed => vec!["*missed*".into()],
        BrokenVerdict::NoTest => return "*no test yet*".into(),
        BrokenVerdict::Unsettled => vec![not_run(&mutant.tests)],
    };
    let failed = mutant.tests.iter().filter(|tally| !tally.failed.is_empty());
    words.extend(failed.map(|tally| {
        let ways: Vec<&str> = tally.ways.iter().map(|way| way.words()).collect();
        let seeds = of_all(&tally.failed, report);
        format!("{}{seeds}: {}", code(&tally.test), ways.join(", "))
    }));
    words.join("; ")
}

fn missed_by(mutant: &Broken, report: &Report) -> String {
    let mut words = Vec::new();
    for tally in &mutant.tests {
        if !tally.passed.is_empty() {
            let seeds = of_all(&tally.passed, report);
            words.push(format!("{}{seeds}", code(&tally.test)));
        }
        if !tally.skipped.is_empty() {
            let why = tally.reason.as_deref().unwrap_or("for no reason");
            words.push(format!("{}: skipped, {why}", code(&tally.test)));
        }
    }
    words.join("; ")
}

/// Nothing if it is all seeds, else how many of them.
fn of_all(seeds: &[u64], report: &Report) -> String {
    match seeds.len() == report.seeds.len() {
        true => String::new(),
        false => format!(" ({} of {} seeds)", seeds.len(), report.seeds.len()),
    }
}

/// Why something was not run.
fn not_run(tallies: &[Tally]) -> String {
    let missing = tallies.iter().find(|tally| !tally.not_run.is_empty());
    let reason = missing.and_then(|tally| tally.reason.as_deref());
    match reason.filter(|_| missing.is_some_and(|tally| tally.runs() == 0)) {
        // What failed has lines of its own below the first.
        Some(reason) => format!("*not run*: {}", reason.lines().next().unwrap_or_default()),
        None => "*not run*".into(),
    }
}

/// The tests of other claims that fail on it: no catches, and worth a word.
fn failed_as_well(mutant: &Broken) -> Option<String> {
    let failed = mutant
        .others
        .iter()
        .filter(|tally| !tally.failed.is_empty());
    let names: Vec<String> = failed.map(|tally| code(&tally.test)).collect();
    (!names.is_empty()).then(|| {
        format!(
            "On {} there also failed {}.",
            code(&mutant.kernel),
            names.join(", ")
        )
    })
}

fn mutants_in_words(report: &Report) -> String {
    let names = |verdict| -> Vec<String> {
        let those = report.mutants.iter().filter(|m| m.verdict == verdict);
        those.map(|mutant| code(&mutant.kernel)).collect()
    };
    let mut words = format!(
        "{} of {} mutants caught with {}",
        names(BrokenVerdict::Caught).len(),
        report.mutants.len(),
        seeds_in_words(report)
    );
    for (verdict, what) in [
        (BrokenVerdict::Missed, "missed"),
        (BrokenVerdict::NoTest, "without a test of their claim yet"),
        (BrokenVerdict::Unsettled, "not run"),
    ] {
        let names = names(verdict);
        if !names.is_empty() {
            words += &format!("; {what}: {}", names.join(", "));
        }
    }
    words + "."
}

fn seeds_in_words(report: &Report) -> String {
    match report.seeds.len() {
        1 => "one seed".into(),
        count => format!("each of {count} seeds"),
    }
}

/// Tests × kernels, with what fails where and why.
fn sound(report: &Report) -> Grid {
    let kernels = kernels_of(report);
    let mut header = vec!["test".to_owned(), "claim".to_owned()];
    header.extend(kernels.iter().map(|kernel| code(kernel)));
    let mut designs = Designs::default();
    let mut rows = Vec::new();
    for (test, config) in tests_of(report) {
        let here = |kernel: &str| {
            let name = format!("{kernel}{config}");
            let mut wholes = report.sound.iter();
            wholes.find(|whole| whole.kernel == name && whole.tally.test == test)
        };
        let claims = kernels.iter().find_map(|kernel| here(kernel));
        let claims = claims.map(|whole| whole.claims.as_slice());
        let claims = claims.unwrap_or_default().iter().map(u32::to_string);
        let with = if config.is_empty() { "" } else { ", " };
        let mut row = vec![
            format!("{}{with}{}", code(test), quoted(config)),
            Vec::from_iter(claims).join(", "),
        ];
        for kernel in &kernels {
            let words = here(kernel).map(|whole| settled(whole, report, &mut designs));
            row.push(words.unwrap_or_default());
        }
        rows.push(row);
    }
    let mut notes = vec![sound_in_words(report)];
    notes.extend(designs.notes());
    notes.extend(report.sound.iter().filter_map(accusation));
    Grid {
        name: "sound",
        header,
        rows,
        notes,
    }
}

fn quoted(config: &str) -> String {
    match config.is_empty() {
        true => String::new(),
        false => code(config),
    }
}

/// The kernels, without configurations, in the order of the matrix.
fn kernels_of(report: &Report) -> Vec<&str> {
    let mut kernels: Vec<&str> = Vec::new();
    for whole in &report.sound {
        let (kernel, _) = split(&whole.kernel);
        if !kernels.contains(&kernel) {
            kernels.push(kernel);
        }
    }
    kernels
}

/// Tests and configurations, in the order of their claims.
fn tests_of(report: &Report) -> Vec<(&str, &str)> {
    let mut tests: Vec<(u32, &str, &str)> = Vec::new();
    for whole in &report.sound {
        let (_, config) = split(&whole.kernel);
        // What has no claim comes last.
        let claim = whole.claims.first().copied().unwrap_or(u32::MAX);
        let test = (claim, whole.tally.test.as_str(), config);
        if !tests.contains(&test) {
            tests.push(test);
        }
    }
    tests.sort_by_key(|(claim, ..)| *claim);
    tests
        .into_iter()
        .map(|(_, test, config)| (test, config))
        .collect()
}

/// "7.3" and ":rt".
fn split(kernel: &str) -> (&str, &str) {
    let end = kernel.find(':').unwrap_or(kernel.len());
    kernel.split_at(end)
}

fn settled(whole: &Whole, report: &Report, designs: &mut Designs) -> String {
    let why = whole.by_design.as_deref().unwrap_or_default();
    match whole.verdict {
        WholeVerdict::Holds => "holds".into(),
        WholeVerdict::Broken => format!("fails [{}]", designs.number(why, &whole.kernel)),
        WholeVerdict::Accused => {
            format!("*fails*{}", of_all(&whole.tally.failed, report))
        }
        WholeVerdict::NotBroken => format!(
            "*passes*{} in spite of [{}]",
            of_all(&whole.tally.passed, report),
            designs.number(why, &whole.kernel)
        ),
        WholeVerdict::Skipped => "skipped".into(),
        WholeVerdict::Unsettled => not_run(std::slice::from_ref(&whole.tally)),
    }
}

/// What designs break, numbered as it comes up.
#[derive(Default)]
struct Designs {
    numbers: BTreeMap<String, usize>,
    kernels: Vec<Vec<String>>,
}

impl Designs {
    fn number(&mut self, why: &str, kernel: &str) -> usize {
        let next = self.numbers.len() + 1;
        let number = *self.numbers.entry(why.to_owned()).or_insert(next);
        if number == next {
            self.kernels.push(Vec::new());
        }
        if let Some(kernels) = self.kernels.get_mut(number - 1) {
            let name = code(kernel);
            if !kernels.contains(&name) {
                kernels.push(name);
            }
        }
        number
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<(usize, String)> = self
            .numbers
            .iter()
            .map(|(why, &number)| {
                let kernels = self.kernels.get(number - 1);
                let kernels = kernels.map(|names| names.join(", ")).unwrap_or_default();
                (number, format!("[{number}] By design of {kernels}: {why}."))
            })
            .collect();
        notes.sort();
        notes.into_iter().map(|(_, note)| note).collect()
    }
}

fn accusation(whole: &Whole) -> Option<String> {
    let accused = whole.verdict == WholeVerdict::Accused;
    accused.then(|| {
        format!(
            "*Accused*: {} by {}: {}",
            code(&whole.kernel),
            code(&whole.tally.test),
            whole.tally.reason.as_deref().unwrap_or("without a reason")
        )
    })
}

fn sound_in_words(report: &Report) -> String {
    let count = |verdict| {
        let those = report.sound.iter().filter(|w| w.verdict == verdict);
        those.count()
    };
    let mut words = format!(
        "With {}: {} hold, {} fail by design, {} accuse a sound kernel",
        seeds_in_words(report),
        count(WholeVerdict::Holds),
        count(WholeVerdict::Broken),
        count(WholeVerdict::Accused)
    );
    for (verdict, what) in [
        (WholeVerdict::NotBroken, "pass in spite of the design"),
        (WholeVerdict::Skipped, "are skipped"),
        (WholeVerdict::Unsettled, "were not run"),
    ] {
        let count = count(verdict);
        if count > 0 {
            words += &format!(", {count} {what}");
        }
    }
    words + "."
}

#[cfg(test)]
mod tests {
    use super::super::report::samples::report;
    use super::*;

    fn row<'g>(grid: &'g Grid, name: &str) -> &'g [String] {
        let mut rows = grid.rows.iter();
        rows.find(|row| row[0] == name).unwrap()
    }

    #[test]
    fn mutants_are_shown_with_who_caught_and_who_missed_them() {
        let grid = &grids(&report())[0];
        let told = |name: &str| {
            let row = row(grid, name);
            (row[3].clone(), row[4].clone())
        };
        assert_eq!(
            told("`7.2+v4~lifo`"),
            ("`fifo-per-cpu`: its check".into(), String::new())
        );
        assert_eq!(
            told("`7.3~queue-per-bio`"),
            ("`queue-calls`: its check".into(), "`switch-count`".into())
        );
        assert_eq!(
            told("`7.2+v4~end-twice`"),
            (
                "*missed*; `exactly-once` (1 of 2 seeds): its check".into(),
                "`exactly-once` (1 of 2 seeds)".into()
            )
        );
        assert_eq!(told("`7.2+v4~status-reset`").0, "*not run*");
        assert_eq!(told("`7.3~no-mem-reclaim`").0, "*no test yet*");
        assert!(
            grid.notes[0].starts_with(
                "2 of 5 mutants caught with each of 2 seeds; missed: `7.2+v4~end-twice`"
            ),
            "{:?}",
            grid.notes
        );
    }

    #[test]
    fn sound_kernels_are_shown_with_what_their_designs_break_and_why() {
        let grid = &grids(&report())[1];
        assert_eq!(grid.header, ["test", "claim", "`7.2+v4`", "`7.3`"]);
        assert_eq!(row(grid, "`fifo-per-cpu`")[1..], ["8", "holds", "holds"]);
        assert_eq!(
            row(grid, "`queue-calls`")[1..],
            ["18", "fails [1]", "holds"]
        );
        assert_eq!(row(grid, "`preempt-rt`, `:rt`")[1..], ["5", "", "skipped"]);
        assert!(grid.notes[1].starts_with("[1] By design of `7.2+v4`: it queues"));
    }
}
