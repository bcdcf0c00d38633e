// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Distributions as tables of percentiles: points of the inverse of the
//! cumulative distribution, straight lines between them.
//!
//! Shares and times both never fall from one point to the next. Two points
//! with the same share are a gap in the times, two with the same time a heap
//! at it.

use std::collections::{BTreeMap, BTreeSet};

use crate::units::{Nanos, Share};

/// A share of the draws and the time that they do not exceed.
pub(super) type Point = (Share, Nanos);

/// The time that `share` of the draws do not exceed; at a gap its lower end.
pub(super) fn time_at(points: &[Point], share: Share) -> Nanos {
    let upper = points.partition_point(|point| point.0 < share);
    let before = upper.checked_sub(1).and_then(|lower| points.get(lower));
    match (before, points.get(upper)) {
        (Some(lower), Some(upper)) => between(*lower, *upper, share),
        (None, Some(only)) | (Some(only), None) => only.1,
        (None, None) => Nanos::ZERO,
    }
}

/// The time at `share` on the line from `lower` to `upper`.
fn between(lower: Point, upper: Point, share: Share) -> Nanos {
    let width = upper.0.trillionths().saturating_sub(lower.0.trillionths());
    let along = share.trillionths().saturating_sub(lower.0.trillionths());
    let rise = u128::from((upper.1 - lower.1).0);
    // Both factors are below 2^64: the product fits.
    let part = (rise * u128::from(along))
        .checked_div(u128::from(width))
        .unwrap_or(rise);
    lower.1 + Nanos(u64::try_from(part).unwrap_or(u64::MAX))
}

/// The most points that a table made of a recording has.
pub(super) const MAX_POINTS: usize = 1_000;

/// The table of recorded times and how often each came: a heap at each.
pub(super) fn from_counts(counts: &BTreeMap<Nanos, u64>) -> Vec<Point> {
    let sum = |so_far: u64, count: &u64| so_far.saturating_add(*count);
    let total = counts.values().fold(0, sum);
    let mut points = Vec::with_capacity(counts.len().saturating_mul(2));
    let mut so_far = 0u64;
    for (&time, count) in counts {
        points.push((Share::from_counts(so_far, total), time));
        so_far = sum(so_far, count);
        points.push((Share::from_counts(so_far, total), time));
    }
    points
}

/// The table of draws from several, each as often as its weight says.
pub(super) fn mix(tables: &[(Vec<Point>, u64)]) -> Vec<Point> {
    let times: BTreeSet<Nanos> = tables
        .iter()
        .flat_map(|(points, _)| points.iter().map(|point| point.1))
        .collect();
    let mut points = Vec::with_capacity(times.len().saturating_mul(2));
    for time in times {
        points.push((mean_share(tables, |points| share_below(points, time)), time));
        points.push((mean_share(tables, |points| share_up_to(points, time)), time));
    }
    points
}

/// The weighted mean of a share over several tables.
fn mean_share(tables: &[(Vec<Point>, u64)], share: impl Fn(&[Point]) -> Share) -> Share {
    let weights: u128 = tables.iter().map(|(_, weight)| u128::from(*weight)).sum();
    // A share is below 2^40 and a weight below 2^64: a million tables fit.
    let sum: u128 = tables
        .iter()
        .map(|(points, weight)| u128::from(share(points).trillionths()) * u128::from(*weight))
        .sum();
    let mean = sum.checked_div(weights).unwrap_or(0);
    Share::from_trillionths(u64::try_from(mean).unwrap_or(u64::MAX))
}

/// The share of the draws that are shorter than `time`.
fn share_below(points: &[Point], time: Nanos) -> Share {
    share_before(points, points.partition_point(|point| point.1 < time), time)
}

/// The share of the draws that are at most `time`.
fn share_up_to(points: &[Point], time: Nanos) -> Share {
    share_before(
        points,
        points.partition_point(|point| point.1 <= time),
        time,
    )
}

/// The share at `time`, which lies between the point before `upper` and it.
fn share_before(points: &[Point], upper: usize, time: Nanos) -> Share {
    let lower = upper.checked_sub(1).and_then(|lower| points.get(lower));
    let (lower, upper) = match (lower, points.get(upper)) {
        (Some(lower), Some(upper)) => (lower, upper),
        (None, _) => return Share::NONE,
        (Some(_), None) => return Share::WHOLE,
    };
    let width = u128::from((upper.1 - lower.1).0);
    let rise = upper.0.trillionths().saturating_sub(lower.0.trillionths());
    let part = (u128::from(rise) * u128::from((time - lower.1).0))
        .checked_div(width)
        .and_then(|part| u64::try_from(part).ok())
        .unwrap_or(rise);
    Share::from_trillionths(lower.0.trillionths().saturating_add(part))
}

