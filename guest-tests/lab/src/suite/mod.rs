// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The tests, one after the other, each with a verdict.
//!
//! Tests that run on the same machine share a guest as long as all is well. A
//! guest in which a test failed is not trusted with the next one: it is ended
//! then, and another one booted, so that one hang does not lose the rest.

mod bench;
mod case;
mod expect;
mod names;
mod verdict;
mod ways;

use std::time::Instant;

use clap::ValueEnum;
pub(crate) use irqstorm_agent::catalogue::find;
use irqstorm_agent::catalogue::{CORE, Shape, TESTS, TestInfo};
use irqstorm_agent::protocol::Verdict;

pub(crate) use bench::Bench;
pub(crate) use expect::Expectations;
pub(crate) use verdict::exit_of;
pub(crate) use ways::{Way, ways_of};

use self::names::Pattern;
use crate::cli::{DiskKind, SuiteChoice};
use crate::failure::Failure;
use crate::results::{Case, Record};

/// The case that stands for all that the kernel said outside of the tests.
pub(crate) const QUIET: &str = "quiet-console";

/// The tests of these names; if none, those of a suite; without those that are
/// excluded, by name or pattern, and without those that are about other disks.
/// They are in the order of the catalogue, but those of one machine together,
/// so that it boots once.
pub(crate) fn select(
    names: &[String],
    suite: SuiteChoice,
    excluded: &[String],
    disk: DiskKind,
) -> Result<Vec<&'static TestInfo>, Failure> {
    for name in names {
        known(name)?;
    }
    let excluded = excluded
        .iter()
        .map(|text| Pattern::of_tests(text))
        .collect::<Result<Vec<_>, String>>()
        .map_err(|reason| Failure::BadArgument {
            what: "--exclude".into(),
            reason,
        })?;
    let wanted = |test: &&TestInfo| match suite {
        _ if !names.is_empty() => names.iter().any(|name| name == test.name),
        _ if !test.needs.disks.have(disk.is_nvme()) => false,
        SuiteChoice::All => !test.by_name,
        SuiteChoice::Core => CORE.contains(&test.name),
    };
    let kept = |test: &&TestInfo| !excluded.iter().any(|pattern| pattern.takes(test.name));
    let selected: Vec<&TestInfo> = TESTS.iter().filter(wanted).filter(kept).collect();
    if selected.is_empty() {
        return Err(Failure::BadArgument {
            what: "--exclude".into(),
            reason: "no test is left to run".into(),
        });
    }
    Ok(by_machine(selected))
}

