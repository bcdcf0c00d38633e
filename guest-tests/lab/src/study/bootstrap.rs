// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Medians, and how sure they are: percentile bootstrap.
//!
//! Rounds that were run interleaved are drawn together, so that what a machine
//! did to all subjects of a round cancels out. The draws come from a fixed
//! seed: the same values always have the same interval.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Resamples; more change the third digit of an interval's ends at most.
const RESAMPLES: usize = 2_000;

/// Of the resampled values so many percent lie on either side of the interval.
const TAIL_PERCENT: f64 = 2.5;

/// Of fewer values nothing is said.
pub(super) const LEAST: usize = 3;

const SEED: u64 = 0;

/// Two ends, both included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interval {
    /// The lower.
    pub(crate) low: f64,
    /// The upper.
    pub(crate) high: f64,
}

impl Interval {
    /// Whether it lies above or below a value, and not around it.
    pub(super) fn excludes(&self, value: f64) -> bool {
        self.low > value || self.high < value
    }
}

/// The middle value, or between the two middle ones; `None` of none.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    match sorted.len() % 2 {
        0 => sorted
            .get(sorted.len() / 2 - 1)
            .map(|lower| f64::midpoint(*lower, upper)),
        _ => Some(upper),
    }
}

/// In which interval the median lies with 95 % confidence; `None` of fewer than
/// three values.
pub(super) fn interval(values: &[f64]) -> Option<Interval> {
    if values.len() < LEAST {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let medians = (0..RESAMPLES).filter_map(|_| {
        let drawn = draw(&mut rng, values.len());
        median(&pick(values, &drawn))
    });
    between_tails(medians.collect())
}

/// The same for the ratio of the medians of `values` and `base`. `paired` if
/// their n-th ones were run next to each other. `None` also if a median of
/// `base` is 0.
pub(super) fn ratio_interval(values: &[f64], base: &[f64], paired: bool) -> Option<Interval> {
    if values.len() < LEAST || base.len() < LEAST {
        return None;
    }
    let paired = paired && values.len() == base.len();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut ratios = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let drawn = draw(&mut rng, values.len());
        let of_base = match paired {
            true => drawn.clone(),
            false => draw(&mut rng, base.len()),
        };
        ratios.push(ratio(
            median(&pick(values, &drawn))?,
            median(&pick(base, &of_base))?,
        )?);
    }
    between_tails(ratios)
}

/// `None` if there is nothing to divide by.
pub(super) fn ratio(value: f64, base: f64) -> Option<f64> {
    (base != 0.0).then(|| value / base)
}

fn draw(rng: &mut ChaCha8Rng, count: usize) -> Vec<usize> {
    (0..count).map(|_| rng.random_range(0..count)).collect()
}

fn pick(values: &[f64], drawn: &[usize]) -> Vec<f64> {
    let values = drawn.iter().filter_map(|&index| values.get(index));
    values.copied().collect()
}

fn between_tails(mut resampled: Vec<f64>) -> Option<Interval> {
    resampled.sort_unstable_by(f64::total_cmp);
    let tail = (resampled.len() as f64 * TAIL_PERCENT / 100.0).floor();
    // Fewer than the resamples, and not negative.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above"
    )]
    let cut = tail as usize;
    let high = resampled.len().checked_sub(cut + 1)?;
    Some(Interval {
        low: *resampled.get(cut)?,
        high: *resampled.get(high)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_middles() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn equal_values_have_no_width_and_two_have_no_interval() {
        let one = Interval {
            low: 1.0,
            high: 1.0,
        };
        assert_eq!(interval(&[1.0; 4]), Some(one));
        assert_eq!(interval(&[1.0; 2]), None);
        assert_eq!(ratio_interval(&[2.0; 3], &[2.0; 3], true), Some(one));
        assert_eq!(ratio_interval(&[2.0; 3], &[0.0; 3], true), None);
    }

    #[test]
    fn an_interval_is_the_same_each_time_and_holds_the_median() {
        let values = [10.0, 12.0, 9.0, 11.0, 30.0];
        let found = interval(&values).unwrap();
        assert_eq!(interval(&values), Some(found));
        assert!(!found.excludes(11.0) && found.excludes(8.9) && found.excludes(30.1));
    }

    #[test]
    fn what_a_round_does_to_both_cancels_out_if_they_are_paired() {
        let base = [1.0, 2.0, 4.0, 8.0, 16.0];
        let twice = base.map(|value| value * 2.0);
        let paired = ratio_interval(&twice, &base, true).unwrap();
        assert_eq!((paired.low, paired.high), (2.0, 2.0));
        let apart = ratio_interval(&twice, &base, false).unwrap();
        assert!(!apart.excludes(1.0), "{apart:?}");
    }

    /// Of samples from one population, 95 % of intervals are to hold its
    /// median; with so few values the bootstrap's do so less often.
    #[test]
    fn most_intervals_hold_the_median_of_what_was_sampled() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let holds = (0..40).filter(|_| {
            let values: Vec<f64> = (0..9).map(|_| rng.random_range(0.0..1.0)).collect();
            !interval(&values).unwrap().excludes(0.5)
        });
        assert!(holds.count() > 32);
    }
}
