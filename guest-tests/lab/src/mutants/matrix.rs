// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Which tests are run on which kernels.
//!
//! A mutant has the tests of its claim. The kernels that mutants were made of
//! are the sound ones, and each has the tests of all claims: with its own
//! configuration, and with those of its variants in which a test settles more
//! or a design is said to break its claim. A variant is a whole build, so not
//! every kernel has all.

use std::collections::BTreeSet;

use irqstorm_agent::catalogue::{TESTS, TestInfo};
use irqstorm_images::{KernelSpec, Mutant};

use super::selection::{Selection, Which};
use crate::failure::Failure;
use crate::suite;

/// A kernel of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its name, with configurations.
    pub(crate) kernel: String,
    /// What is broken in it; `None` if it is sound.
    pub(crate) mutant: Option<Mutant>,
    /// What is run on it, in order.
    pub(crate) tests: Vec<&'static TestInfo>,
}

/// All rows: mutants first, each kernel's together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Matrix {
    /// They.
    pub(crate) rows: Vec<Row>,
}

impl Matrix {
    /// What is asked for, of the kernels there are.
    pub(crate) fn of(specs: &[KernelSpec], selection: &Selection) -> Result<Matrix, Failure> {
        let sound = sound_kernels(specs);
        for kernel in &selection.kernels {
            if !sound.iter().any(|spec| spec.name == *kernel) {
                let names: Vec<&str> = sound.iter().map(|spec| spec.name.as_str()).collect();
                return Err(Failure::UnknownName {
                    kind: "a kernel that has mutants named",
                    name: kernel.clone(),
                    known: names.join(", "),
                });
            }
        }
        let chosen = chosen_mutants(specs, selection);
        let mut rows = Vec::new();
        if selection.which != Which::Sound {
            let in_share = |place: usize| selection.share.is_none_or(|share| share.has(place));
            let shared = chosen.iter().enumerate();
            let shared = shared.filter(|(place, _)| in_share(*place));
            rows.extend(shared.map(|(_, (spec, mutant))| mutant_row(spec, mutant, selection)));
        }
        if selection.which != Which::Mutants {
            let claims = claims_of(specs, &chosen, selection);
            let tests = tests_of(|test| test.claims.iter().any(|claim| claims.contains(claim)));
            for kernel in sound {
                // Named mutants are held against what they were made of alone.
                let made_of = chosen.iter().any(|(spec, _)| base_of(spec) == kernel.name);
                let wanted = selection.mutants.is_empty() || made_of;
                if selection.has_kernel(&kernel.name) && wanted && !tests.is_empty() {
                    rows.extend(sound_rows(kernel, &tests, selection));
                }
            }
        }
        // A share may be empty, what is asked for may not.
        if chosen.is_empty() && rows.is_empty() {
            let all = specs.iter().filter(|spec| spec.mutant.is_some());
            let names: Vec<&str> = all.map(|spec| spec.name.as_str()).collect();
            return Err(Failure::UnknownName {
                kind: "a mutant for",
                name: asked_for(selection),
                known: names.join(", "),
            });
        }
        Ok(Matrix { rows })
    }
}

/// What was asked for, in the words of the command line.
fn asked_for(selection: &Selection) -> String {
    let kernels = selection
        .kernels
        .iter()
        .map(|name| format!("--kernel {name}"));
    let mutants = selection
        .mutants
        .iter()
        .map(|name| format!("--mutant {name}"));
    let claims = selection
        .claims
        .iter()
        .map(|claim| format!("--claim {claim}"));
    Vec::from_iter(kernels.chain(mutants).chain(claims)).join(" ")
}

fn base_of(spec: &KernelSpec) -> &str {
    spec.name.split('~').next().unwrap_or_default()
}

/// The kernels that mutants were made of.
fn sound_kernels(specs: &[KernelSpec]) -> Vec<&KernelSpec> {
    let of_mutants = specs.iter().filter(|spec| spec.mutant.is_some());
    let names: BTreeSet<&str> = of_mutants.map(base_of).collect();
    let kernels = specs.iter();
    kernels
        .filter(|spec| names.contains(spec.name.as_str()))
        .collect()
}

