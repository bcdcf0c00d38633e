// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The latency language: how long after a request's arrival its completion
//! becomes visible.
//!
//! A [`Latency`] is read from a scenario, its files are replaced by what is in
//! them ([`Latency::resolve`]), its values are checked ([`Latency::check`]),
//! and from then on it is drawn from once a request ([`Latency::draw`]). What
//! passed the check can be drawn from without end, and never gives more than
//! [`MAX_LATENCY`].
//!
//! It chooses no generator and counts no requests: both are the caller's.

mod check;
mod draw;
mod files;
mod quantiles;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::units::{Nanos, Share};

pub use check::BadValue;
pub use files::FileError;

/// The longest latency that a scenario may ask for: to wait without end there
/// is `hold`.
pub const MAX_LATENCY: Nanos = Nanos::from_millis(600_000);

/// The most points of a percentile table and values of a trace, from a file or
/// written out.
pub const MAX_VALUES: usize = 1_000_000;

/// The most latencies that one mixture has.
pub const MAX_PARTS: usize = 1_000;

/// How deep mixtures may stand in one another.
pub const MAX_DEPTH: usize = 8;

/// The time from a request's arrival to its completion becoming visible.
///
/// The store executes a request before this is waited for: a latency shorter
/// than the execution is the execution's.
///
/// A `max` cuts: what is drawn above it becomes `max`. Only `normal` is
/// truncated, so that nothing heaps up at its ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Latency {
    /// Always the same.
    Fixed(Nanos),
    /// Any of the range with equal likelihood, both ends included.
    Uniform {
        /// The shortest.
        min: Nanos,
        /// The longest.
        max: Nanos,
    },
    /// The bell curve, truncated: what falls outside `min` to `max` is drawn
    /// again.
    Normal {
        /// Where the curve is highest; within `min` and `max`.
        mean: Nanos,
        /// The standard deviation before the truncation.
        sd: Nanos,
        /// The shortest.
        #[serde(default)]
        min: Nanos,
        /// The longest; [`MAX_LATENCY`] when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Nanos>,
    },
    /// The usual shape of a disk: a body and a long tail.
    Lognormal(Lognormal),
    /// Memoryless arrivals of completions, as of a loaded server.
    Exponential {
        /// The mean of the distribution before `max` cuts it.
        mean: Nanos,
        /// Longer draws are cut to this; [`MAX_LATENCY`] when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Nanos>,
    },
    /// A tail that falls as a power: rare requests are very slow.
    Pareto {
        /// The shortest, and the most likely.
        min: Nanos,
        /// The power: the smaller, the heavier the tail.
        shape: f64,
        /// Longer draws are cut to this; [`MAX_LATENCY`] when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Nanos>,
    },
    /// One of several, chosen anew for each request.
    Mixture(Arc<[Part]>),
    /// A table of percentiles, straight lines between its points. Two points
    /// with the same share are a gap: nothing falls between their times.
    Percentiles(Arc<[(Share, Nanos)]>),
    /// A histogram that a tool recorded.
    Histogram(Recording),
    /// Recorded latencies, one after the other.
    Trace(Trace),
}

impl Default for Latency {
    fn default() -> Latency {
        Latency::Fixed(Nanos::ZERO)
    }
}

/// The two ways to write a lognormal latency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "LognormalKeys", into = "LognormalKeys")]
pub enum Lognormal {
    /// By its parameters.
    Shape {
        /// Half of the draws are below.
        median: Nanos,
        /// The standard deviation of the logarithm.
        sigma: f64,
        /// Longer draws are cut to this; [`MAX_LATENCY`] when absent.
        max: Option<Nanos>,
    },
    /// By two percentiles, as a report tells them.
    Percentiles {
        /// Half of the draws are below.
        p50: Nanos,
        /// Of 100 draws 99 are below.
        p99: Nanos,
        /// Longer draws are cut to this; [`MAX_LATENCY`] when absent.
        max: Option<Nanos>,
    },
}