/// The table with [`MAX_POINTS`] at most: as it is, or read off at each 0.2%
/// and, from 99% on, ever closer to the end. What it is at 99.9%, 99.99% and
/// so on, and at the end, it stays.
pub(super) fn thin(mut points: Vec<Point>) -> Vec<Point> {
    points.dedup();
    if points.len() <= MAX_POINTS {
        return points;
    }
    let read_off = |share| (share, time_at(&points, share));
    let mut thinned: Vec<Point> = grid().into_iter().map(read_off).collect();
    thinned.dedup();
    thinned
}

/// The shares at which a long table is read off.
fn grid() -> Vec<Share> {
    const STEP: u64 = Share::WHOLE.trillionths() / 500;
    const TAIL: u64 = Share::WHOLE.trillionths() / 100;
    let body = (0..).map(|step| Share::from_trillionths(step * STEP));
    let end = Share::WHOLE.trillionths() - TAIL;
    let mut shares: Vec<Share> = body.take_while(|share| share.trillionths() < end).collect();
    let mut rest = TAIL;
    while rest > 0 {
        shares.push(Share::from_trillionths(Share::WHOLE.trillionths() - rest));
        rest = next_rest(rest);
    }
    shares.push(Share::WHOLE);
    shares
}

/// The share above the next point of the tail: nine tenths of the last one's,
/// and no power of ten left out.
fn next_rest(rest: u64) -> u64 {
    let power = match rest.checked_ilog10() {
        Some(digits) => 10u64.pow(digits),
        None => return 0,
    };
    let less = rest - rest.div_ceil(10);
    if rest > power { less.max(power) } else { less }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(share: &str, nanos: u64) -> Point {
        (share.parse().unwrap(), Nanos(nanos))
    }

    fn at(points: &[Point], share: &str) -> u64 {
        time_at(points, share.parse().unwrap()).0
    }

    #[test]
    fn a_time_is_read_off_between_points_and_at_them() {
        let points = [
            point("0%", 100),
            point("50%", 200),
            point("50%", 800),
            point("100%", 900),
        ];
        for (share, time) in [
            ("0%", 100),
            ("25%", 150),
            ("50%", 200),
            ("75%", 850),
            ("100%", 900),
        ] {
            assert_eq!(at(&points, share), time, "{share}");
        }
    }

    #[test]
    fn counts_become_heaps_with_gaps_between() {
        let counts = BTreeMap::from([(Nanos(80), 90), (Nanos(5_000), 10)]);
        let expected = [
            point("0%", 80),
            point("90%", 80),
            point("90%", 5_000),
            point("100%", 5_000),
        ];
        assert_eq!(from_counts(&counts), expected);
    }

    #[test]
    fn a_mix_has_the_weighted_shares_of_its_tables() {
        let fast = vec![point("0%", 0), point("100%", 1_000)];
        let slow = vec![point("0%", 500), point("0%", 3_000), point("100%", 3_000)];
        let mixed = mix(&[(fast, 3), (slow, 1)]);
        assert_eq!(at(&mixed, "37.5%"), 500);
        assert_eq!(at(&mixed, "75%"), 1_000);
        assert_eq!(at(&mixed, "75.1%"), 3_000);
        assert_eq!(at(&mixed, "100%"), 3_000);
    }

    #[test]
    fn a_long_table_keeps_its_percentiles_and_its_ends_when_thinned() {
        // As many heaps of 50 each, ever further apart.
        let heaps = 200_000u64;
        let counts = (1..=heaps).map(|n| (Nanos(n * n), 50)).collect();
        let points = from_counts(&counts);
        let thinned = thin(points.clone());
        assert!(thinned.len() <= MAX_POINTS, "{} points", thinned.len());
        assert!(thinned.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
        for share in [
            "0%", "50%", "90%", "99%", "99.9%", "99.99%", "99.999%", "100%",
        ] {
            assert_eq!(at(&thinned, share), at(&points, share), "{share}");
        }
    }

    #[test]
    fn a_short_table_stays_as_it_is_when_thinned() {
        let points = vec![
            point("0%", 1),
            point("50%", 7),
            point("50%", 9),
            point("100%", 9),
        ];
        assert_eq!(thin(points.clone()), points);
    }
}
