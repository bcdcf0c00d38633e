// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Delta debugging: Zeller and Hildebrandt, "Simplifying and Isolating
//! Failure-Inducing Input", IEEE Transactions on Software Engineering 28(2),
//! 2002, figure 3 (ddmin).

use std::collections::HashSet;

/// What became of a trial of some of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It fails, as all of them do.
    Fails,
    /// It does not, or in another way.
    Passes,
    /// There is to be no other trial.
    Stop,
}

/// The fewest elements that were found to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Minimum {
    /// They, in their order.
    pub(crate) kept: Vec<usize>,
    /// Whether it was seen that without any one of them it passes; else there
    /// was no time for it.
    pub(crate) minimal: bool,
}

/// Takes elements away as long as the rest fails. All of them together must
/// fail, and none of them pass; `ask` tries some of them, never the same twice.
pub(crate) fn ddmin(all: Vec<usize>, ask: &mut dyn FnMut(&[usize]) -> Answer) -> Minimum {
    let mut kept = all;
    let mut parts = 2;
    let mut passed = HashSet::new();
    while kept.len() >= 2 {
        let mut smaller = None;
        for candidate in candidates(&kept, parts) {
            if passed.contains(&candidate) {
                continue;
            }
            match ask(&candidate) {
                Answer::Stop => {
                    return Minimum {
                        kept,
                        minimal: false,
                    };
                }
                Answer::Fails => {
                    smaller = Some(candidate);
                    break;
                }
                Answer::Passes => passed.insert(candidate),
            };
        }
        match smaller {
            Some(candidate) => {
                // A part begins anew, a rest goes on with parts of that size.
                let is_part = candidate.len() <= kept.len().div_ceil(parts);
                parts = if is_part { 2 } else { (parts - 1).max(2) };
                kept = candidate;
                parts = parts.min(kept.len().max(2));
            }
            None if parts >= kept.len() => break,
            None => parts = parts.saturating_mul(2).min(kept.len()),
        }
    }
    Minimum {
        kept,
        minimal: true,
    }
}

/// Each of so many parts, then what is left without each.
fn candidates(kept: &[usize], parts: usize) -> Vec<Vec<usize>> {
    let parts = split(kept, parts);
    let mut candidates: Vec<Vec<usize>> = parts.iter().map(|part| part.to_vec()).collect();
    // The rest of one of two parts is the other.
    if parts.len() > 2 {
        candidates.extend((0..parts.len()).map(|without| {
            let others = parts.iter().enumerate().filter(|(at, _)| *at != without);
            others.flat_map(|(_, part)| part.to_vec()).collect()
        }));
    }
    candidates
}

/// Parts that differ by one at most in their lengths, none of them empty.
fn split(kept: &[usize], parts: usize) -> Vec<&[usize]> {
    let parts = parts.clamp(1, kept.len().max(1));
    let mut rest = kept;
    let mut found = Vec::with_capacity(parts);
    for left in (1..=parts).rev() {
        let (part, others) = rest.split_at(rest.len().div_ceil(left));
        found.push(part);
        rest = others;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn answer(fails: bool) -> Answer {
        match fails {
            true => Answer::Fails,
            false => Answer::Passes,
        }
    }

    #[test]
    fn one_of_many_is_found_in_a_logarithm_of_runs() {
        let mut runs = 0;
        let found = ddmin((0..100_000).collect(), &mut |some| {
            runs += 1;
            answer(some.contains(&77_777))
        });
        assert_eq!(found.kept, [77_777]);
        assert!(found.minimal);
        assert!(runs <= 2 * 17, "{runs} runs");
    }

    #[test]
    fn whoever_stops_has_the_best_so_far() {
        let mut runs = 0;
        let found = ddmin((0..1000).collect(), &mut |some| {
            runs += 1;
            match runs {
                1..=4 => answer(some.contains(&3) && some.contains(&4)),
                _ => Answer::Stop,
            }
        });
        assert!(!found.minimal);
        assert!(found.kept.contains(&3) && found.kept.len() < 1000);
        let single = ddmin(vec![5], &mut |_| Answer::Stop);
        assert_eq!((single.kept, single.minimal), (vec![5], true));
    }

    #[test]
    fn parts_are_of_a_size_and_leave_nothing_out() {
        for (length, parts) in [(1, 2), (7, 2), (7, 3), (7, 7), (8, 3)] {
            let all: Vec<usize> = (0..length).collect();
            let found = split(&all, parts);
            assert_eq!(found.concat(), all);
            let lengths = || found.iter().map(|part| part.len());
            assert!(lengths().min() >= Some(1));
            assert!(lengths().max().unwrap() - lengths().min().unwrap() <= 1);
        }
    }

    proptest! {
        #[test]
        fn what_is_needed_is_what_is_left(
            count in 1usize..300,
            needed in btree_set(0usize..300, 1..8),
        ) {
            let needed: Vec<usize> = needed.into_iter().filter(|at| *at < count).collect();
            prop_assume!(!needed.is_empty());
            let mut tried = HashSet::new();
            let found = ddmin((0..count).collect(), &mut |some| {
                assert!(tried.insert(some.to_vec()), "asked twice");
                answer(needed.iter().all(|at| some.contains(at)))
            });
            prop_assert!(found.minimal);
            prop_assert_eq!(found.kept, needed);
        }

        /// Failures that come and go with no order in them: what is left fails,
        /// and without any one of it does not.
        #[test]
        fn without_any_one_of_what_is_left_it_passes(count in 1usize..60, salt: u64, share in 2u64..9) {
            let all: Vec<usize> = (0..count).collect();
            let fails = |some: &[usize]| {
                let mut hasher = DefaultHasher::new();
                (salt, some).hash(&mut hasher);
                some == all || !some.is_empty() && hasher.finish().is_multiple_of(share)
            };
            let found = ddmin(all.clone(), &mut |some| answer(fails(some)));
            prop_assert!(found.minimal && fails(&found.kept));
            for without in 0..found.kept.len() {
                let mut rest = found.kept.clone();
                rest.remove(without);
                prop_assert!(!fails(&rest));
            }
        }
    }
}
