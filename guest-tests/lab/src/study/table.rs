// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A study: settings × measures × subjects.

use std::collections::BTreeMap;

use irqstorm_agent::points::{Bucket, Point, Times};
use irqstorm_agent::protocol::Figure;
use serde::{Deserialize, Serialize};

use super::bootstrap::{self, Interval};
use super::expect::{self, Finding};
use super::figures;
use super::gather::Samples;
use super::measure::{self, Measure};
use super::subject::{Conditions, Identity, Sample, Subject};

/// The version of a study's JSON; raised when a reader must change.
const SCHEMA: u32 = 1;

/// What an experiment says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Study {
    /// [`SCHEMA`].
    pub(crate) schema: u32,
    /// The lab's version.
    pub(crate) irqstorm: String,
    /// The guest test.
    pub(crate) experiment: String,
    /// The command that makes it again, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
    /// What is compared; all others with the first.
    pub(crate) subjects: Vec<Subject>,
    /// The settings, in the experiment's order.
    pub(crate) settings: Vec<Vec<Figure>>,
    /// What was measured.
    pub(crate) measures: Vec<Measure>,
    /// A row for each setting and measure, setting by setting.
    pub(crate) rows: Vec<Row>,
    /// All rounds' times put together.
    pub(crate) distributions: Vec<Distribution>,
    /// What was left out, and why.
    pub(crate) left_out: Vec<String>,
    /// What was said of the subjects, held against the rows.
    pub(crate) findings: Vec<Finding>,
}

/// A measure at a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Which of the settings, from 0.
    pub(crate) setting: usize,
    /// Which of the measures, from 0.
    pub(crate) measure: usize,
    /// Every subject's, in their order.
    pub(crate) estimates: Vec<Estimate>,
}

/// What one subject's rounds say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Estimate {
    /// The value of each round.
    pub(crate) values: Vec<f64>,
    /// Their median.
    pub(crate) median: Option<f64>,
    /// Where it lies with 95 % confidence.
    pub(crate) interval: Option<Interval>,
    /// It over the first subject's.
    pub(crate) ratio: Option<f64>,
    /// Where that lies with 95 % confidence.
    pub(crate) ratio_interval: Option<Interval>,
    /// What may be said of it.
    pub(crate) effect: Effect,
}

/// How a subject stands to the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Effect {
    /// It is the first, or there is nothing to say it of.
    #[default]
    Unknown,
    /// The interval of the ratio holds 1.
    NotTold,
    /// It lies above.
    More,
    /// It lies below.
    Less,
}

/// The times of one subject at one setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Distribution {
    /// Which setting.
    pub(crate) setting: usize,
    /// Which subject.
    pub(crate) subject: usize,
    /// The times.
    pub(crate) times: Times,
}

impl Study {
    /// Of samples; the first subject is what others are compared with.
    pub(crate) fn of(samples: &Samples, command: Option<String>) -> Study {
        let grouped = by_subject(&samples.samples);
        let all: Vec<Identity> = grouped
            .iter()
            .map(|(identity, _)| identity.clone())
            .collect();
        let subjects = grouped
            .iter()
            .filter_map(|(identity, samples)| Subject::of(identity.name(&all), samples))
            .collect();
        let groups: Vec<Vec<&Sample>> = grouped.into_iter().map(|(_, group)| group).collect();
        let settings = settings(&groups);
        let measures = measures(&groups);
        let mut study = Study {
            schema: SCHEMA,
            irqstorm: env!("CARGO_PKG_VERSION").to_owned(),
            experiment: samples.experiment.clone(),
            command,
            subjects,
            rows: rows(&groups, &settings, &measures),
            distributions: distributions(&groups, &settings),
            settings,
            measures,
            left_out: samples.left_out.clone(),
            findings: Vec::new(),
        };
        study.findings = expect::findings(&study);
        study
    }

    /// Whether its CPUs were emulated, of any of the subjects.
    pub(crate) fn emulated(&self) -> bool {
        let mut subjects = self.subjects.iter();
        subjects.any(|subject| subject.conditions.emulated())
    }

    /// The setting in words.
    pub(crate) fn setting(&self, index: usize) -> String {
        match self.settings.get(index) {
            Some(setting) if !setting.is_empty() => figures::setting(setting),
            _ => "all of it".to_owned(),
        }
    }

    /// What a setting sets a name to.
    pub(super) fn set(&self, setting: usize, name: &str) -> Option<f64> {
        let mut figures = self.settings.get(setting)?.iter();
        figures
            .find(|figure| figure.name == name)
            .map(|figure| figure.value)
    }

    /// The estimates of a measure by its name, with their settings.
    pub(super) fn of_measure<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Row> {
        let wanted = self
            .measures
            .iter()
            .position(|measure| measure.name == name);
        self.rows
            .iter()
            .filter(move |row| Some(row.measure) == wanted)
    }

    /// In how many rounds each subject was measured, at the least.
    pub(crate) fn rounds(&self) -> usize {
        let counts = self.subjects.iter().map(|subject| subject.runs.len());
        counts.min().unwrap_or(0)
    }