/// The keys of a [`Lognormal`] as they are written.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LognormalKeys {
    #[serde(skip_serializing_if = "Option::is_none")]
    median: Option<Nanos>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sigma: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<Nanos>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<Nanos>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<Nanos>,
}

impl TryFrom<LognormalKeys> for Lognormal {
    type Error = &'static str;

    fn try_from(keys: LognormalKeys) -> Result<Lognormal, &'static str> {
        let max = keys.max;
        match (keys.median, keys.sigma, keys.p50, keys.p99) {
            (Some(median), Some(sigma), None, None) => Ok(Lognormal::Shape { median, sigma, max }),
            (None, None, Some(p50), Some(p99)) => Ok(Lognormal::Percentiles { p50, p99, max }),
            _ => Err(
                "lognormal has either median and sigma or p50 and p99, as in \
                 { p50 = \"80us\", p99 = \"600us\" }, and max if wanted",
            ),
        }
    }
}

impl From<Lognormal> for LognormalKeys {
    fn from(lognormal: Lognormal) -> LognormalKeys {
        match lognormal {
            Lognormal::Shape { median, sigma, max } => LognormalKeys {
                median: Some(median),
                sigma: Some(sigma),
                max,
                ..LognormalKeys::default()
            },
            Lognormal::Percentiles { p50, p99, max } => LognormalKeys {
                p50: Some(p50),
                p99: Some(p99),
                max,
                ..LognormalKeys::default()
            },
        }
    }
}

/// One latency of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// How many of the requests have it; the shares sum to 100%.
    pub share: Share,
    /// The latency that these have.
    pub latency: Latency,
}

/// A file with a histogram: HdrHistogram's percentile text or interval log, or
/// fio's JSON or JSON+.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// The file, relative to the scenario's.
    pub file: PathBuf,
    /// What HdrHistogram's numbers count; fio's say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<TimeUnit>,
    /// Whose latencies of a fio run; may be absent if there is one kind only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<RecordedOperation>,
}

/// Recorded latencies, or the file they are in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TraceKeys", into = "TraceKeys")]
pub enum Trace {
    /// A time with its unit a line, fio's latency log, or this device's events.
    File {
        /// The file, relative to the scenario's.
        file: PathBuf,
        /// Whose latencies of a fio log or of events; all of them when absent.
        operation: Option<RecordedOperation>,
    },
    /// Each queue takes one after the other, and begins anew at the end.
    Values(Arc<[Nanos]>),
}

/// The keys of a [`Trace`] as they are written.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TraceKeys {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<RecordedOperation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Arc<[Nanos]>>,
}

impl TryFrom<TraceKeys> for Trace {
    type Error = &'static str;

    fn try_from(keys: TraceKeys) -> Result<Trace, &'static str> {
        match (keys.file, keys.operation, keys.values) {
            (Some(file), operation, None) => Ok(Trace::File { file, operation }),
            (None, None, Some(values)) => Ok(Trace::Values(values)),
            _ => Err("trace has either a file, and an operation if wanted, \
                      or values, as in { values = [\"80us\", \"2ms\"] }"),
        }
    }
}

impl From<Trace> for TraceKeys {
    fn from(trace: Trace) -> TraceKeys {
        match trace {
            Trace::File { file, operation } => TraceKeys {
                file: Some(file),
                operation,
                values: None,
            },
            Trace::Values(values) => TraceKeys {
                values: Some(values),
                ..TraceKeys::default()
            },
        }
    }
}

/// What the numbers of a file count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

impl TimeUnit {
    /// Nanoseconds in one.
    pub const fn nanos(self) -> Nanos {
        Nanos(match self {
            TimeUnit::Ns => 1,
            TimeUnit::Us => 1_000,
            TimeUnit::Ms => 1_000_000,
            TimeUnit::S => 1_000_000_000,
        })
    }
}

/// The kinds of request that fio tells apart; the names that this device has
/// for them are understood as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordedOperation {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Discards.
    #[serde(alias = "discard")]
    Trim,
    /// Flushes.
    #[serde(alias = "flush")]
    Sync,
    /// All together, as fio's `unified_rw_reporting` has them.
    Mixed,
}
