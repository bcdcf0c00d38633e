// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The kernels of this repository: what is said of them and what is there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use irqstorm_images::{Images, KernelChoice, KernelSpec, Mutant};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn images() -> Images {
    Images::new(Path::new("/nonexistent"), &repository())
}

fn mutants() -> Vec<KernelSpec> {
    let mut all = images().list().unwrap();
    all.retain(|spec| spec.mutant.is_some());
    all
}

fn broken_by(kernel: &KernelSpec) -> &Mutant {
    kernel.mutant.as_ref().unwrap()
}

/// The first claim that a mutant's header names.
fn claim_of_header(mutant: &KernelSpec) -> u32 {
    let patch = fs::read_to_string(mutant.patches.last().unwrap()).unwrap();
    let (header, _) = patch.split_once("\n---\n").unwrap();
    let words: Vec<&str> = header.split_whitespace().collect();
    let number = words
        .windows(2)
        .find(|pair| pair[0].eq_ignore_ascii_case("claim"))
        .map(|pair| pair[1]);
    number.unwrap().parse().unwrap()
}

/// The rows of a table of the README whose first cell begins so.
fn rows(begin: &str) -> Vec<Vec<String>> {
    let readme = fs::read_to_string(repository().join("images/kernels/README.md")).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with(begin));
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

#[test]
fn the_readme_has_every_mutant_as_its_kernel_has_it() {
    let listed: BTreeSet<(String, String, String)> = rows("| `")
        .iter()
        .filter(|cells| cells[1].contains('~'))
        .map(|cells| {
            let [_, name, claim, breaks, ..] = &cells[..] else {
                panic!("{cells:?}");
            };
            (name.replace('`', ""), claim.clone(), breaks.clone())
        })
        .collect();
    let there: BTreeSet<(String, String, String)> = mutants()
        .iter()
        .map(|kernel| {
            let mutant = broken_by(kernel);
            let configs: String = mutant.configs.iter().map(|c| format!(":{c}")).collect();
            let name = format!("{}{configs}", kernel.name);
            (name, mutant.claim.to_string(), mutant.breaks.clone())
        })
        .collect();
    assert_eq!(listed, there);
}

#[test]
fn a_mutants_header_names_the_same_claim_as_its_kernel() {
    for kernel in mutants() {
        let claim = broken_by(&kernel).claim;
        assert_eq!(claim_of_header(&kernel), claim, "{}", kernel.name);
    }
}

#[test]
fn variants_and_what_mutants_need_to_show_are_configurations() {
    let images = images();
    for kernel in images.list().unwrap() {
        let needed = kernel.mutant.iter().flat_map(|mutant| &mutant.configs);
        for config in needed.chain(&kernel.variants) {
            let name = format!("{}:{config}", kernel.name);
            assert!(images.resolve(&name).is_ok(), "{name}");
        }
    }
}

#[test]
fn a_mutant_that_needs_a_configuration_has_a_sound_kernel_with_it() {
    for kernel in mutants() {
        for config in &broken_by(&kernel).configs {
            assert!(kernel.variants.contains(config), "{}:{config}", kernel.name);
        }
    }
}

#[test]
fn every_claim_has_a_mutant() {
    let claims: BTreeSet<u32> = rows("| ")
        .iter()
        .filter_map(|cells| cells[1].parse().ok())
        .collect();
    let broken: BTreeSet<u32> = mutants()
        .iter()
        .map(|kernel| broken_by(kernel).claim)
        .collect();
    assert_eq!(claims, broken);
    assert_eq!(claims, (1..=27).collect());
}

#[test]
fn every_kernel_takes_every_configuration() {
    let images = images();
    let configs = images.configs().unwrap();
    let names: Vec<&str> = configs.iter().map(|config| config.name.as_str()).collect();
    assert_eq!(
        names,
        ["debug", "dontcache", "no-preempt-count", "programs", "rt"]
    );
    for kernel in images.list().unwrap() {
        for config in &configs {
            assert!(!config.description.is_empty(), "{}", config.name);
            let name = format!("{}:{}", kernel.name, config.name);
            let KernelChoice::Named(spec) = images.resolve(&name).unwrap() else {
                panic!("{name} is no kernel by name");
            };
            assert_eq!(spec.config.last(), Some(&config.fragment), "{name}");
        }
    }
}
