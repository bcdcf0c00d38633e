// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Which values a latency may have: what passes can be drawn from.

use super::{
    Latency, Lognormal, MAX_DEPTH, MAX_LATENCY, MAX_PARTS, MAX_VALUES, Part, Recording, Trace,
};
use crate::units::{Nanos, Share};

/// The steepest lognormal and pareto: far beyond what a device shows, and
/// still a number in every computation.
const MAX_SHAPE: f64 = 100.0;

/// A key whose value no device can follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue {
    /// The key, with all that it stands in.
    pub key: String,
    /// What it says.
    pub value: String,
    /// What it may say.
    pub allowed: String,
}

impl BadValue {
    fn new(key: String, value: impl ToString, allowed: impl Into<String>) -> BadValue {
        BadValue {
            key,
            value: value.to_string(),
            allowed: allowed.into(),
        }
    }
}

impl Latency {
    /// Refuses values that parse but that no device can follow; `key` is the
    /// one that the latency stands under, as in "rule\[1\].latency".
    ///
    /// # Errors
    /// The first such value. A file that is still named is one: files can only
    /// be named in a scenario read from a file, which resolves them.
    pub fn check(&self, key: &str) -> Result<(), BadValue> {
        self.check_at(key, 0)
    }

    fn check_at(&self, key: &str, depth: usize) -> Result<(), BadValue> {
        match self {
            Latency::Fixed(time) => at_most_the_longest(format!("{key}.fixed"), *time),
            Latency::Uniform { min, max } => {
                let key = format!("{key}.uniform");
                at_most_the_longest(format!("{key}.max"), *max)?;
                not_above(format!("{key}.min"), *min, "max", *max)
            }
            Latency::Normal { mean, sd, min, max } => {
                let key = format!("{key}.normal");
                check_normal(&key, *mean, *sd, *min, *max)
            }
            Latency::Lognormal(lognormal) => {
                check_lognormal(&format!("{key}.lognormal"), lognormal)
            }
            Latency::Exponential { mean, max } => {
                let key = format!("{key}.exponential");
                some(format!("{key}.mean"), *mean)?;
                max.map_or(Ok(()), |max| some(format!("{key}.max"), max))
            }
            Latency::Pareto { min, shape, max } => {
                let key = format!("{key}.pareto");
                some(format!("{key}.min"), *min)?;
                check_shape(format!("{key}.shape"), *shape)?;
                check_cut(&key, "min", *min, *max)
            }
            Latency::Mixture(parts) => check_mixture(&format!("{key}.mixture"), parts, depth),
            Latency::Percentiles(points) => {
                check_percentiles(&format!("{key}.percentiles"), points)
            }
            Latency::Histogram(Recording { file, .. }) => {
                Err(unresolved(format!("{key}.histogram.file"), file))
            }
            Latency::Trace(Trace::File { file, .. }) => {
                Err(unresolved(format!("{key}.trace.file"), file))
            }
            Latency::Trace(Trace::Values(values)) => {
                check_values(&format!("{key}.trace.values"), values)
            }
        }
    }
}

fn check_normal(
    key: &str,
    mean: Nanos,
    sd: Nanos,
    min: Nanos,
    max: Option<Nanos>,
) -> Result<(), BadValue> {
    some(format!("{key}.sd"), sd)?;
    let longest = max.unwrap_or(MAX_LATENCY);
    at_most_the_longest(format!("{key}.max"), longest)?;
    if mean < min || mean > longest {
        return Err(BadValue::new(
            format!("{key}.mean"),
            mean,
            format!("from min, which is {min}, to max, which is {longest}"),
        ));
    }
    Ok(())
}

fn check_lognormal(key: &str, lognormal: &Lognormal) -> Result<(), BadValue> {
    match *lognormal {
        Lognormal::Shape { median, sigma, max } => {
            some(format!("{key}.median"), median)?;
            check_shape(format!("{key}.sigma"), sigma)?;
            check_cut(key, "median", median, max)
        }
        Lognormal::Percentiles { p50, p99, max } => {
            some(format!("{key}.p50"), p50)?;
            some(format!("{key}.p99"), p99)?;
            not_above(format!("{key}.p50"), p50, "p99", p99)?;
            check_cut(key, "p99", p99, max)
        }
    }
}

