// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Latencies drawn from a distribution.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp1, LogNormal, Pareto, StandardNormal};

use super::{Latency, Lognormal, MAX_LATENCY, Part, Trace, quantiles};
use crate::units::{Nanos, Share};

/// The standard normal's 99% quantile.
const Z99: f64 = 2.326_347_874_040_840_8;

/// The width, in standard deviations, from which on a range that holds the
/// mean is hit by a normal draw about every second time at least.
const WIDE: f64 = 2.5;

/// Draws of a truncated normal before its mean is taken: of those that pass
/// the check each hits with a likelihood of 0.49 at least.
const TRIES: u32 = 256;

impl Latency {
    /// Draws one; `nth` is the number of the request on its queue, from 0.
    ///
    /// `Fixed` and `Trace` take nothing from the generator. A file that is not
    /// resolved gives 0: [`Latency::check`] refuses it.
    pub fn draw(&self, nth: u64, mut rng: &mut dyn Rng) -> Nanos {
        match self {
            Latency::Fixed(time) => *time,
            Latency::Uniform { min, max } => Nanos(rng.random_range(min.0..=max.0)),
            Latency::Normal { mean, sd, min, max } => {
                normal(*mean, *sd, *min, max.unwrap_or(MAX_LATENCY), rng)
            }
            Latency::Lognormal(lognormal) => draw_lognormal(lognormal, rng),
            Latency::Exponential { mean, max } => {
                let unit: f64 = Exp1.sample(&mut rng);
                cut(real(*mean) * unit, *max)
            }
            Latency::Pareto { min, shape, max } => {
                let drawn = Pareto::new(real(*min), *shape).map(|pareto| pareto.sample(&mut rng));
                cut(drawn.unwrap_or_default(), *max)
            }
            Latency::Mixture(parts) => {
                let at = rng.random_range(0..Share::WHOLE.trillionths());
                part_at(parts, at).map_or(Nanos::ZERO, |part| part.latency.draw(nth, rng))
            }
            Latency::Percentiles(points) => {
                let at = rng.random_range(0..=Share::WHOLE.trillionths());
                quantiles::time_at(points, Share::from_trillionths(at))
            }
            Latency::Trace(Trace::Values(values)) => nth_of(values, nth),
            Latency::Histogram(_) | Latency::Trace(Trace::File { .. }) => Nanos::ZERO,
        }
    }
}

/// The part that the mixture's `at`-th trillionth belongs to.
fn part_at(parts: &[Part], at: u64) -> Option<&Part> {
    let mut end = 0u64;
    parts.iter().find(|part| {
        end = end.saturating_add(part.share.trillionths());
        at < end
    })
}

/// The trace's value for a request, from the start again at its end.
fn nth_of(values: &[Nanos], nth: u64) -> Nanos {
    let index = u64::try_from(values.len())
        .ok()
        .and_then(|len| nth.checked_rem(len))
        .and_then(|index| usize::try_from(index).ok());
    index
        .and_then(|index| values.get(index))
        .copied()
        .unwrap_or_default()
}

fn draw_lognormal(lognormal: &Lognormal, mut rng: &mut dyn Rng) -> Nanos {
    let (median, sigma, max) = match *lognormal {
        Lognormal::Shape { median, sigma, max } => (median, sigma, max),
        Lognormal::Percentiles { p50, p99, max } => (p50, (real(p99) / real(p50)).ln() / Z99, max),
    };
    let drawn = LogNormal::new(real(median).ln(), sigma).map(|shape| shape.sample(&mut rng));
    cut(drawn.unwrap_or_default(), max)
}

