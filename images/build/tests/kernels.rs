// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The kernels of this repository: what is said of them and what is there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use irqstorm_images::{Images, KernelChoice, KernelSpec};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn images() -> Images {
    Images::new(Path::new("/nonexistent"), &repository())
}

fn mutants() -> Vec<KernelSpec> {
    let mut all = images().list().unwrap();
    all.retain(|spec| spec.name.contains('~'));
    all
}

/// The first claim that a mutant's header names.
fn claim_of(mutant: &KernelSpec) -> u32 {
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
fn every_mutant_is_in_the_readme_with_the_claim_of_its_header() {
    let listed: BTreeSet<(String, u32)> = rows("| `")
        .iter()
        .filter(|cells| cells[1].contains('~'))
        .map(|cells| (cells[1].replace('`', ""), cells[2].parse().unwrap()))
        .collect();
    let there: BTreeSet<(String, u32)> = mutants()
        .iter()
        .map(|mutant| (mutant.name.clone(), claim_of(mutant)))
        .collect();
    assert_eq!(listed, there);
}

#[test]
fn every_claim_has_a_mutant() {
    let claims: BTreeSet<u32> = rows("| ")
        .iter()
        .filter_map(|cells| cells[1].parse().ok())
        .collect();
    let broken: BTreeSet<u32> = mutants().iter().map(claim_of).collect();
    assert_eq!(claims, broken);
    assert_eq!(claims, (1..=27).collect());
}

#[test]
fn every_kernel_takes_every_configuration() {
    let images = images();
    let configs = images.configs().unwrap();
    let names: Vec<&str> = configs.iter().map(|config| config.name.as_str()).collect();
    assert_eq!(names, ["debug", "no-preempt-count", "rt"]);
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
