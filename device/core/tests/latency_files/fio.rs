// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What fio writes of a run's latencies.

use irqstorm_core::units::{Nanos, Share};

use crate::{FIO, FIO_PLUS, at, points};

#[test]
fn fios_percentiles_are_taken_over_its_jobs() {
    let points = points(
        "histogram = { file = 'x', operation = 'read' }",
        FIO.as_bytes(),
    );
    // The shortest of both jobs, the longest of both.
    assert_eq!(points[0], (Share::NONE, Nanos(30_826)));
    assert_eq!(*points.last().unwrap(), (Share::WHOLE, Nanos(1_496_874)));
    // 52,992 and 56,064 are their medians, with 40 and 35 reads.
    let median = at(&points, "50%");
    assert!((52_992..=56_064).contains(&median), "{median}");
}

#[test]
fn fios_percentiles_of_one_job_are_as_it_prints_them() {
    let mut output: serde_json::Value = serde_json::from_str(FIO).unwrap();
    output["jobs"].as_array_mut().unwrap().truncate(1);
    let text = output.to_string();
    let points = points(
        "histogram = { file = 'x', operation = 'read' }",
        text.as_bytes(),
    );
    // The first is below the shortest by as much as fio's bins are wide, and
    // so is the last above the longest.
    for (share, time) in [
        ("1%", 39_930),
        ("5%", 40_192),
        ("50%", 52_992),
        ("90%", 74_240),
        ("95%", 197_632),
        ("99.9%", 1_496_874),
    ] {
        assert_eq!(at(&points, share), time, "{share}");
    }
}

#[test]
fn fios_bins_are_summed_over_its_jobs() {
    let points = points(
        "histogram = { file = 'x', operation = 'write' }",
        FIO_PLUS.as_bytes(),
    );
    assert_eq!(points[0], (Share::NONE, Nanos(1_292)));
    assert_eq!(*points.last().unwrap(), (Share::WHOLE, Nanos(27_081)));
    // 45 writes: each bin's share is what is up to it.
    let output: serde_json::Value = serde_json::from_str(FIO_PLUS).unwrap();
    let jobs = output["jobs"].as_array().unwrap();
    let up_to = |time: u64| -> u64 {
        jobs.iter()
            .flat_map(|job| job["write"]["clat_ns"]["bins"].as_object().unwrap())
            .filter(|(bin, _)| bin.parse::<u64>().unwrap() <= time)
            .map(|(_, count)| count.as_u64().unwrap())
            .sum()
    };
    assert_eq!(up_to(u64::MAX), 45);
    for time in [2_736, 2_864, 5_536] {
        let end = (Share::from_counts(up_to(time), 45), Nanos(time));
        assert!(points.contains(&end), "{end:?}");
    }
}

#[test]
fn fios_syncs_have_their_total_latency() {
    let points = points(
        "histogram = { file = 'x', operation = 'flush' }",
        FIO_PLUS.as_bytes(),
    );
    assert_eq!(points[0], (Share::NONE, Nanos(31_497)));
    assert_eq!(*points.last().unwrap(), (Share::WHOLE, Nanos(4_940_453)));
}

#[test]
fn one_kind_of_latency_need_not_be_named() {
    let text = FIO
        .replace("\"write\"", "\"other\"")
        .replace("\"sync\"", "\"more\"");
    let points = points("histogram = { file = 'x' }", text.as_bytes());
    assert_eq!(points[0], (Share::NONE, Nanos(30_826)));
}
