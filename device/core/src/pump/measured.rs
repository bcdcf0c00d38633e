// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How well planned times were kept, and how long requests took.

use hdrhistogram::Histogram;

use crate::control::Quantiles;
use crate::units::Nanos;

/// Errors beyond this count as this: a minute.
const MAX_ERROR: u64 = 60_000_000_000;

/// How late steps were.
pub(super) struct Measured {
    published: Option<Histogram<u64>>,
    signalled: Option<Histogram<u64>>,
}

impl Measured {
    pub(super) fn new() -> Measured {
        // Bounds that the crate takes: without a histogram there were none.
        let histogram = || Histogram::new_with_bounds(1, MAX_ERROR, 2).ok();
        Measured {
            published: histogram(),
            signalled: histogram(),
        }
    }

    /// So many completions became visible so late.
    pub(super) fn published(&mut self, late: Nanos, count: u32) {
        record(&mut self.published, late, count);
    }

    /// An interrupt was written so late.
    pub(super) fn signalled(&mut self, late: Nanos) {
        record(&mut self.signalled, late, 1);
    }

    /// From planned to actual: of publications and of interrupts.
    pub(super) fn quantiles(&self) -> [Quantiles; 2] {
        [&self.published, &self.signalled].map(|h| h.as_ref().map(quantiles).unwrap_or_default())
    }
}

fn record(histogram: &mut Option<Histogram<u64>>, late: Nanos, count: u32) {
    if let Some(histogram) = histogram {
        histogram.saturating_record_n(late.0, u64::from(count));
    }
}

fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    let at = |quantile| Nanos(histogram.value_at_quantile(quantile));
    Quantiles {
        count: histogram.len(),
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
        max: Nanos(histogram.max()),
    }
}

/// A histogram of one queue's latencies in powers of two: cheap enough to stay
/// on.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    buckets: [u64; 64],
    sum: u64,
}

impl Latencies {
    pub(super) fn new() -> Latencies {
        Latencies {
            buckets: [0; 64],
            sum: 0,
        }
    }

    /// So many requests took so long.
    pub(super) fn record(&mut self, latency: Nanos, count: u32) {
        let count = u64::from(count);
        let bucket = latency.0.checked_ilog2().unwrap_or(0);
        if let Some(counted) = self.buckets.get_mut(bucket as usize) {
            *counted += count;
        }
        self.sum = self.sum.saturating_add(latency.0.saturating_mul(count));
    }

    /// In nanoseconds.
    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// Bucket n counts latencies of 2^n up to 2^(n+1) ns.
    pub(super) fn buckets(&self) -> Vec<u64> {
        let used = self.buckets.iter().rposition(|&count| count > 0);
        self.buckets[..used.map_or(0, |last| last + 1)].to_vec()
    }
}
