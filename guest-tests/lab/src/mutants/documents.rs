// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the project's documents say of tests, mutants and designs, held against
//! what the code says.
//!
//! The tables of README.md are those of guest-tests/mutants.json, which is what
//! `irqstorm mutants --seeds 3 --write README.md --json` printed last.

use std::collections::BTreeSet;
use std::fs;

use irqstorm_agent::catalogue::TESTS;

use super::matrix::Matrix;
use super::report::Report;
use super::selection::Selection;
use super::write::replaced;
use crate::repository::Repository;

/// What to do when one of these fails.
const MAKE: &str =
    "run: irqstorm mutants --seeds 3 --write README.md --json > guest-tests/mutants.json";

fn read(name: &str) -> String {
    fs::read_to_string(Repository::find().unwrap().root().join(name)).unwrap()
}

fn report() -> Report {
    serde_json::from_str(&read("guest-tests/mutants.json")).unwrap()
}

fn matrix() -> Matrix {
    let images = Repository::find().unwrap().images().unwrap();
    Matrix::of(&images.list().unwrap(), &Selection::default()).unwrap()
}

#[test]
fn the_readmes_tables_are_those_of_the_last_report() {
    let readme = read("README.md");
    assert_eq!(replaced(&readme, &report()).unwrap(), readme, "{MAKE}");
}

#[test]
fn the_last_report_has_every_mutant_as_its_kernel_describes_it() {
    let there: BTreeSet<(String, u32, String)> = matrix()
        .rows
        .into_iter()
        .filter_map(|row| {
            let mutant = row.mutant?;
            Some((row.kernel, mutant.claim, mutant.breaks))
        })
        .collect();
    let reported: BTreeSet<(String, u32, String)> = report()
        .mutants
        .into_iter()
        .map(|mutant| (mutant.kernel, mutant.claim, mutant.breaks))
        .collect();
    assert_eq!(reported, there, "{MAKE}");
}

#[test]
fn the_last_report_has_every_test_of_a_claim_on_every_sound_kernel() {
    let there: BTreeSet<(String, String)> = matrix()
        .rows
        .into_iter()
        .filter(|row| row.mutant.is_none())
        .flat_map(|row| {
            let kernel = row.kernel;
            let tests = row.tests.into_iter();
            tests.map(move |test| (kernel.clone(), test.name.to_owned()))
        })
        .collect();
    let reported: BTreeSet<(String, String)> = report()
        .sound
        .into_iter()
        .map(|whole| (whole.kernel, whole.tally.test))
        .collect();
    assert_eq!(reported, there, "{MAKE}");
}

/// The rows of the table of claims, by their numbers.
fn claims() -> Vec<(u32, String)> {
    let readme = read("images/kernels/README.md");
    let numbered = readme.lines().filter_map(|line| {
        let number = line.strip_prefix("| ")?.split(' ').next()?;
        Some((number.parse().ok()?, line.to_owned()))
    });
    numbered.collect()
}

#[test]
fn every_claim_of_a_test_is_in_the_table_of_claims() {
    let known: BTreeSet<u32> = claims().into_iter().map(|(claim, _)| claim).collect();
    for test in TESTS {
        for claim in test.claims {
            assert!(known.contains(claim), "{} claims {claim}", test.name);
        }
    }
}

#[test]
fn what_designs_break_is_in_the_table_of_claims() {
    let claims = claims();
    for test in TESTS {
        for design in test.by_design {
            for claim in test.claims {
                let row = claims.iter().find(|(number, _)| number == claim);
                let (_, line) = row.unwrap();
                let all = design.kernel.starts_with("7.2+") && line.contains("`7.2+` kernels");
                assert!(
                    all || line.contains(&format!("`{}`", design.kernel)),
                    "{} fails on {} by design, and claim {claim} has nothing of it",
                    test.name,
                    design.kernel
                );
            }
        }
    }
}

#[test]
fn every_mutant_has_a_test_that_does_not_fail_on_its_own_kernel() {
    for row in matrix().rows.iter().filter(|row| row.mutant.is_some()) {
        let telling = |test: &&irqstorm_agent::catalogue::TestInfo| {
            test.fails_by_design(&row.kernel).is_none()
        };
        assert!(
            row.tests.is_empty() || row.tests.iter().any(telling),
            "{}",
            row.kernel
        );
    }
}