/// The suite that these tests are all of, if they are one.
pub(crate) fn suite_of(tests: &[&'static TestInfo], disk: DiskKind) -> Option<SuiteChoice> {
    let is = |suite: &SuiteChoice| select(&[], *suite, &[], disk).is_ok_and(|all| all == tests);
    SuiteChoice::value_variants().iter().copied().find(is)
}

/// Machines in the order of their first tests, each with all of its tests.
pub(crate) fn by_machine(tests: Vec<&'static TestInfo>) -> Vec<&'static TestInfo> {
    let first_of = |test: &TestInfo| {
        let machine = test.needs.machine;
        tests
            .iter()
            .position(|other| other.needs.machine == machine)
    };
    let mut grouped = tests.clone();
    grouped.sort_by_key(|test| first_of(test));
    grouped
}

/// The machines of some tests, each once.
pub(crate) fn machines(tests: &[&'static TestInfo]) -> Vec<Shape> {
    let mut machines: Vec<Shape> = tests.iter().map(|test| test.needs.machine).collect();
    machines.dedup();
    machines
}

/// The names of tests that are to fail, each of which must be run.
pub(crate) fn check_expected(
    expected: &[String],
    selected: &[&'static TestInfo],
) -> Result<(), Failure> {
    for name in expected {
        known(name)?;
        if !selected.iter().any(|test| test.name == name) {
            return Err(Failure::BadArgument {
                what: format!("--expect-fail {name}"),
                reason: format!("that test is not run; add --test {name}"),
            });
        }
    }
    Ok(())
}

fn known(name: &str) -> Result<&'static TestInfo, Failure> {
    find(name).ok_or_else(|| {
        let names: Vec<&str> = TESTS.iter().map(|test| test.name).collect();
        Failure::UnknownName {
            kind: "test",
            name: name.to_owned(),
            known: names.join(", "),
        }
    })
}

/// Runs the tests; `on_case` sees the record after each.
pub(crate) fn run(
    bench: &mut Bench,
    tests: &[&'static TestInfo],
    expectations: &Expectations,
    record: &mut Record,
    on_case: &mut dyn FnMut(&Record, &Case) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let before = record.seconds;
    let mut add = |record: &mut Record, mut case: Case| {
        case.expected = expectations.of(&case.name, &record.kernel.name);
        record.cases.push(case.clone());
        record.seconds = before + begun.elapsed().as_secs_f64();
        on_case(record, &case)
    };
    for test in tests {
        let case = case::run(bench, test, record.seed)?;
        // What a test has made its kernel complain of lasts.
        let complained = test.expects.is_some() && case.verdict != Verdict::Skip;
        if case.verdict == Verdict::Fail || complained {
            bench.distrust_guest();
        }
        add(record, case)?;
    }
    record.complete = true;
    let quiet = quiet_console(bench);
    add(record, quiet)
}

fn quiet_console(bench: &Bench) -> Case {
    let splats = bench.console().splats_of(None);
    let reasons: Vec<String> = splats.iter().map(|splat| splat.title.clone()).collect();
    Case {
        name: QUIET.to_owned(),
        claim: "the kernel complains of nothing while no test runs".to_owned(),
        machine: None,
        verdict: match reasons.is_empty() {
            true => Verdict::Pass,
            false => Verdict::Fail,
        },
        reasons,
        seconds: 0.0,
        figures: Vec::new(),
        points: Vec::new(),
        device: None,
        splats,
        hang: None,
        trace: None,
        expected: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn all_tests_but_the_long_ones_are_run_unless_some_are_named() {
        for disk in [DiskKind::Virtio, DiskKind::Nvme] {
            let about = |test: &&TestInfo| test.needs.disks.have(disk.is_nvme());
            let short = TESTS.iter().filter(|test| !test.by_name).filter(about);
            let selected = select(&[], SuiteChoice::All, &[], disk).unwrap();
            assert!(selected.into_iter().eq(short));
        }
        let long = TESTS.iter().find(|test| test.by_name).unwrap();
        assert_eq!(
            select(
                &[long.name.to_owned()],
                SuiteChoice::All,
                &[],
                DiskKind::Virtio
            )
            .unwrap(),
            [long]
        );
        let names = ["task-context".to_owned()];
        let selected = select(&names, SuiteChoice::All, &[], DiskKind::Virtio).unwrap();
        assert_eq!(selected.len(), 1);
        assert_eq!(selected[0].name, "task-context");
    }

    #[test]
    fn the_core_boots_once() {
        let selected = select(&[], SuiteChoice::Core, &[], DiskKind::Virtio).unwrap();
        assert_eq!(selected.len(), CORE.len());
        assert_eq!(machines(&selected), [Shape::RUN]);
        let names = ["unplug".to_owned()];
        let named = select(&names, SuiteChoice::Core, &[], DiskKind::Virtio).unwrap();
        assert_eq!(named.len(), 1);
    }

    #[test]
    fn each_machine_boots_once() {
        let selected = select(&[], SuiteChoice::All, &[], DiskKind::Virtio).unwrap();
        let mut machines = machines(&selected);
        assert_eq!(machines[0], Shape::RUN);
        while let Some(machine) = machines.pop() {
            assert!(!machines.contains(&machine), "{machine}");
        }
    }

    #[test]
    fn an_unknown_test_is_answered_with_what_there_is() {
        let failure = select(
            &["nosuch".to_owned()],
            SuiteChoice::All,
            &[],
            DiskKind::Virtio,
        )
        .unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        let text = failure.to_string();
        assert!(
            text.contains("'nosuch'") && text.contains("task-context"),
            "{text}"
        );
    }

    #[test]
    fn what_is_to_fail_must_be_run() {
        let selected = select(
            &["task-context".to_owned()],
            SuiteChoice::All,
            &[],
            DiskKind::Virtio,
        )
        .unwrap();
        assert!(check_expected(&["task-context".to_owned()], &selected).is_ok());
        assert!(check_expected(&["exactly-once".to_owned()], &selected).is_err());
        assert!(check_expected(&["nosuch".to_owned()], &selected).is_err());
    }

    #[test]
    fn no_test_has_the_name_of_the_console_case() {
        assert!(find(QUIET).is_none());
    }
}
