// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A small study for tests: two designs at two settings, three rounds.

use std::path::PathBuf;

use irqstorm_agent::points::{Bucket, Point, Times, measures};
use irqstorm_agent::protocol::Figure;

use super::gather::Samples;
use super::subject::{Round, Sample};
use super::table::Study;
use crate::results::samples as results;

fn figure(name: &str, value: f64, unit: &str) -> Figure {
    Figure {
        name: name.into(),
        value,
        unit: unit.into(),
    }
}

/// What a kernel measured at a rate: so many bios to a run of its worker.
pub(super) fn point(rate: f64, per_run: f64) -> Point {
    Point {
        setting: vec![
            figure(measures::RATE, rate, "/s"),
            figure(measures::PER_INTERRUPT, 1.0, ""),
        ],
        figures: vec![
            figure(measures::BIOS_PER_RUN, per_run, ""),
            figure(measures::WORKER_SWITCHES_PER_BIO, 1.0 / per_run, ""),
            figure(measures::THROUGHPUT, rate, "/s"),
        ],
        times: vec![Times {
            name: measures::FROM_COMPLETION.into(),
            buckets: vec![Bucket(1_999, 60), Bucket(3_999, 40)],
        }],
    }
}

/// A run of a kernel.
pub(super) fn sample(kernel: &str, round: u32, points: Vec<Point>) -> Sample {
    let mut record = results::record();
    record.kernel.name = kernel.into();
    let mut case = record.cases[0].clone();
    case.figures = vec![figure(measures::JIFFY, 4_000.0, "us")];
    case.points = points;
    let round = Round {
        folder: PathBuf::from("results/x"),
        number: round,
        seed: 7,
    };
    let run = PathBuf::from(format!("results/x/{kernel}-{round:?}"));
    Sample::of(&record, &case, round, run)
}

/// The samples of it.
pub(super) fn samples() -> Samples {
    let mut samples = Vec::new();
    for round in 1..4 {
        let v4 = vec![point(100.0, 1.0), point(10_000.0, 1.5)];
        let llist = vec![point(100.0, 4.0), point(10_000.0, 30.0)];
        samples.push(sample("7.2+v4", round, v4));
        samples.push(sample("7.2+llist", round, llist));
    }
    Samples {
        experiment: "storm-sweep".into(),
        samples,
        left_out: vec!["the first 2 runs, which warm the machine up".into()],
    }
}

/// The study.
pub(super) fn study() -> Study {
    Study::of(
        &samples(),
        Some("irqstorm compare --kernel 7.2+v4 --kernel 7.2+llist".into()),
    )
}
