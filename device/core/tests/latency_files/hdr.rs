// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What HdrHistogram writes: percentile texts and interval logs.

use std::fs;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer, V2Serializer};
use irqstorm_core::units::{Nanos, Share};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{at, hgrm, points, recorded, resolve};

fn assert_near(found: u64, expected: u64, part: f64) {
    let off = (found as f64 / expected as f64 - 1.0).abs();
    assert!(off <= part, "{found} instead of {expected}");
}

fn log(histograms: &[&Histogram<u64>], serializer: &mut impl Serializer) -> Vec<u8> {
    let mut text = Vec::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("[Histogram log format version 1.3]");
    let mut writer = builder.begin_log_with(&mut text, serializer).unwrap();
    for (second, histogram) in (0..).zip(histograms) {
        let start = Duration::from_secs(second);
        let written = writer.write_histogram(histogram, start, Duration::from_secs(1), None);
        assert!(written.is_ok());
    }
    text
}

fn assert_is_the_recorded(points: &[(Share, Nanos)]) {
    let histogram = recorded();
    for (share, quantile) in [
        ("10%", 0.1),
        ("50%", 0.5),
        ("90%", 0.9),
        ("99%", 0.99),
        ("99.9%", 0.999),
        ("99.99%", 0.9999),
    ] {
        let expected = histogram.value_at_quantile(quantile) * 1_000;
        // One percentile of the text and the next lie this far apart.
        assert_near(at(points, share), expected, 0.02);
    }
    assert_eq!(points[0], (Share::NONE, Nanos(60_000)));
    let longest = Nanos(histogram.max() * 1_000);
    assert_eq!(*points.last().unwrap(), (Share::WHOLE, longest));
}

#[test]
fn a_percentile_text_gives_its_percentiles() {
    let text = hgrm(&recorded());
    let points = points("histogram = { file = 'x', unit = 'us' }", text.as_bytes());
    assert!(points.len() <= 1_000);
    assert_is_the_recorded(&points);
}

#[test]
fn what_a_percentile_text_knows_of_a_gap_stays_a_gap() {
    let mut histogram = Histogram::new(3).unwrap();
    histogram.record_n(80, 95_000).unwrap();
    histogram.record_n(5_000, 5_000).unwrap();
    let text = hgrm(&histogram);
    let latency = resolve("histogram = { file = 'x', unit = 'us' }", text.as_bytes()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let draws: Vec<u64> = (0..100_000)
        .map(|nth| latency.draw(nth, &mut rng).0)
        .collect();
    let fast = draws.iter().filter(|draw| **draw == 80_000).count();
    let slow = draws.iter().filter(|draw| **draw > 4_900_000).count();
    // The text tells of 95% and then of 95.625%: what is between is open.
    // Binomial, 4 standard deviations: 280 of 100,000.
    assert!(fast.abs_diff(95_000) < 280, "{fast}");
    assert!((4_375 - 280..5_000 + 280).contains(&slow), "{slow}");
}

#[test]
fn a_percentile_text_with_commas_and_no_header_is_read_too() {
    let text = "\"Value\",\"Percentile\",\"TotalCount\",\"1/(1-Percentile)\"\n\
                1.5,0.0,1,1.00\n2.0,0.5,2,2.00\n4,1.0,4,Infinity\n";
    let expected = [
        ("0%", 1_500_000),
        ("25%", 1_500_000),
        ("50%", 2_000_000),
        ("100%", 4_000_000),
    ];
    for text in [text, text.split_once('\n').unwrap().1] {
        let points = points("histogram = { file = 'x', unit = 'ms' }", text.as_bytes());
        for (share, time) in expected {
            assert_eq!(at(&points, share), time, "{share}");
        }
    }
}

#[test]
fn an_interval_log_gives_its_percentiles_packed_or_not() {
    let histogram = recorded();
    let logs = [
        log(&[&histogram], &mut V2DeflateSerializer::new()),
        log(&[&histogram], &mut V2Serializer::new()),
    ];
    for log in logs {
        let points = points("histogram = { file = 'x', unit = 'us' }", &log);
        assert!(points.len() <= 1_000, "{} points", points.len());
        assert_is_the_recorded(&points);
    }
}

#[test]
fn the_intervals_of_a_log_are_taken_together() {
    let [mut first, mut second] = [Histogram::new(3).unwrap(), Histogram::new(2).unwrap()];
    first.record_n(10, 300).unwrap();
    second.record_n(20, 100).unwrap();
    let empty = Histogram::new(3).unwrap();
    let log = log(&[&first, &empty, &second], &mut V2DeflateSerializer::new());
    let points = points("histogram = { file = 'x', unit = 's' }", &log);
    let share = |text: &str| text.parse::<Share>().unwrap();
    let [ten, twenty] = [Nanos(10_000_000_000), Nanos(20_000_000_000)];
    let expected = [
        (share("0%"), ten),
        (share("75%"), ten),
        (share("75%"), twenty),
        (share("100%"), twenty),
    ];
    assert_eq!(points, expected);
}

#[test]
fn a_scenario_beside_its_histogram_draws_what_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&[&recorded()], &mut V2DeflateSerializer::new());
    fs::write(folder.path().join("disk.hlog"), log).unwrap();
    let path = folder.path().join("disk.toml");
    let text = "latency = { histogram = { file = 'disk.hlog', unit = 'us' } }";
    fs::write(&path, text).unwrap();
    let scenario = irqstorm_core::scenario::Scenario::load(&path).unwrap();
    let latency = &scenario.phases[0].script.base.latency;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let draws: Vec<u64> = (0..100_000)
        .map(|nth| latency.draw(nth, &mut rng).0)
        .collect();
    let up_to = |time| draws.iter().filter(|draw| **draw <= time).count();
    // Binomial, 4 standard deviations: 280 of 100,000 at 95%, 620 at 46%.
    assert!(up_to(100_000).abs_diff(95_000) < 280);
    let slow = draws.len() - up_to(3_999_999);
    assert!(slow.abs_diff(5_000) < 280);
    let expected = recorded().count_between(0, 79);
    assert!(up_to(79_000).abs_diff(usize::try_from(expected).unwrap()) < 640);
}
