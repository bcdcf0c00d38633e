// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! HdrHistogram's percentile text (.hgrm): a line for each percentile with its
//! value, its share and how many values are up to it.

use super::Source;
use crate::latency::quantiles::Point;
use crate::latency::{FileError, MAX_VALUES, TimeUnit};
use crate::units::{Nanos, Share};

const WANTED: &str = "HdrHistogram's percentile text, in lines of \
     Value Percentile TotalCount 1/(1-Percentile), as in 80.000 0.500000000000 500 2.00";

/// A percentile's line.
struct Row {
    value: Nanos,
    share: Share,
    /// Values up to and including this one.
    count: u64,
}

/// The table of the file.
///
/// A row tells two points: where the percentile's value is, and how many
/// values are up to it. Between the second of one row and the first of the
/// next nothing is known.
pub(super) fn points(source: &Source, unit: TimeUnit) -> Result<Vec<Point>, FileError> {
    let rows = rows(source, unit)?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Err(source.error("no percentiles", WANTED));
    };
    if last.count == 0 {
        return Err(source.error("a histogram with nothing in it", "at least one value"));
    }
    let mut points = vec![(Share::NONE, first.value)];
    let mut highest = Share::NONE;
    for row in &rows {
        for share in [row.share, Share::from_counts(row.count, last.count)] {
            // Shares are printed rounded: one may fall behind a count's.
            highest = highest.max(share);
            points.push((highest, row.value));
        }
    }
    Ok(points)
}

fn rows(source: &Source, unit: TimeUnit) -> Result<Vec<Row>, FileError> {
    let mut rows: Vec<Row> = Vec::new();
    for (line, text) in source.lines() {
        if text.starts_with('#') || text.trim_start_matches('"').starts_with("Value") {
            continue;
        }
        let row = row(source, line, text, unit)?;
        if let Some(before) = rows.last() {
            let falls =
                row.value < before.value || row.share < before.share || row.count < before.count;
            if falls {
                let allowed = "no column falls from one line to the next";
                return Err(source.strange_line(line, text, allowed));
            }
        }
        if rows.len() == MAX_VALUES {
            let allowed = format!("at most {MAX_VALUES} percentiles");
            return Err(source.line_error(line, "another percentile", allowed));
        }
        rows.push(row);
    }
    Ok(rows)
}

fn row(source: &Source, line: usize, text: &str, unit: TimeUnit) -> Result<Row, FileError> {
    let mut fields = text
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|field| !field.is_empty());
    let mut field = || fields.next();
    let parsed = (|| {
        let value = field()?.parse::<f64>().ok()?;
        let share = field()?.parse::<f64>().ok().and_then(share)?;
        let count = field()?.parse::<u64>().ok()?;
        Some((value, share, count))
    })();
    let (value, share, count) = parsed.ok_or_else(|| source.strange_line(line, text, WANTED))?;
    let value = unit.times(value).ok_or_else(|| {
        let found = format!("{value} {}", unit.name());
        source.line_error(line, found, format!("0 or more; {}", super::too_long()))
    })?;
    Ok(Row {
        value,
        share,
        count,
    })
}

/// The share of a number from 0 to 1.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to a trillion: far below 2^53"
)]
fn share(part: f64) -> Option<Share> {
    let trillionths = (part * Share::WHOLE.trillionths() as f64).round();
    (0.0..=1.0)
        .contains(&part)
        .then(|| Share::from_trillionths(trillionths as u64))
}
