// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What reviewers expected of the designs of deferral, held against a study.
//!
//! An expectation is about one kernel by name, and says a bound that the
//! figures must keep at all of certain settings. What no setting of the study
//! can tell stays open. Times are compared with the guest's own jiffy, which an
//! emulated CPU stretches as it does them.

use irqstorm_agent::points::measures as m;
use serde::{Deserialize, Serialize};

use super::bootstrap::{Interval, LEAST};
use super::figures::number;
use super::table::{Estimate, Study};

/// An expectation, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// Of which subject.
    pub(crate) subject: String,
    /// What was said of it.
    pub(crate) expectation: String,
    /// What came of it.
    pub(crate) outcome: Outcome,
    /// The figures that it stands on.
    pub(crate) evidence: String,
}

/// What came of an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It holds wherever it was said to.
    Confirmed,
    /// It does not, somewhere.
    Refuted,
    /// Nothing can be said.
    Open,
}

impl Outcome {
    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Outcome::Confirmed => "confirmed",
            Outcome::Refuted => "refuted",
            Outcome::Open => "open",
        }
    }
}

/// Which settings an expectation is about.
#[derive(Clone, Copy)]
enum Where {
    /// All.
    Everywhere,
    /// Several completions to an interrupt.
    Batched,
    /// One completion to an interrupt, at the lowest rate, for nothing.
    Alone,
    /// One completion to an interrupt, at so many a second and more.
    Storm(f64),
    /// One completion to an interrupt, at the highest rate, and dear.
    Flood,
    /// 128 KiB at a time by one writer, to XFS: what figures were posted for.
    Posted,
    /// The same, to the disk itself.
    PostedRaw,
}

/// What is bounded.
#[derive(Clone, Copy)]
enum What {
    /// The measure itself.
    Value,
    /// It over the first subject's.
    OverFirst,
    /// It times the bios of an interrupt.
    PerInterrupt,
    /// It in jiffies.
    Jiffies,
    /// It over what it is for a bio that comes alone, as dear.
    OverAlone,
}

struct Expectation {
    kernel: &'static str,
    says: &'static str,
    measure: &'static str,
    at: Where,
    what: What,
    low: f64,
    high: f64,
}

const ANY: f64 = f64::INFINITY;

/// In the order in which the designs were proposed. The median of the time from
/// bio_endio() has this name.
const COMPLETION_P50: &str = "completion to end_io, p50";

