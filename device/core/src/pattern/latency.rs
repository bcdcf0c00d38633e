// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Latencies drawn from a distribution.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp1};

use crate::scenario::{Latency, MAX_LATENCY};
use crate::units::Nanos;

impl Latency {
    /// Draws one. Every kind but `Fixed` takes from the generator.
    pub fn draw(&self, mut rng: &mut dyn Rng) -> Nanos {
        match *self {
            Latency::Fixed(time) => time,
            Latency::Uniform { min, max } => Nanos(rng.random_range(min.0..=max.0)),
            Latency::Exponential { mean, max } => {
                let unit: f64 = Exp1.sample(&mut rng);
                let drawn = scaled(mean, unit);
                drawn.min(max.unwrap_or(MAX_LATENCY))
            }
        }
    }
}

/// `mean` times `factor`, saturating.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a draw is a random real number: rounding it changes nothing, and `as` saturates"
)]
fn scaled(mean: Nanos, factor: f64) -> Nanos {
    Nanos((mean.0 as f64 * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// Sorted draws, from one seed.
    fn draws(latency: Latency) -> Vec<u64> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut draws: Vec<u64> = (0..100_000).map(|_| latency.draw(&mut rng).0).collect();
        draws.sort_unstable();
        draws
    }

    /// Asserts that the empirical quantile is within `tolerance` of `expected`.
    #[expect(clippy::cast_possible_truncation, reason = "an index within the draws")]
    fn assert_quantile(sorted: &[u64], q: f64, expected: f64, tolerance: f64) {
        let found = sorted[((sorted.len() - 1) as f64 * q) as usize] as f64;
        assert!(
            (found / expected - 1.0).abs() < tolerance,
            "quantile {q}: {found} instead of {expected}"
        );
    }

    #[test]
    fn fixed_is_always_the_same_and_draws_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let untouched = rng.clone();
        assert_eq!(Latency::Fixed(Nanos(7)).draw(&mut rng), Nanos(7));
        assert_eq!(rng, untouched);
    }

    #[test]
    fn uniform_has_its_quantiles_and_bounds() {
        let sorted = draws(Latency::Uniform {
            min: Nanos(1_000),
            max: Nanos(5_000),
        });
        assert!(sorted[0] >= 1_000 && sorted[sorted.len() - 1] <= 5_000);
        for q in [0.1, 0.5, 0.9, 0.99] {
            assert_quantile(&sorted, q, 1_000.0 + 4_000.0 * q, 0.02);
        }
    }

    #[test]
    fn exponential_has_its_quantiles() {
        let sorted = draws(Latency::Exponential {
            mean: Nanos(1_000_000),
            max: None,
        });
        for q in [0.1f64, 0.5, 0.9, 0.99] {
            assert_quantile(&sorted, q, -1_000_000.0 * (1.0 - q).ln(), 0.04);
        }
    }

    #[test]
    fn exponential_is_cut_at_its_max() {
        let sorted = draws(Latency::Exponential {
            mean: Nanos(1_000),
            max: Some(Nanos(2_000)),
        });
        assert_eq!(sorted[sorted.len() - 1], 2_000);
        assert_quantile(&sorted, 0.5, 693.0, 0.03);
    }
}