    /// Conditions that differ between subjects and should not.
    pub(crate) fn differing(&self) -> Vec<&'static str> {
        let Some((first, others)) = self.subjects.split_first() else {
            return Vec::new();
        };
        let first = &first.conditions;
        let differs = |same: fn(&Conditions, &Conditions) -> bool| {
            others.iter().any(|other| !same(&other.conditions, first))
        };
        let checks = [
            ("accelerator", differs(|a, b| a.accel == b.accel)),
            ("QEMU", differs(|a, b| a.qemu == b.qemu)),
            ("disk", differs(|a, b| a.disk == b.disk)),
            (
                "the host's CPUs",
                differs(|a, b| a.host_cpus == b.host_cpus),
            ),
            ("the guest's CPUs", differs(|a, b| a.cpus == b.cpus)),
            ("memory", differs(|a, b| a.memory_mib == b.memory_mib)),
            ("seed", differs(|a, b| a.seed == b.seed)),
        ];
        let found = checks.into_iter().filter(|(_, differs)| *differs);
        found.map(|(name, _)| name).collect()
    }
}

fn by_subject(samples: &[Sample]) -> Vec<(Identity, Vec<&Sample>)> {
    let mut groups: Vec<(Identity, Vec<&Sample>)> = Vec::new();
    for sample in samples {
        let identity = Identity::of(sample);
        match groups.iter_mut().find(|(known, _)| *known == identity) {
            Some((_, group)) => group.push(sample),
            None => groups.push((identity, vec![sample])),
        }
    }
    groups
}

/// Each once, in the order in which they come.
fn settings(groups: &[Vec<&Sample>]) -> Vec<Vec<Figure>> {
    let mut all: Vec<Vec<Figure>> = Vec::new();
    for point in points(groups) {
        if !all.contains(&point.setting) {
            all.push(point.setting.clone());
        }
    }
    all
}

fn measures(groups: &[Vec<&Sample>]) -> Vec<Measure> {
    let mut all: Vec<Measure> = Vec::new();
    for point in points(groups) {
        for (measure, _) in measure::of(point) {
            if !all.contains(&measure) {
                all.push(measure);
            }
        }
    }
    all
}

fn points<'s>(groups: &'s [Vec<&'s Sample>]) -> impl Iterator<Item = &'s Point> {
    groups.iter().flatten().flat_map(|sample| &sample.points)
}

fn rows(groups: &[Vec<&Sample>], settings: &[Vec<Figure>], measures: &[Measure]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (setting, figures) in settings.iter().enumerate() {
        for (index, wanted) in measures.iter().enumerate() {
            let values: Vec<Vec<f64>> = groups
                .iter()
                .map(|group| values(group, figures, wanted))
                .collect();
            rows.push(Row {
                setting,
                measure: index,
                estimates: estimates(groups, values),
            });
        }
    }
    rows
}

fn values(group: &[&Sample], setting: &[Figure], wanted: &Measure) -> Vec<f64> {
    let value = |sample: &&Sample| {
        let point = sample
            .points
            .iter()
            .find(|point| point.setting == setting)?;
        let measured = measure::of(point).into_iter();
        let mut found = measured.filter(|(measure, _)| measure == wanted);
        found.next().map(|(_, value)| value)
    };
    group.iter().filter_map(value).collect()
}

fn estimates(groups: &[Vec<&Sample>], values: Vec<Vec<f64>>) -> Vec<Estimate> {
    let base = values.first().cloned().unwrap_or_default();
    let rounds =
        |group: &[&Sample]| -> Vec<_> { group.iter().map(|sample| sample.round.clone()).collect() };
    let of_base = groups
        .first()
        .map(|group| rounds(group))
        .unwrap_or_default();
    let estimate = |(index, values): (usize, Vec<f64>)| {
        let median = bootstrap::median(&values);
        let mut estimate = Estimate {
            median,
            interval: bootstrap::interval(&values),
            ..Estimate::default()
        };
        if index > 0 {
            let paired = groups
                .get(index)
                .is_some_and(|group| rounds(group) == of_base);
            estimate.ratio = median
                .zip(bootstrap::median(&base))
                .and_then(|(value, base)| bootstrap::ratio(value, base));
            estimate.ratio_interval = bootstrap::ratio_interval(&values, &base, paired);
            estimate.effect = Effect::of(estimate.ratio_interval);
        }
        Estimate { values, ..estimate }
    };
    values.into_iter().enumerate().map(estimate).collect()
}

impl Effect {
    fn of(ratio: Option<Interval>) -> Effect {
        match ratio {
            None => Effect::Unknown,
            Some(ratio) if !ratio.excludes(1.0) => Effect::NotTold,
            Some(ratio) if ratio.low > 1.0 => Effect::More,
            Some(_) => Effect::Less,
        }
    }
}

fn distributions(groups: &[Vec<&Sample>], settings: &[Vec<Figure>]) -> Vec<Distribution> {
    let mut all = Vec::new();
    for (setting, figures) in settings.iter().enumerate() {
        for (subject, group) in groups.iter().enumerate() {
            let points = group.iter().flat_map(|sample| &sample.points);
            let here: Vec<&Point> = points.filter(|point| point.setting == *figures).collect();
            all.extend(together(&here).into_iter().map(|times| Distribution {
                setting,
                subject,
                times,
            }));
        }
    }
    all
}

/// The times of all points, by their names.
fn together(points: &[&Point]) -> Vec<Times> {
    let mut sums: BTreeMap<&str, BTreeMap<u64, u64>> = BTreeMap::new();
    for times in points.iter().flat_map(|point| &point.times) {
        let sum = sums.entry(&times.name).or_default();
        for Bucket(up_to, count) in &times.buckets {
            let total = sum.entry(*up_to).or_default();
            *total = total.saturating_add(*count);
        }
    }
    let times = sums.into_iter().map(|(name, sum)| Times {
        name: name.to_owned(),
        buckets: sum
            .into_iter()
            .map(|(up_to, count)| Bucket(up_to, count))
            .collect(),
    });
    times.collect()
}