#[rustfmt::skip]
const EXPECTATIONS: &[Expectation] = &[
    Expectation { kernel: "7.2+v4", says: "it calls the workqueue for every bio",
        measure: m::CALLS_PER_BIO, at: Where::Everywhere, what: What::Value, low: 0.99, high: 1.01 },
    Expectation { kernel: "7.2+v4", says: "a bio that comes alone costs a switch to the worker",
        measure: m::WORKER_SWITCHES_PER_BIO, at: Where::Alone, what: What::Value, low: 0.95, high: 1.05 },
    Expectation { kernel: "7.2+was-empty", says: "calls fall to one for each interrupt that fills the list, or fewer",
        measure: m::CALLS_PER_BIO, at: Where::Batched, what: What::PerInterrupt, low: 0.0, high: 1.05 },
    Expectation { kernel: "7.2+was-empty", says: "it is not slower for a bio that comes alone",
        measure: COMPLETION_P50, at: Where::Alone, what: What::Jiffies, low: 0.0, high: 0.5 },
    Expectation { kernel: "7.2+llist", says: "a jiffy's delay ends the storm of context switches",
        measure: m::WORKER_SWITCHES_PER_BIO, at: Where::Storm(1_000.0), what: What::OverFirst, low: 0.0, high: 0.5 },
    Expectation { kernel: "7.2+llist", says: "a bio that comes alone waits for one jiffy or two",
        measure: COMPLETION_P50, at: Where::Alone, what: What::Jiffies, low: 0.5, high: 2.5 },
    Expectation { kernel: "7.2+wq", says: "a workqueue of its own switches as often as v4",
        measure: m::WORKER_SWITCHES_PER_BIO, at: Where::Alone, what: What::OverFirst, low: 0.9, high: 1.1 },
    Expectation { kernel: "7.2+wq", says: "it calls the workqueue for every bio, as v4",
        measure: m::CALLS_PER_BIO, at: Where::Everywhere, what: What::Value, low: 0.99, high: 1.01 },
    Expectation { kernel: "7.3", says: "at a low rate a run of the worker ends one bio",
        measure: m::BIOS_PER_RUN, at: Where::Alone, what: What::Value, low: 0.95, high: 1.05 },
    Expectation { kernel: "7.3", says: "it batches by itself as completions come faster than they end",
        measure: m::BIOS_PER_RUN, at: Where::Flood, what: What::OverAlone, low: 2.0, high: ANY },
    Expectation { kernel: "7.3", says: "no delay: a bio that comes alone ends well within a jiffy",
        measure: COMPLETION_P50, at: Where::Alone, what: What::Jiffies, low: 0.0, high: 0.5 },
    Expectation { kernel: "7.2+llist:dontcache", says: "a jiffy's delay batches (posted: 80.4 bios a run, and 1.1 without)",
        measure: m::BIOS_PER_RUN, at: Where::Posted, what: What::OverFirst, low: 2.0, high: ANY },
    Expectation { kernel: "7.2+llist:dontcache", says: "it saves switches (posted: 0.09 an I/O, and 1.86 without)",
        measure: m::SWITCHES_PER_IO, at: Where::Posted, what: What::OverFirst, low: 0.0, high: 0.5 },
    Expectation { kernel: "7.2+llist:dontcache", says: "at the same throughput (posted: 4333 MB/s, and 4374 without)",
        measure: m::WRITTEN, at: Where::Posted, what: What::OverFirst, low: 0.9, high: 1.1 },
    Expectation { kernel: "7.2+was-empty:dontcache", says: "without a delay a run ends hardly more than one bio (posted: 1.1)",
        measure: m::BIOS_PER_RUN, at: Where::Posted, what: What::Value, low: 1.0, high: 1.5 },
    Expectation { kernel: "7.2+v4:dontcache", says: "without a delay a run ends hardly more than one bio (posted: 1.1)",
        measure: m::BIOS_PER_RUN, at: Where::Posted, what: What::Value, low: 1.0, high: 1.5 },
    Expectation { kernel: "7.3", says: "without a delay a run ends hardly more than one bio (posted: 1.1)",
        measure: m::BIOS_PER_RUN, at: Where::Posted, what: What::Value, low: 1.0, high: 1.5 },
    Expectation { kernel: "7.3", says: "uncached reads of a disk are faster (posted: 1828.8 MB/s over 1173.7)",
        measure: m::READ_OVER_CACHED, at: Where::PostedRaw, what: What::Value, low: 1.0, high: ANY },
];

/// What comes of all that is said of a study's subjects.
pub(super) fn findings(study: &Study) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, subject) in study.subjects.iter().enumerate() {
        let kernel = &subject.conditions.kernel.name;
        let of_it = EXPECTATIONS
            .iter()
            .filter(|expected| expected.kernel == kernel);
        let told = of_it.filter_map(|expected| {
            let (outcome, evidence) = judge(study, index, expected)?;
            Some(Finding {
                subject: subject.name.clone(),
                expectation: expected.says.to_owned(),
                outcome,
                evidence,
            })
        });
        findings.extend(told);
    }
    findings
}

/// `None` if the study has no such measure or setting.
fn judge(study: &Study, subject: usize, expected: &Expectation) -> Option<(Outcome, String)> {
    let rows = study.of_measure(expected.measure);
    let at: Vec<usize> = rows
        .map(|row| row.setting)
        .filter(|setting| is_at(study, *setting, expected.at))
        .collect();
    let over_itself = subject == 0 && matches!(expected.what, What::OverFirst);
    if at.is_empty() || over_itself {
        return None;
    }
    let found: Vec<(Interval, usize)> = at
        .iter()
        .filter_map(|&setting| {
            let (interval, rounds) = bounded(study, subject, setting, expected)?;
            Some((interval, rounds))
        })
        .collect();
    let rounds = found.iter().map(|(_, rounds)| *rounds).min();
    if found.len() < at.len() || rounds.is_none_or(|rounds| rounds < LEAST) {
        return Some((Outcome::Open, "too few rounds to say".to_owned()));
    }
    let low = found
        .iter()
        .map(|(interval, _)| interval.low)
        .fold(ANY, f64::min);
    let high = found
        .iter()
        .map(|(interval, _)| interval.high)
        .fold(-ANY, f64::max);
    let inside = |(interval, _): &(Interval, usize)| {
        interval.low >= expected.low && interval.high <= expected.high
    };
    let outside = |(interval, _): &(Interval, usize)| {
        interval.high < expected.low || interval.low > expected.high
    };
    let outcome = match () {
        () if found.iter().all(inside) => Outcome::Confirmed,
        () if found.iter().any(outside) => Outcome::Refuted,
        () => Outcome::Open,
    };
    Some((outcome, evidence(expected, low, high, at.len())))
}