/// The claims whose tests a sound kernel has: those of the mutants that were
/// named, or else all that any kernel has a mutant for.
fn claims_of(
    specs: &[KernelSpec],
    chosen: &[(&KernelSpec, &Mutant)],
    selection: &Selection,
) -> BTreeSet<u32> {
    if !selection.mutants.is_empty() {
        return chosen.iter().map(|(_, mutant)| mutant.claim).collect();
    }
    let mutants = specs.iter().filter_map(|spec| spec.mutant.as_ref());
    mutants
        .map(|mutant| mutant.claim)
        .filter(|claim| selection.has_claim(*claim))
        .collect()
}

fn chosen_mutants<'s>(
    specs: &'s [KernelSpec],
    selection: &Selection,
) -> Vec<(&'s KernelSpec, &'s Mutant)> {
    let all = specs
        .iter()
        .filter_map(|spec| Some((spec, spec.mutant.as_ref()?)));
    all.filter(|(spec, mutant)| selection.has_mutant(spec, mutant))
        .collect()
}

/// The tests that fit, in the order of a run, without those that are run by
/// name only.
fn tests_of(fits: impl Fn(&TestInfo) -> bool) -> Vec<&'static TestInfo> {
    let tests = TESTS.iter().filter(|test| !test.by_name && fits(test));
    suite::by_machine(tests.collect())
}

fn mutant_row(spec: &KernelSpec, mutant: &Mutant, selection: &Selection) -> Row {
    let configs = mutant.configs.iter().map(|config| format!(":{config}"));
    Row {
        kernel: format!("{}{}", spec.name, String::from_iter(configs)),
        mutant: Some(mutant.clone()),
        tests: tests_of(|test| selection.all_tests || test.claims.contains(&mutant.claim)),
    }
}

/// A sound kernel, and those of its variants that one of the tests asks for.
fn sound_rows(kernel: &KernelSpec, tests: &[&'static TestInfo], selection: &Selection) -> Vec<Row> {
    let row = |kernel: String, tests: Vec<&'static TestInfo>| Row {
        kernel,
        mutant: None,
        tests,
    };
    let plain = match selection.all_tests {
        true => tests_of(|_| true),
        false => tests.to_vec(),
    };
    let mut rows = vec![row(kernel.name.clone(), plain)];
    for variant in &kernel.variants {
        let name = format!("{}:{variant}", kernel.name);
        let asking = tests.iter().copied();
        let asking: Vec<&TestInfo> = asking
            .filter(|test| asks_for(test, variant, &name))
            .collect();
        if !asking.is_empty() {
            rows.push(row(name, asking));
        }
    }
    rows
}