/// A normal draw within `min` and `max`, which hold the mean.
///
/// A range that is narrow against the deviation is hit by few draws of the
/// bell curve: there points of the range are kept as often as the curve is
/// high above them.
fn normal(mean: Nanos, sd: Nanos, min: Nanos, max: Nanos, mut rng: &mut dyn Rng) -> Nanos {
    let low = (real(min) - real(mean)) / real(sd);
    let high = (real(max) - real(mean)) / real(sd);
    for _ in 0..TRIES {
        let z: f64 = if high - low >= WIDE {
            StandardNormal.sample(&mut rng)
        } else {
            let z = low + (high - low) * rng.random::<f64>();
            if rng.random::<f64>() >= (-z * z / 2.0).exp() {
                continue;
            }
            z
        };
        if z >= low && z <= high {
            return whole(real(mean) + z * real(sd)).clamp(min, max);
        }
    }
    mean
}

/// A draw, no longer than `max`.
fn cut(drawn: f64, max: Option<Nanos>) -> Nanos {
    whole(drawn).min(max.unwrap_or(MAX_LATENCY))
}

/// A time as a real number: exact up to 104 days.
#[expect(
    clippy::cast_precision_loss,
    reason = "a latency is at most 600 s, below 2^53 ns"
)]
fn real(time: Nanos) -> f64 {
    time.0 as f64
}

