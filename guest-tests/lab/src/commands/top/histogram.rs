// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Latencies as rows of bars, from powers of two.

use irqstorm_core::control::StatusReply;
use irqstorm_core::units::Nanos;

/// The parts of a character that a bar can end in.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// So many latencies of at least `from` and below `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) from: Nanos,
    pub(super) to: Nanos,
    pub(super) count: u64,
}

/// The latencies of all queues in at most so many rows; those below the
/// fastest and above the slowest take none.
pub(super) fn buckets(status: &StatusReply, rows: usize) -> Vec<Bucket> {
    let longest = status.latencies.iter().map(Vec::len).max().unwrap_or(0);
    let counts: Vec<u64> = (0..longest)
        .map(|place| {
            let each = status.latencies.iter();
            each.filter_map(|queue| queue.get(place)).sum()
        })
        .collect();
    let Some(first) = counts.iter().position(|&count| count > 0) else {
        return Vec::new();
    };
    if rows == 0 {
        return Vec::new();
    }
    let counts = &counts[first..];
    // With too few rows neighbours share one.
    let stride = counts.len().div_ceil(rows).max(1);
    let chunks = counts.chunks(stride).enumerate();
    chunks
        .map(|(row, counts)| {
            let from = first.saturating_add(row.saturating_mul(stride));
            Bucket {
                from: power(from),
                to: power(from.saturating_add(stride)),
                count: counts.iter().sum(),
            }
        })
        .collect()
}

fn power(exponent: usize) -> Nanos {
    let exponent = u32::try_from(exponent).unwrap_or(u32::MAX);
    Nanos(1u64.checked_shl(exponent).unwrap_or(u64::MAX))
}

/// How many latencies there are, and their mean.
pub(super) fn mean(status: &StatusReply) -> (u64, Option<Nanos>) {
    let count: u64 = status.latencies.iter().flatten().sum();
    let sum: u64 = status.latency_sums.iter().sum();
    (count, sum.checked_div(count).map(Nanos))
}

/// A bar for `value` if `largest` takes `width` characters. What is not
/// nothing is seen.
pub(super) fn bar(value: u64, largest: u64, width: u16) -> String {
    let eighths = (u128::from(value) * u128::from(width) * 8)
        .checked_div(largest.into())
        .unwrap_or(0);
    let least = u128::from(value > 0);
    let eighths = usize::try_from(eighths.max(least)).unwrap_or(usize::MAX);
    let whole = (eighths / 8).min(width.into());
    let rest = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    format!("{}{rest}", "█".repeat(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(latencies: Vec<Vec<u64>>) -> StatusReply {
        StatusReply {
            latencies,
            latency_sums: vec![100, 50],
            ..StatusReply::default()
        }
    }

    fn bucket(from: u64, to: u64, count: u64) -> Bucket {
        let (from, to) = (Nanos(from), Nanos(to));
        Bucket { from, to, count }
    }

    #[test]
    fn queues_are_added_up_and_empty_ends_left_out() {
        let status = status(vec![vec![0, 0, 1, 0, 5], vec![0, 0, 2]]);
        assert_eq!(
            buckets(&status, 10),
            [bucket(4, 8, 3), bucket(8, 16, 0), bucket(16, 32, 5)]
        );
        assert_eq!(mean(&status), (8, Some(Nanos(18))));
    }

    #[test]
    fn neighbours_share_rows_that_are_too_few() {
        let status = status(vec![vec![1, 2, 3, 4, 5]]);
        let found = buckets(&status, 2);
        assert_eq!(found, [bucket(1, 8, 6), bucket(8, 64, 9)]);
        assert_eq!(buckets(&status, 0), []);
        assert_eq!(buckets(&StatusReply::default(), 5), []);
    }

    #[test]
    fn the_longest_latencies_have_an_end() {
        let mut counts = vec![0; 64];
        counts[63] = 1;
        let found = buckets(&status(vec![counts]), 5);
        assert_eq!(found, [bucket(1 << 63, u64::MAX, 1)]);
    }

    #[test]
    fn bars_are_as_long_as_their_share_and_never_nothing() {
        assert_eq!(bar(4, 4, 3), "███");
        assert_eq!(bar(1, 2, 3), "█▌");
        assert_eq!(bar(1, 1_000_000, 3), "▏");
        assert_eq!(bar(0, 4, 3), "");
        assert_eq!(bar(0, 0, 3), "");
    }
}
