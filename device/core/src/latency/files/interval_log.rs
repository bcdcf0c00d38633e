// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! HdrHistogram's interval log: a histogram a line, packed and in base64. All
//! of its intervals and tags are taken together.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use super::{MAX_FILE, Source, too_long};
use crate::latency::quantiles::{self, Point};
use crate::latency::{FileError, MAX_VALUES, TimeUnit};
use crate::units::Nanos;

const WANTED: &str = "HdrHistogram's interval log, in lines of \
     StartTimestamp,Interval_Length,Interval_Max,Interval_Compressed_Histogram";

/// How a packed histogram begins in base64, format V2: nothing else does.
const PACKED: &str = "HISTF";

/// The same, not packed.
const UNPACKED: &str = "HISTE";

/// How a packed and an unpacked one begin in bytes.
const PACKED_COOKIE: [u8; 4] = 0x1c84_9314u32.to_be_bytes();

/// Bytes of an unpacked histogram before its counts.
const HEADER: usize = 40;

/// A count that its reader cannot negate, and that no histogram has.
const IMPOSSIBLE_COUNT: [u8; 9] = [0xff; 9];

/// Bytes and counters that are looked at for one file: a log of a few seconds'
/// work, and years of intervals.
const BUDGET: u64 = 4 << 30;

/// Whether a file is an interval log, and no percentile text.
pub(super) fn is_one(text: &str) -> bool {
    text.contains("[Histogram log format")
        || text.lines().any(|line| {
            let last = last_field(line);
            last.starts_with(PACKED) || last.starts_with(UNPACKED)
        })
}

/// The table of the file.
pub(super) fn points(source: &Source, unit: TimeUnit) -> Result<Vec<Point>, FileError> {
    let mut counts: BTreeMap<Nanos, u64> = BTreeMap::new();
    let mut budget = BUDGET;
    for (line, text) in source.lines() {
        if text.starts_with('#') || text.starts_with('"') {
            continue;
        }
        let histogram = decode(last_field(text), &mut budget)
            .map_err(|found| source.line_error(line, found, WANTED))?;
        for step in histogram.iter_recorded() {
            let time = nanos(unit, step.value_iterated_to()).ok_or_else(|| {
                let found = format!("{} {}", step.value_iterated_to(), unit.name());
                source.line_error(line, found, too_long())
            })?;
            let count = counts.entry(time).or_default();
            *count = count.saturating_add(step.count_at_value());
        }
        if counts.len() > MAX_VALUES {
            let found = format!("{} different values so far", counts.len());
            return Err(source.line_error(line, found, format!("at most {MAX_VALUES}")));
        }
    }
    if counts.is_empty() {
        return Err(source.error("no values in any interval", "at least one value"));
    }
    Ok(quantiles::from_counts(&counts))
}

fn last_field(line: &str) -> &str {
    line.rsplit(',').next().unwrap_or_default().trim()
}

fn nanos(unit: TimeUnit, value: u64) -> Option<Nanos> {
    let nanos = value.checked_mul(unit.nanos().0).map(Nanos);
    nanos.filter(|time| *time <= crate::latency::MAX_LATENCY)
}

/// The histogram of a line, or what is wrong with it.
///
/// It is unpacked here, since its reader would believe any length that it
/// tells.
fn decode(text: &str, budget: &mut u64) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| format!("a histogram that is no base64: {error}"))?;
    let bytes = match bytes.strip_prefix(&PACKED_COOKIE) {
        Some(packed) => unpack(packed.get(4..).unwrap_or_default())?,
        None => bytes,
    };
    spend(budget, bytes.len())?;
    check_unpacked(&bytes)?;
    let histogram: Histogram<u64> = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| format!("a histogram that cannot be read: {error}"))?;
    spend(budget, histogram.distinct_values())?;
    if histogram.len() == u64::MAX {
        return Err("a histogram with more values than can be counted".to_owned());
    }
    Ok(histogram)
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = ZlibDecoder::new(packed)
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("a histogram that cannot be unpacked: {error}"))?;
    if read as u64 > MAX_FILE {
        return Err(format!("a histogram of more than {MAX_FILE} bytes"));
    }
    Ok(bytes)
}

/// Refuses what the reader would take memory for, or stop at, unasked.
fn check_unpacked(bytes: &[u8]) -> Result<(), String> {
    let told = bytes
        .get(4..8)
        .and_then(|length| length.try_into().ok())
        .map(u32::from_be_bytes)
        .and_then(|length| usize::try_from(length).ok());
    let counts = bytes.get(HEADER..);
    match (told, counts) {
        (Some(told), Some(counts)) if told <= counts.len() => {}
        _ => return Err("a histogram that is cut short".to_owned()),
    }
    let impossible = counts.is_some_and(|counts| {
        counts
            .windows(IMPOSSIBLE_COUNT.len())
            .any(|window| window == IMPOSSIBLE_COUNT)
    });
    if impossible {
        return Err("a histogram with an impossible count".to_owned());
    }
    Ok(())
}

fn spend(budget: &mut u64, amount: usize) -> Result<(), String> {
    let left = u64::try_from(amount)
        .ok()
        .and_then(|amount| budget.checked_sub(amount));
    *budget = left.ok_or_else(|| {
        format!("more than fits: all histograms of a log together have at most {BUDGET} counters")
    })?;
    Ok(())
}