/// The nearest whole nanosecond, saturating.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and turns what is no number into 0"
)]
fn whole(nanos: f64) -> Nanos {
    Nanos(nanos.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const DRAWS: u32 = 100_000;

    /// Quantiles of the standard normal distribution.
    const NORMAL: [(f64, f64); 7] = [
        (0.01, -Z99),
        (0.1, -1.281_551_565_545),
        (0.5, 0.0),
        (0.9, 1.281_551_565_545),
        (0.99, Z99),
        (0.999, 3.090_232_306_168),
        (0.9999, 3.719_016_485_456),
    ];

    fn latency(text: &str) -> Latency {
        #[derive(serde::Deserialize)]
        struct Scenario {
            latency: Latency,
        }
        let text = format!("latency = {{ {text} }}");
        let scenario: Scenario = toml::from_str(&text).unwrap();
        scenario.latency.check("latency").unwrap();
        scenario.latency
    }

    /// Draws of a latency as it is written, from one seed.
    fn draws(text: &str) -> Vec<u64> {
        let latency = latency(text);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let draw = |nth| latency.draw(u64::from(nth), &mut rng).0;
        (0..DRAWS).map(draw).collect()
    }

    /// Asserts that `share` of the draws are at most `time`: how many are is
    /// binomial, so it is wrong by more than 4 of its standard deviations for
    /// one seed in 15,000. A draw is rounded to a nanosecond: times here are
    /// some thousand, and half of one more moves no share by that much.
    fn assert_share(draws: &[u64], share: f64, time: f64) {
        let up_to = draws.iter().filter(|draw| **draw as f64 <= time).count();
        let found = up_to as f64 / draws.len() as f64;
        let deviation = (share * (1.0 - share) / draws.len() as f64).sqrt();
        assert!(
            (found - share).abs() <= 4.0 * deviation,
            "{found} instead of {share} are up to {time}"
        );
    }

    fn bounds(draws: &[u64]) -> (u64, u64) {
        (*draws.iter().min().unwrap(), *draws.iter().max().unwrap())
    }

    #[test]
    fn fixed_and_trace_take_nothing_from_the_generator() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let untouched = rng.clone();
        assert_eq!(latency("fixed = '7ns'").draw(3, &mut rng), Nanos(7));
        latency("trace = { values = ['1us', '2us'] }").draw(3, &mut rng);
        assert_eq!(rng, untouched);
    }

    #[test]
    fn a_trace_goes_on_from_the_start_at_its_end() {
        let trace = latency("trace = { values = ['1us', '2us', '5us'] }");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let found: Vec<u64> = (0..7).map(|nth| trace.draw(nth, &mut rng).0).collect();
        assert_eq!(found, [1_000, 2_000, 5_000, 1_000, 2_000, 5_000, 1_000]);
        assert_eq!(trace.draw(u64::MAX, &mut rng), Nanos(1_000));
    }

    #[test]
    fn uniform_has_its_quantiles_and_bounds() {
        let draws = draws("uniform = { min = '10us', max = '50us' }");
        let (least, most) = bounds(&draws);
        assert!(least >= 10_000 && most <= 50_000);
        for share in [0.01, 0.1, 0.5, 0.9, 0.99] {
            assert_share(&draws, share, 10_000.0 + 40_000.0 * share);
        }
    }

    #[test]
    fn normal_has_its_quantiles() {
        let draws = draws("normal = { mean = '1ms', sd = '100us' }");
        for (share, z) in NORMAL {
            assert_share(&draws, share, 1e6 + 1e5 * z);
        }
    }

    #[test]
    fn normal_is_truncated_and_nothing_heaps_up_at_its_ends() {
        // From one deviation below to two above.
        let draws = draws("normal = { mean = '1ms', sd = '100us', min = '900us', max = '1.2ms' }");
        let (below, above) = (0.158_655_253_931, 0.977_249_868_052);
        let share = |of_the_whole: f64| (of_the_whole - below) / (above - below);
        assert_share(&draws, share(0.308_537_538_726), 950_000.0);
        assert_share(&draws, share(0.5), 1_000_000.0);
        assert_share(&draws, share(0.841_344_746_069), 1_100_000.0);
        assert_share(&draws, share(0.933_192_798_731), 1_150_000.0);
        let (least, most) = bounds(&draws);
        assert!(least >= 900_000 && most <= 1_200_000);
        let at_the_ends = draws.iter().filter(|draw| [least, most].contains(draw));
        assert!(at_the_ends.count() < 10);
    }

    #[test]
    fn a_narrow_piece_of_normal_has_its_shape() {
        // From the mean to one deviation above.
        let draws = draws("normal = { mean = '1ms', sd = '1ms', min = '1ms', max = '2ms' }");
        let share = |of_the_whole: f64| (of_the_whole - 0.5) / 0.341_344_746_069;
        assert_share(&draws, share(0.598_706_325_683), 1_250_000.0);
        assert_share(&draws, share(0.691_462_461_274), 1_500_000.0);
        assert_share(&draws, share(0.773_372_647_624), 1_750_000.0);
        let (least, most) = bounds(&draws);
        assert!(least >= 1_000_000 && most <= 2_000_000);
    }

    #[test]
    fn normal_within_one_nanosecond_is_that_nanosecond() {
        let draws = draws("normal = { mean = '5us', sd = '1ms', min = '5us', max = '5us' }");
        assert_eq!(bounds(&draws), (5_000, 5_000));
    }

    #[test]
    fn lognormal_by_its_shape_has_its_quantiles() {
        let draws = draws("lognormal = { median = '80us', sigma = 0.5 }");
        for (share, z) in NORMAL {
            assert_share(&draws, share, 80_000.0 * f64::exp(0.5 * z));
        }
    }

    #[test]
    fn lognormal_by_its_percentiles_has_them() {
        let draws = draws("lognormal = { p50 = '80us', p99 = '600us' }");
        assert_share(&draws, 0.5, 80_000.0);
        assert_share(&draws, 0.99, 600_000.0);
        let sigma = f64::ln(600.0 / 80.0) / Z99;
        for (share, z) in NORMAL {
            assert_share(&draws, share, 80_000.0 * f64::exp(sigma * z));
        }
    }

    #[test]
    fn lognormal_is_cut_at_its_max() {
        let draws = draws("lognormal = { p50 = '80us', p99 = '600us', max = '600us' }");
        assert_eq!(bounds(&draws).1, 600_000);
        assert_share(&draws, 0.99, 599_999.0);
    }

    #[test]
    fn exponential_has_its_quantiles() {
        let draws = draws("exponential = { mean = '1ms' }");
        for share in [0.01, 0.1, 0.5, 0.9, 0.99, 0.999] {
            assert_share(&draws, share, -1e6 * f64::ln(1.0 - share));
        }
    }

    #[test]
    fn exponential_is_cut_at_its_max() {
        let draws = draws("exponential = { mean = '1ms', max = '2ms' }");
        assert_eq!(bounds(&draws).1, 2_000_000);
        assert_share(&draws, 1.0 - f64::exp(-2.0), 1_999_999.0);
        assert_share(&draws, 0.5, 1e6 * 2.0f64.ln());
    }

    #[test]
    fn pareto_has_its_quantiles() {
        let draws = draws("pareto = { min = '50us', shape = 1.5 }");
        assert!(bounds(&draws).0 >= 50_000);
        for share in [0.1, 0.5, 0.9, 0.99, 0.999] {
            assert_share(&draws, share, 50_000.0 * f64::powf(1.0 - share, -1.0 / 1.5));
        }
    }

    #[test]
    fn pareto_is_cut_at_its_max() {
        let draws = draws("pareto = { min = '50us', shape = 1, max = '500us' }");
        assert_eq!(bounds(&draws).1, 500_000);
        assert_share(&draws, 0.9, 499_999.0);
        assert_share(&draws, 0.5, 100_000.0);
    }

    #[test]
    fn nothing_is_longer_than_the_longest_latency() {
        for text in [
            "pareto = { min = '600s', shape = 0.001 }",
            "lognormal = { median = '600s', sigma = 100 }",
            "exponential = { mean = '600s' }",
            "normal = { mean = '600s', sd = '600s' }",
        ] {
            let (_, most) = bounds(&draws(text));
            assert!(most <= MAX_LATENCY.0, "{text}: {most}");
        }
    }

    #[test]
    fn a_mixture_has_the_shares_of_its_parts_and_their_shapes() {
        let draws = draws(
            "mixture = [
                { share = '70%', latency = { fixed = '10us' } },
                { share = '25%', latency = { uniform = { min = '100us', max = '200us' } } },
                { share = '5%', latency = { trace = { values = ['1ms', '2ms'] } } },
            ]",
        );
        assert_share(&draws, 0.7, 10_000.0);
        assert_share(&draws, 0.7, 99_999.0);
        assert_share(&draws, 0.7 + 0.25 * 0.5, 150_000.0);
        assert_share(&draws, 0.95, 200_000.0);
        assert_share(&draws, 0.975, 1_000_000.0);
        assert_eq!(bounds(&draws), (10_000, 2_000_000));
    }

    #[test]
    fn percentiles_are_joined_by_straight_lines() {
        let draws = draws(
            "percentiles = [['0%', '20us'], ['50%', '80us'], ['99.9%', '1ms'], ['100%', '5ms']]",
        );
        assert_share(&draws, 0.25, 50_000.0);
        assert_share(&draws, 0.5, 80_000.0);
        assert_share(&draws, 0.5 + 0.499 / 2.0, 540_000.0);
        assert_share(&draws, 0.999, 1_000_000.0);
        let (least, most) = bounds(&draws);
        assert!(least >= 20_000 && most <= 5_000_000);
    }

    #[test]
    fn two_percentiles_of_one_share_are_a_gap_and_of_one_time_a_heap() {
        let draws = draws(
            "percentiles = [['0%', '10us'], ['30%', '10us'], ['60%', '20us'], ['60%', '90us'], ['100%', '100us']]",
        );
        assert_share(&draws, 0.3, 10_000.0);
        assert_share(&draws, 0.45, 15_000.0);
        assert_share(&draws, 0.6, 20_000.0);
        assert_share(&draws, 0.6, 89_999.0);
        assert_share(&draws, 0.8, 95_000.0);
    }

    #[test]
    fn the_same_generator_gives_the_same_draws_and_another_seed_others() {
        let latency = latency("lognormal = { p50 = '80us', p99 = '600us' }");
        let draws = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            [0, 1, 2, 3].map(|nth| latency.draw(nth, &mut rng))
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }
}
