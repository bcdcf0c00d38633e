// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What an experiment measures: a point for each of its settings, with figures
//! and with distributions of times.
//!
//! Distributions are kept whole, in buckets, so that those of several runs can
//! be put together and any quantile be had of them later.

use serde::{Deserialize, Serialize};

use crate::protocol::Figure;

/// How many buckets the probe counts times in (IRQSTORM_BUCKETS).
pub const BUCKETS: usize = 608;

/// Each power of two has so many of them, as a power of two itself.
const SHIFT: u32 = 4;

/// One setting of an experiment, and what was measured there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// What was set, in the order of the experiment.
    pub setting: Vec<Figure>,
    /// What was measured; the names are in [`measures`].
    pub figures: Vec<Figure>,
    /// Distributions of times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<Times>,
}

impl Point {
    /// Adds a figure.
    pub fn add(&mut self, name: &str, value: f64, unit: &str) {
        self.figures.push(Figure {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
        });
    }
}

/// A distribution of times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Of what; the names are in [`measures`].
    pub name: String,
    /// The buckets that count any, the shortest times first.
    pub buckets: Vec<Bucket>,
}

/// Times up to so many nanoseconds, above those of the bucket before, and how
/// many of them there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket(pub u64, pub u64);

impl Times {
    /// How many there are.
    pub fn count(&self) -> u64 {
        let counts = self.buckets.iter().map(|bucket| bucket.1);
        counts.fold(0, u64::saturating_add)
    }

    /// The time that so many of a million do not exceed, in nanoseconds; `None`
    /// if there are none.
    pub fn quantile(&self, of_million: u32) -> Option<u64> {
        let (all, part) = (u128::from(self.count()), u128::from(of_million));
        let rank = (all * part).div_ceil(1_000_000).max(1);
        let mut seen = 0_u128;
        let reaches = |bucket: &&Bucket| {
            seen += u128::from(bucket.1);
            seen >= rank
        };
        self.buckets.iter().find(reaches).map(|bucket| bucket.0)
    }
}

/// The buckets of the probe's counts that count any.
pub fn buckets(counts: &[u64]) -> Vec<Bucket> {
    let counted = (0_u32..).zip(counts).filter(|(_, count)| **count > 0);
    counted
        .map(|(index, &count)| Bucket(up_to(index), count))
        .collect()
}

/// The longest time that a bucket counts, in nanoseconds.
fn up_to(index: u32) -> u64 {
    let parts = 1 << SHIFT;
    if index < parts {
        return index.into();
    }
    let (shift, part) = (index / parts - 1, index % parts);
    let next = u128::from(parts + part + 1) << shift.min(64);
    u64::try_from(next - 1).unwrap_or(u64::MAX)
}

/// The names of what experiments measure.
pub mod measures {
    /// Deferred bios that one run of the worker ended.
    pub const BIOS_PER_RUN: &str = "bios per worker run";
    /// Runs of the worker.
    pub const WORKER_RUNS: &str = "worker runs";
    /// Calls that queue the worker, pending or not.
    pub const CALLS_PER_BIO: &str = "queue calls per bio";
    /// Works that went from idle to queued.
    pub const WORKS_PER_BIO: &str = "works queued per bio";
    /// Context switches of the CPU that completes.
    pub const SWITCHES_PER_BIO: &str = "switches per bio";
    /// Of these, to the worker.
    pub const WORKER_SWITCHES_PER_BIO: &str = "switches to the worker per bio";
    /// Bios that completed in one interrupt.
    pub const BIOS_PER_INTERRUPT: &str = "bios per interrupt";
    /// How fast completions came, as long as they came.
    pub const COMPLETION_RATE: &str = "completion rate";
    /// How fast bios ended, from the first completion of a burst to its last end.
    pub const THROUGHPUT: &str = "throughput";
    /// Time of the CPU in any task but the idle one.
    pub const CPU_PER_BIO: &str = "CPU time per bio";
    /// How late an ordinary task of the CPU was, at the median.
    pub const LATENESS_P50: &str = "lateness of a task, p50";
    /// The same, of 100 instants all but one.
    pub const LATENESS_P99: &str = "lateness of a task, p99";
    /// The same, at the worst instant.
    pub const LATENESS_WORST: &str = "lateness of a task, worst";
    /// From the interrupt's handler to bi_end_io().
    pub const FROM_INTERRUPT: &str = "interrupt to end_io";
    /// From bio_endio(), which block_rq_complete announces, to bi_end_io().
    pub const FROM_COMPLETION: &str = "completion to end_io";
    /// Tagged bios that an uncached write became.
    pub const BIOS_PER_IO: &str = "tagged bios per I/O";
    /// Context switches of all CPUs.
    pub const SWITCHES_PER_IO: &str = "switches per I/O";
    /// Of these, to the worker.
    pub const WORKER_SWITCHES_PER_IO: &str = "switches to the worker per I/O";
    /// How fast uncached writes are on the disk.
    pub const WRITTEN: &str = "written uncached";
    /// How much faster than ordinary ones.
    pub const WRITTEN_OVER_CACHED: &str = "written, uncached over cached";
    /// How much faster uncached reads are than ordinary ones.
    pub const READ_OVER_CACHED: &str = "read, uncached over cached";
    /// The length of the kernel's jiffy.
    pub const JIFFY: &str = "a jiffy";

    /// A setting: completions a second.
    pub const RATE: &str = "rate";
    /// A setting: completions to an interrupt.
    pub const PER_INTERRUPT: &str = "completions per interrupt";
    /// A setting: the work of bi_end_io.
    pub const END_IO: &str = "end_io";
    /// A setting: 1 for the disk itself, 0 for a file of XFS.
    pub const RAW: &str = "raw";
    /// A setting: what one write writes.
    pub const BLOCK: &str = "block";
    /// A setting: threads that write at once.
    pub const WRITERS: &str = "writers";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_the_probe() {
        let mut counts = [0; BUCKETS];
        for (index, ns) in [
            (0, 0),
            (15, 15),
            (16, 16),
            (31, 31),
            (32, 33),
            (47, 63),
            (48, 67),
        ] {
            counts[index] = 1;
            assert_eq!(buckets(&counts), [Bucket(ns, 1)], "bucket {index}");
            counts[index] = 0;
        }
        assert_eq!(up_to(u32::MAX), u64::MAX);
    }

    #[test]
    fn a_quantile_is_the_bucket_in_which_its_rank_lies() {
        let times = Times {
            name: String::new(),
            buckets: vec![Bucket(10, 98), Bucket(20, 1), Bucket(30, 1)],
        };
        assert_eq!(times.quantile(500_000), Some(10));
        assert_eq!(times.quantile(990_000), Some(20));
        assert_eq!(times.quantile(999_000), Some(30));
        assert_eq!(times.quantile(0), Some(10));
        assert_eq!(Times::default().quantile(500_000), None);
        let many = Times {
            buckets: vec![Bucket(1, u64::MAX), Bucket(2, u64::MAX)],
            ..times
        };
        assert_eq!(many.quantile(1_000_000), Some(1));
    }
}