fn evidence(expected: &Expectation, low: f64, high: f64, settings: usize) -> String {
    let what = match expected.what {
        What::Value => expected.measure.to_owned(),
        What::OverFirst => format!("{}, over the first", expected.measure),
        What::PerInterrupt => "queue calls per interrupt".to_owned(),
        What::Jiffies => format!("{}, in jiffies", expected.measure),
        What::OverAlone => format!("{}, over those at the lowest rate", expected.measure),
    };
    let settings = match settings {
        1 => "at one setting".to_owned(),
        count => format!("over {count} settings"),
    };
    format!("{what}: {} to {} {settings}", number(low), number(high))
}

fn is_at(study: &Study, setting: usize, at: Where) -> bool {
    let set = |name| study.set(setting, name).unwrap_or(0.0);
    let all = |name: &'static str| {
        (0..study.settings.len()).filter_map(move |index| study.set(index, name))
    };
    let lowest = |name| set(name) <= all(name).fold(ANY, f64::min);
    let highest = |name| set(name) >= all(name).fold(0.0, f64::max);
    let single = study.set(setting, m::PER_INTERRUPT) == Some(1.0);
    let posted = |raw| {
        let wanted = [(m::RAW, raw), (m::BLOCK, 128.0), (m::WRITERS, 1.0)];
        wanted
            .iter()
            .all(|&(name, value)| study.set(setting, name) == Some(value))
    };
    match at {
        Where::Everywhere => true,
        Where::Batched => set(m::PER_INTERRUPT) > 1.0,
        Where::Alone => single && lowest(m::RATE) && lowest(m::END_IO),
        Where::Storm(rate) => single && set(m::RATE) >= rate,
        Where::Flood => single && highest(m::RATE) && highest(m::END_IO),
        Where::Posted => posted(0.0),
        Where::PostedRaw => posted(1.0),
    }
}

/// The interval of what is bounded, and of how many rounds it is.
fn bounded(
    study: &Study,
    subject: usize,
    setting: usize,
    expected: &Expectation,
) -> Option<(Interval, usize)> {
    let here = estimate(study, subject, setting, expected.measure)?;
    let rounds = here.values.len();
    let scaled = |by: f64| {
        here.interval.map(|interval| Interval {
            low: interval.low * by,
            high: interval.high * by,
        })
    };
    let interval = match expected.what {
        What::Value => here.interval?,
        What::OverFirst => here.ratio_interval?,
        What::PerInterrupt => {
            let per_interrupt = estimate(study, subject, setting, m::BIOS_PER_INTERRUPT)?;
            scaled(per_interrupt.median?)?
        }
        What::Jiffies => scaled(1.0 / study.subjects.get(subject)?.conditions.jiffy_us?)?,
        What::OverAlone => {
            let alone = alone_as_dear(study, setting)?;
            scaled(1.0 / estimate(study, subject, alone, expected.measure)?.median?)?
        }
    };
    Some((interval, rounds))
}

fn estimate<'s>(
    study: &'s Study,
    subject: usize,
    setting: usize,
    measure: &'s str,
) -> Option<&'s Estimate> {
    let mut rows = study.of_measure(measure);
    let row = rows.find(|row| row.setting == setting)?;
    row.estimates.get(subject)
}

/// The setting that is as this one, but at the lowest rate.
fn alone_as_dear(study: &Study, setting: usize) -> Option<usize> {
    let same = |index: &usize, name| study.set(*index, name) == study.set(setting, name);
    let alike = (0..study.settings.len())
        .filter(|index| same(index, m::PER_INTERRUPT) && same(index, m::END_IO));
    let rate = |index: &usize| study.set(*index, m::RATE).unwrap_or(0.0);
    alike.min_by(|a, b| rate(a).total_cmp(&rate(b)))
}
