// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! fio's results: the percentiles of its JSON, or the bins of its JSON+, over
//! all of its jobs.
//!
//! Completion latencies are taken (`clat_ns`), and total ones (`lat_ns`) where
//! fio has no others, as for syncs. Between two percentiles nothing is known:
//! of a latency with gaps JSON+ tells far more.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Source, too_long};
use crate::latency::quantiles::{self, Point};
use crate::latency::{FileError, MAX_LATENCY, MAX_VALUES, RecordedOperation};
use crate::units::{Nanos, Share};

/// The most jobs of one run.
const MAX_JOBS: usize = 1_024;

/// The most percentiles that fio is asked for; it takes 20 itself.
const MAX_PERCENTILES: usize = 100;

#[derive(Deserialize)]
struct Output {
    jobs: Jobs,
}

/// A job's results, an operation each.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Job {
    jobname: String,
    read: Option<Box<Results>>,
    write: Option<Box<Results>>,
    trim: Option<Box<Results>>,
    sync: Option<Box<Results>>,
    mixed: Option<Box<Results>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Results {
    total_ios: u64,
    clat_ns: Option<Times>,
    lat_ns: Option<Times>,
}

/// A latency's figures, in nanoseconds.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Times {
    min: u64,
    max: u64,
    #[serde(rename = "N")]
    samples: Option<u64>,
    percentile: Entries<MAX_PERCENTILES>,
    bins: Entries<MAX_VALUES>,
}

impl Times {
    /// Whether there is more than a mean.
    fn is_told(&self) -> bool {
        !(self.percentile.0.is_empty() && self.bins.0.is_empty())
    }
}

/// The table of the file.
pub(super) fn points(
    source: &Source,
    operation: Option<RecordedOperation>,
) -> Result<Vec<Point>, FileError> {
    let output: Output = serde_json::from_str(&source.text).map_err(|error| {
        source.line_error(error.line(), error.to_string(), "fio's JSON or JSON+")
    })?;
    let jobs = output.jobs.0;
    let operation = match operation {
        Some(operation) => operation,
        None => only_one(source, &jobs)?,
    };
    let recorded: Vec<Recorded> = jobs.iter().filter_map(|job| job.times(operation)).collect();
    if recorded.is_empty() {
        let found = format!("no {} has a latency", operation.name());
        return Err(source.error(found, present(&jobs)));
    }
    if let Some(slow) = recorded.iter().find(|job| job.times.max > MAX_LATENCY.0) {
        let found = format!("job {}: max = {} ns", slow.job, slow.times.max);
        return Err(source.error(found, too_long()));
    }
    if recorded.iter().all(|job| !job.times.bins.0.is_empty()) {
        return from_bins(source, &recorded);
    }
    let tables: Result<Vec<_>, _> = recorded
        .iter()
        .map(|job| Ok((from_percentiles(source, job)?, job.samples)))
        .collect();
    Ok(quantiles::mix(&tables?))
}

/// What a job recorded of one operation.
struct Recorded<'a> {
    job: &'a str,
    times: &'a Times,
    samples: u64,
}

impl Job {
    /// Its results for an operation; none if it has no latency.
    fn times(&self, operation: RecordedOperation) -> Option<Recorded<'_>> {
        let results = match operation {
            RecordedOperation::Read => &self.read,
            RecordedOperation::Write => &self.write,
            RecordedOperation::Trim => &self.trim,
            RecordedOperation::Sync => &self.sync,
            RecordedOperation::Mixed => &self.mixed,
        };
        let results = results.as_deref()?;
        let recorded = || {
            [&results.clat_ns, &results.lat_ns]
                .into_iter()
                .flatten()
                .filter(|times| times.samples != Some(0))
        };
        let times = recorded()
            .find(|times| times.is_told())
            .or(recorded().next())?;
        let samples = times.samples.unwrap_or(results.total_ios);
        (samples > 0).then_some(Recorded {
            job: &self.jobname,
            times,
            samples,
        })
    }
}

/// The operation that has latencies, if it is one alone.
fn only_one(source: &Source, jobs: &[Job]) -> Result<RecordedOperation, FileError> {
    let present: Vec<RecordedOperation> = operations(jobs);
    match present.as_slice() {
        [] => Err(source.error(
            "no latency in any job",
            "fio's JSON or JSON+ of a run with I/O",
        )),
        [operation] => Ok(*operation),
        _ => Err(source.error("several kinds of latency", self::present(jobs))),
    }
}

