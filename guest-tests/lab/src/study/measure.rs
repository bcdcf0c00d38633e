// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is compared: the figures of a point, and quantiles of its times.

use std::cmp::Ordering;

use irqstorm_agent::points::{Point, measures};
use serde::{Deserialize, Serialize};

/// The quantiles that are compared, of a million.
const QUANTILES: [(&str, u32); 4] = [
    ("p50", 500_000),
    ("p99", 990_000),
    ("p99.9", 999_000),
    ("max", 1_000_000),
];

/// Whether a figure means something where CPUs are emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// How often something happened: so there as anywhere.
    Count,
    /// How long something took: there only against another such time.
    Time,
}

/// Something that was measured at every setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Measure {
    /// What.
    pub(crate) name: String,
    /// In what; empty for a count.
    pub(crate) unit: String,
    /// Its kind.
    pub(crate) kind: Kind,
}

/// Those that tell designs apart, in the order in which they are shown; others
/// follow as they come.
const FIRST: [&str; 8] = [
    measures::BIOS_PER_RUN,
    measures::CALLS_PER_BIO,
    measures::WORKS_PER_BIO,
    measures::WORKER_SWITCHES_PER_BIO,
    measures::SWITCHES_PER_BIO,
    measures::FROM_INTERRUPT,
    measures::FROM_COMPLETION,
    measures::LATENESS_P50,
];

/// All measures of a point, with their values.
pub(super) fn of(point: &Point) -> Vec<(Measure, f64)> {
    let figures = point.figures.iter().map(|figure| {
        let measure = Measure {
            name: figure.name.clone(),
            unit: figure.unit.clone(),
            kind: kind(&figure.unit),
        };
        (measure, figure.value)
    });
    let times = point.times.iter().flat_map(|times| {
        QUANTILES.iter().filter_map(|(label, part)| {
            let measure = Measure {
                name: format!("{}, {label}", times.name),
                unit: "us".to_owned(),
                kind: Kind::Time,
            };
            Some((measure, micros(times.quantile(*part)?)))
        })
    });
    let mut all: Vec<(Measure, f64)> = figures.chain(times).collect();
    all.sort_by(|(a, _), (b, _)| order(&a.name, &b.name));
    all
}

/// The known ones first; the sort is stable, so that the rest stays as it was.
fn order(a: &str, b: &str) -> Ordering {
    let place = |name: &str| {
        let known = FIRST.iter().position(|first| name.starts_with(first));
        known.unwrap_or(FIRST.len())
    };
    place(a).cmp(&place(b))
}

fn kind(unit: &str) -> Kind {
    match unit {
        "ns" | "us" | "ms" | "s" | "/s" | "MB/s" => Kind::Time,
        _ => Kind::Count,
    }
}

/// Nanoseconds as microseconds: exact enough far beyond any time here.
#[expect(clippy::cast_precision_loss, reason = "times stay far below 2^53 ns")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_agent::points::{Bucket, Times};
    use irqstorm_agent::protocol::Figure;

    #[test]
    fn figures_and_quantiles_are_measures_and_the_telling_ones_come_first() {
        let figure = |name: &str, unit: &str| Figure {
            name: name.into(),
            value: 2.0,
            unit: unit.into(),
        };
        let point = Point {
            setting: Vec::new(),
            figures: vec![
                figure(measures::THROUGHPUT, "/s"),
                figure(measures::BIOS_PER_RUN, ""),
            ],
            times: vec![Times {
                name: measures::FROM_INTERRUPT.into(),
                buckets: vec![Bucket(1_999, 1)],
            }],
        };
        let all = of(&point);
        let names: Vec<&str> = all.iter().map(|(found, _)| found.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "bios per worker run",
                "interrupt to end_io, p50",
                "interrupt to end_io, p99",
                "interrupt to end_io, p99.9",
                "interrupt to end_io, max",
                "throughput",
            ]
        );
        assert_eq!(all[0].0.kind, Kind::Count);
        assert_eq!((all[1].0.kind, all[1].1), (Kind::Time, 1.999));
        assert_eq!(all[5].0.kind, Kind::Time);
    }
}
