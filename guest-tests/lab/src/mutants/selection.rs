// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Which part of the matrix is asked for.

use glob::Pattern;
use irqstorm_images::{KernelSpec, Mutant};

use crate::failure::Failure;
use crate::ledger::Share;

/// Mutants, sound kernels, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Which {
    /// Both.
    #[default]
    All,
    /// What is broken on purpose.
    Mutants,
    /// What is not.
    Sound,
}

/// What is asked for; all of it if nothing is said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Kernels, by name.
    pub(crate) kernels: Vec<String>,
    /// Mutants, by names or patterns.
    pub(crate) mutants: Vec<Pattern>,
    /// Claims.
    pub(crate) claims: Vec<u32>,
    /// Mutants, sound kernels, or both.
    pub(crate) which: Which,
    /// A part of the mutants.
    pub(crate) share: Option<Share>,
    /// Every test on every kernel.
    pub(crate) all_tests: bool,
}

impl Selection {
    /// Patterns from the command line.
    pub(crate) fn patterns(words: &[String]) -> Result<Vec<Pattern>, Failure> {
        let pattern = |word: &String| {
            Pattern::new(word).map_err(|error| Failure::BadArgument {
                what: format!("--mutant {word}"),
                reason: format!("{}, at character {}", error.msg, error.pos),
            })
        };
        words.iter().map(pattern).collect()
    }

    /// Whether a kernel, by the name before its '~', is in it.
    pub(super) fn has_kernel(&self, name: &str) -> bool {
        self.kernels.is_empty() || self.kernels.iter().any(|kernel| kernel == name)
    }

    /// Whether a mutant is in it, before shares are taken.
    pub(super) fn has_mutant(&self, spec: &KernelSpec, mutant: &Mutant) -> bool {
        let (kernel, name) = spec.name.split_once('~').unwrap_or((&spec.name, ""));
        let named = self.mutants.is_empty()
            || self
                .mutants
                .iter()
                .any(|pattern| pattern.matches(name) || pattern.matches(&spec.name));
        named && self.has_kernel(kernel) && self.has_claim(mutant.claim)
    }

    /// Whether a claim is in it.
    pub(super) fn has_claim(&self, claim: u32) -> bool {
        self.claims.is_empty() || self.claims.contains(&claim)
    }
}