/// Whether a test settles more with a configuration, or a design is said to
/// break its claim with it.
fn asks_for(test: &TestInfo, config: &str, kernel: &str) -> bool {
    test.configs.contains(&config) || test.by_design.iter().any(|known| known.kernel == kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, claim: u32) -> KernelSpec {
        KernelSpec {
            name: name.into(),
            description: String::new(),
            version: "7.2".into(),
            config: Vec::new(),
            patches: Vec::new(),
            variants: vec!["no-preempt-count".into(), "rt".into()],
            mutant: name.contains('~').then(|| Mutant {
                claim,
                breaks: "all".into(),
                configs: Vec::new(),
            }),
        }
    }

    fn specs() -> Vec<KernelSpec> {
        let mut specs = vec![
            spec("7.2", 0),
            spec("7.2+v4", 0),
            spec("7.2+v4~lifo", 8),
            spec("7.2+v4~never-defers", 1),
            spec("7.3", 0),
            spec("7.3~always-defers", 7),
            spec("7.3~preemptible-gate", 5),
        ];
        for spec in &mut specs {
            if let Some(mutant) = spec.mutant.as_mut().filter(|mutant| mutant.claim == 5) {
                mutant.configs = vec!["rt".into()];
            }
        }
        specs
    }

    fn rows(selection: &Selection) -> Vec<(String, Vec<&'static str>)> {
        let matrix = Matrix::of(&specs(), selection).unwrap();
        let names = |row: &Row| row.tests.iter().map(|test| test.name).collect();
        let rows = matrix.rows.iter();
        rows.map(|row| (row.kernel.clone(), names(row))).collect()
    }

    #[test]
    fn mutants_have_the_tests_of_their_claims_and_sound_kernels_all_of_them() {
        let rows = rows(&Selection::default());
        let four = [
            "task-context",
            "fifo-per-cpu",
            "inline-in-task",
            "preempt-rt",
        ];
        let expected: Vec<(&str, Vec<&str>)> = vec![
            ("7.2+v4~lifo", vec!["fifo-per-cpu"]),
            ("7.2+v4~never-defers", vec!["task-context"]),
            ("7.3~always-defers", vec!["inline-in-task"]),
            ("7.3~preemptible-gate:rt", vec!["preempt-rt"]),
            ("7.2+v4", four.to_vec()),
            ("7.2+v4:rt", vec!["preempt-rt"]),
            ("7.3", four.to_vec()),
            ("7.3:no-preempt-count", vec!["inline-in-task"]),
            ("7.3:rt", vec!["preempt-rt"]),
        ];
        let rows: Vec<(&str, Vec<&str>)> = rows
            .iter()
            .map(|(kernel, tests)| (kernel.as_str(), tests.clone()))
            .collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_named_mutant_is_held_against_its_own_kernel() {
        for word in ["lifo", "7.2+v4~lifo", "li*", "*~lifo"] {
            let selection = Selection {
                mutants: Selection::patterns(&[word.to_owned()]).unwrap(),
                ..Selection::default()
            };
            let kernels: Vec<String> = rows(&selection).into_iter().map(|row| row.0).collect();
            assert_eq!(kernels, ["7.2+v4~lifo", "7.2+v4"], "{word}");
        }
    }

    #[test]
    fn a_claim_is_settled_on_every_sound_kernel() {
        let selection = Selection {
            claims: vec![1],
            ..Selection::default()
        };
        let kernels: Vec<String> = rows(&selection).into_iter().map(|row| row.0).collect();
        assert_eq!(kernels, ["7.2+v4~never-defers", "7.2+v4", "7.3"]);
    }

    #[test]
    fn a_sound_kernel_has_the_claims_of_other_kernels_mutants_as_well() {
        let selection = Selection {
            kernels: vec!["7.3".into()],
            claims: vec![5, 8],
            ..Selection::default()
        };
        let found = rows(&selection);
        let (kernel, tests) = &found[1];
        assert_eq!(kernel, "7.3");
        assert_eq!(tests, &["fifo-per-cpu", "preempt-rt"]);
        let without_a_mutant = rows(&Selection {
            kernels: vec!["7.3".into()],
            claims: vec![8],
            ..Selection::default()
        });
        assert_eq!(without_a_mutant[0].1, ["fifo-per-cpu"]);
    }

    #[test]
    fn one_of_two_is_left_out_on_request() {
        let only = |which| Selection {
            which,
            ..Selection::default()
        };
        let mutants = rows(&only(Which::Mutants));
        assert!(mutants.iter().all(|(kernel, _)| kernel.contains('~')));
        let sound = rows(&only(Which::Sound));
        assert!(sound.iter().all(|(kernel, _)| !kernel.contains('~')));
        assert_eq!(mutants.len() + sound.len(), rows(&only(Which::All)).len());
    }

    #[test]
    fn every_mutant_is_in_one_share() {
        let part = |text: &str| {
            rows(&Selection {
                share: Some(text.parse().unwrap()),
                which: Which::Mutants,
                ..Selection::default()
            })
        };
        let mut both = part("1/2");
        both.extend(part("2/2"));
        both.sort();
        assert_eq!(both.len(), 4);
        both.dedup();
        assert_eq!(both.len(), 4);
    }

    #[test]
    fn what_selects_nothing_is_refused_with_what_there_is() {
        let refused = |selection: &Selection| {
            let failure = Matrix::of(&specs(), selection).unwrap_err();
            assert_eq!(failure.exit(), crate::failure::Exit::Usage);
            failure.to_string()
        };
        let kernel = refused(&Selection {
            kernels: vec!["7.2".into()],
            ..Selection::default()
        });
        assert!(
            kernel.contains("'7.2'") && kernel.contains("7.2+v4, 7.3"),
            "{kernel}"
        );
        let claim = refused(&Selection {
            claims: vec![99],
            ..Selection::default()
        });
        assert!(
            claim.contains("--claim 99") && claim.contains("~lifo"),
            "{claim}"
        );
    }
}