fn check_mixture(key: &str, parts: &[Part], depth: usize) -> Result<(), BadValue> {
    if depth >= MAX_DEPTH {
        return Err(BadValue::new(
            key.to_owned(),
            "a mixture",
            format!("mixtures stand at most {MAX_DEPTH} deep in one another"),
        ));
    }
    if parts.is_empty() || parts.len() > MAX_PARTS {
        return Err(BadValue::new(
            key.to_owned(),
            format!("{} latencies", parts.len()),
            format!("1 to {MAX_PARTS} of them"),
        ));
    }
    let mut sum = 0u64;
    for (index, part) in parts.iter().enumerate() {
        if part.share == Share::NONE {
            return Err(BadValue::new(
                format!("{key}[{index}].share"),
                part.share,
                "above 0%",
            ));
        }
        part.latency
            .check_at(&format!("{key}[{index}].latency"), depth + 1)?;
        sum = sum.saturating_add(part.share.trillionths());
    }
    if sum != Share::WHOLE.trillionths() {
        let shares: Vec<String> = parts.iter().map(|part| part.share.to_string()).collect();
        return Err(BadValue::new(
            format!("{key}[].share"),
            shares.join(" + "),
            "shares that sum to 100%",
        ));
    }
    Ok(())
}

fn check_percentiles(key: &str, points: &[(Share, Nanos)]) -> Result<(), BadValue> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Err(BadValue::new(
            key.to_owned(),
            "no points",
            "at least 2 points",
        ));
    };
    if points.len() < 2 || points.len() > MAX_VALUES {
        return Err(BadValue::new(
            key.to_owned(),
            format!("{} points", points.len()),
            format!("2 to {MAX_VALUES} points"),
        ));
    }
    if first.0 != Share::NONE {
        let key = format!("{key}[0][0]");
        return Err(BadValue::new(key, first.0, "0% in the first point"));
    }
    if last.0 != Share::WHOLE {
        let key = format!("{key}[{}][0]", points.len() - 1);
        return Err(BadValue::new(key, last.0, "100% in the last point"));
    }
    for (index, pair) in points.windows(2).enumerate() {
        let [before, this] = pair else { continue };
        let key = format!("{key}[{}]", index + 1);
        if this.0 < before.0 {
            let allowed = format!("at least the share before it, which is {}", before.0);
            return Err(BadValue::new(format!("{key}[0]"), this.0, allowed));
        }
        if this.1 < before.1 {
            let allowed = format!("at least the time before it, which is {}", before.1);
            return Err(BadValue::new(format!("{key}[1]"), this.1, allowed));
        }
    }
    at_most_the_longest(format!("{key}[{}][1]", points.len() - 1), last.1)
}

fn check_values(key: &str, values: &[Nanos]) -> Result<(), BadValue> {
    if values.is_empty() || values.len() > MAX_VALUES {
        return Err(BadValue::new(
            key.to_owned(),
            format!("{} values", values.len()),
            format!("1 to {MAX_VALUES} values"),
        ));
    }
    match values.iter().position(|value| *value > MAX_LATENCY) {
        Some(index) => at_most_the_longest(
            format!("{key}[{index}]"),
            values.get(index).copied().unwrap_or_default(),
        ),
        None => Ok(()),
    }
}

fn check_shape(key: String, shape: f64) -> Result<(), BadValue> {
    if shape > 0.0 && shape <= MAX_SHAPE {
        return Ok(());
    }
    let allowed = format!("above 0 and at most {MAX_SHAPE}");
    Err(BadValue::new(key, shape, allowed))
}

/// A cut below what the latency is told by would make that untrue.
fn check_cut(key: &str, floor: &str, least: Nanos, max: Option<Nanos>) -> Result<(), BadValue> {
    let Some(max) = max else { return Ok(()) };
    at_most_the_longest(format!("{key}.max"), max)?;
    if max < least {
        return Err(BadValue::new(
            format!("{key}.max"),
            max,
            format!("at least {floor}, which is {least}"),
        ));
    }
    Ok(())
}

fn not_above(key: String, value: Nanos, other: &str, limit: Nanos) -> Result<(), BadValue> {
    if value <= limit {
        return Ok(());
    }
    Err(BadValue::new(
        key,
        value,
        format!("at most {other}, which is {limit}"),
    ))
}

fn some(key: String, value: Nanos) -> Result<(), BadValue> {
    if value > Nanos::ZERO && value <= MAX_LATENCY {
        return Ok(());
    }
    Err(BadValue::new(
        key,
        value,
        format!("above 0 and at most {MAX_LATENCY}"),
    ))
}

fn at_most_the_longest(key: String, value: Nanos) -> Result<(), BadValue> {
    if value <= MAX_LATENCY {
        return Ok(());
    }
    Err(BadValue::new(
        key,
        value,
        format!("a latency is at most {MAX_LATENCY}; to wait longer, hold and release"),
    ))
}

fn unresolved(key: String, file: &std::path::Path) -> BadValue {
    BadValue::new(
        key,
        file.display(),
        "files can only be named in a scenario read from a file",
    )
}

#[cfg(test)]
mod tests;