fn operations(jobs: &[Job]) -> Vec<RecordedOperation> {
    let has =
        |operation: &RecordedOperation| jobs.iter().any(|job| job.times(*operation).is_some());
    RecordedOperation::ALL.into_iter().filter(has).collect()
}

/// What `operation` may be for this file.
fn present(jobs: &[Job]) -> String {
    let names: Vec<String> = operations(jobs)
        .iter()
        .map(|operation| format!("operation = \"{}\"", operation.name()))
        .collect();
    match names.is_empty() {
        true => "there is no latency at all in it".to_owned(),
        false => format!("it has {}", names.join(" and ")),
    }
}

/// The bins of all jobs together. A bin's time is its middle: the shortest and
/// the longest are told beside them.
fn from_bins(source: &Source, recorded: &[Recorded]) -> Result<Vec<Point>, FileError> {
    let mut counts: BTreeMap<Nanos, u64> = BTreeMap::new();
    for Recorded { job, times, .. } in recorded {
        for (name, count) in &times.bins.0 {
            let time: u64 = name.parse().map_err(|_| {
                let found = format!("job {job}: bin \"{name}\"");
                source.error(found, "bins are named by nanoseconds")
            })?;
            let time = Nanos(time.max(times.min).min(times.max));
            let sum = counts.entry(time).or_default();
            *sum = sum.saturating_add(*count);
        }
        if counts.len() > MAX_VALUES {
            let found = format!("{} different bins", counts.len());
            return Err(source.error(found, format!("at most {MAX_VALUES}")));
        }
    }
    counts.retain(|_, count| *count > 0);
    if counts.is_empty() {
        return Err(source.error("bins with nothing in them", "at least one sample"));
    }
    let mut points = quantiles::from_counts(&counts);
    let shortest = recorded.iter().map(|job| job.times.min).min();
    let longest = recorded.iter().map(|job| job.times.max).max();
    if let (Some(first), Some(min)) = (points.first_mut(), shortest) {
        first.1 = first.1.min(Nanos(min));
    }
    if let (Some(last), Some(max)) = (points.last_mut(), longest) {
        last.1 = last.1.max(Nanos(max));
    }
    Ok(points)
}

/// The percentiles of one job, from its shortest to its longest.
fn from_percentiles(source: &Source, recorded: &Recorded) -> Result<Vec<Point>, FileError> {
    let Recorded { job, times, .. } = recorded;
    if times.percentile.0.is_empty() {
        let found = format!("job {job}: neither percentiles nor bins");
        let allowed = "a run with clat_percentiles=1, or --output-format=json+ for every job";
        return Err(source.error(found, allowed));
    }
    let mut points = vec![(Share::NONE, Nanos(times.min))];
    for (name, time) in &times.percentile.0 {
        let share: Share = format!("{name}%").parse().map_err(|_| {
            let found = format!("job {job}: percentile \"{name}\"");
            source.error(found, "percentiles are named by a number from 0 to 100")
        })?;
        points.push((share, Nanos((*time).max(times.min).min(times.max))));
    }
    points.push((Share::WHOLE, Nanos(times.max)));
    points.sort_unstable();
    if points
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if b.1 < a.1))
    {
        let found = format!("job {job}: a percentile below a smaller one's");
        return Err(source.error(found, "no percentile is shorter than a smaller one"));
    }
    Ok(points)
}

/// An object's numbers by their names, at most so many.
#[derive(Default)]
struct Entries<const MAX: usize>(Vec<(String, u64)>);

impl<'de, const MAX: usize> Deserialize<'de> for Entries<MAX> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Entries<MAX>, D::Error> {
        struct Bounded<const MAX: usize>(PhantomData<Entries<MAX>>);
        impl<'de, const MAX: usize> Visitor<'de> for Bounded<MAX> {
            type Value = Entries<MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of at most {MAX} numbers")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<MAX>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    if entries.len() == MAX {
                        return Err(serde::de::Error::invalid_length(MAX + 1, &self));
                    }
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        input.deserialize_map(Bounded(PhantomData))
    }
}

/// The jobs, at most [`MAX_JOBS`].
struct Jobs(Vec<Job>);

impl<'de> Deserialize<'de> for Jobs {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Jobs, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = Jobs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX_JOBS} jobs")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Jobs, A::Error> {
                let mut jobs = Vec::new();
                while let Some(job) = list.next_element()? {
                    if jobs.len() == MAX_JOBS {
                        return Err(serde::de::Error::invalid_length(MAX_JOBS + 1, &self));
                    }
                    jobs.push(job);
                }
                Ok(Jobs(jobs))
            }
        }
        input.deserialize_seq(Bounded)
    }
}
