// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Latencies from the files that tools write, and from files that no tool does.
//!
//! `data/fio*` are fio 3.33's, shortened: two jobs of random reads and writes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fio;
mod hdr;
mod hostile;
mod traces;

use std::fmt::Write as _;
use std::fs;

use hdrhistogram::Histogram;
use irqstorm_core::latency::{Latency, Trace};
use irqstorm_core::units::{Nanos, Share};

const FIO: &str = include_str!("../data/fio.json");
const FIO_PLUS: &str = include_str!("../data/fio-plus.json");
const FIO_LOG: &str = include_str!("../data/fio_clat.1.log");

#[derive(serde::Deserialize)]
struct Scenario {
    latency: Latency,
}

fn latency(keys: &str) -> Latency {
    let scenario: Scenario = toml::from_str(&format!("latency = {{ {keys} }}")).unwrap();
    scenario.latency
}

/// What `latency` becomes beside a file "x" with `content`, or the refusal.
fn resolve(keys: &str, content: &[u8]) -> Result<Latency, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), content).unwrap();
    let mut latency = latency(keys);
    latency
        .resolve(folder.path())
        .map_err(|error| error.to_string())?;
    assert_eq!(latency.check("latency"), Ok(()));
    Ok(latency)
}

fn points(keys: &str, content: &[u8]) -> Vec<(Share, Nanos)> {
    match resolve(keys, content).unwrap() {
        Latency::Percentiles(points) => points.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn values(keys: &str, content: &[u8]) -> Vec<u64> {
    match resolve(keys, content).unwrap() {
        Latency::Trace(Trace::Values(values)) => values.iter().map(|value| value.0).collect(),
        other => panic!("{other:?}"),
    }
}

fn refusal(keys: &str, content: &[u8]) -> String {
    resolve(keys, content).unwrap_err()
}

/// The time that a share of the draws do not exceed, from the table.
fn at(points: &[(Share, Nanos)], share: &str) -> u64 {
    let share: Share = share.parse().unwrap();
    let upper = points.iter().position(|point| point.0 >= share).unwrap();
    let (to, high) = points[upper];
    let (from, low) = points[upper.saturating_sub(1)];
    let width = to.trillionths() - from.trillionths();
    if width == 0 {
        return high.0;
    }
    let along = share.trillionths() - from.trillionths();
    let rise = u128::from(high.0 - low.0) * u128::from(along) / u128::from(width);
    low.0 + u64::try_from(rise).unwrap()
}

/// Latencies of a disk with a cache, in microseconds: 95% from 60 to 100, 5%
/// from 4,000 to 6,000.
fn recorded() -> Histogram<u64> {
    let mut histogram = Histogram::new(3).unwrap();
    for n in 0..100_000u64 {
        let micros = match n % 20 {
            0 => 4_000 + n / 50,
            _ => 60 + n % 41,
        };
        histogram.record(micros).unwrap();
    }
    histogram
}

/// A histogram as HdrHistogram's tools print it.
fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut so_far = 0;
    for step in histogram.iter_quantiles(5) {
        so_far += step.count_since_last_iteration();
        let (value, share) = (step.value_iterated_to() as f64, step.quantile_iterated_to());
        let _ = write!(text, "{value:12.3} {share:2.12} {so_far:10}");
        let _ = match share < 1.0 {
            true => writeln!(text, " {:14.2}", 1.0 / (1.0 - share)),
            false => writeln!(text),
        };
    }
    let _ = writeln!(
        text,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n\
         #[Max     = {:12.3}, Total count    = {:12}]\n\
         #[Buckets = {:12}, SubBuckets     = {:12}]",
        histogram.mean(),
        histogram.stdev(),
        histogram.max() as f64,
        histogram.len(),
        11,
        2048,
    );
    text
}
