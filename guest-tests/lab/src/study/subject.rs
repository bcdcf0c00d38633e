// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is compared: a kernel under a scenario, with the conditions under which
//! it was measured.

use std::path::PathBuf;

use irqstorm_agent::points::{Point, measures};
use irqstorm_core::control::Precision;
use serde::{Deserialize, Serialize};

use crate::results::{Case, KernelRecord, Record};

/// The conditions of a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Conditions {
    /// "kvm" or "tcg".
    pub(crate) accel: String,
    /// QEMU's version.
    pub(crate) qemu: String,
    /// The disk under test.
    pub(crate) disk: String,
    /// The host's CPUs; 0 if not known.
    pub(crate) host_cpus: u32,
    /// The guest's.
    pub(crate) cpus: u16,
    /// The guest's memory in MiB.
    pub(crate) memory_mib: u32,
    /// The scenario in force when the experiment began.
    pub(crate) scenario: String,
    /// The seed.
    pub(crate) seed: u64,
    /// The kernel.
    pub(crate) kernel: KernelRecord,
    /// The length of its jiffy in microseconds, if the experiment says.
    pub(crate) jiffy_us: Option<f64>,
}

impl Conditions {
    fn of(record: &Record, case: &Case) -> Conditions {
        Conditions {
            accel: record.accel.clone(),
            qemu: record.qemu.clone(),
            disk: record.disk.clone(),
            host_cpus: record.host_cpus,
            cpus: record.cpus,
            memory_mib: record.memory_mib,
            scenario: record.scenario.clone(),
            seed: record.seed,
            kernel: record.kernel.clone(),
            jiffy_us: case.figure(measures::JIFFY),
        }
    }

    /// Whether CPUs were emulated.
    pub(super) fn emulated(&self) -> bool {
        self.accel == "tcg"
    }
}

/// Those that were run next to each other have the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Round {
    /// Of which results folder.
    pub(super) folder: PathBuf,
    /// Its number there.
    pub(super) number: u32,
    /// Its seed.
    pub(super) seed: u64,
}

/// One run of the experiment.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Its round.
    pub(super) round: Round,
    /// Where it is.
    pub(super) run: PathBuf,
    /// Under which conditions.
    pub(super) conditions: Conditions,
    /// How well the device kept its times in it.
    pub(super) precision: Option<Precision>,
    /// What it measured.
    pub(super) points: Vec<Point>,
}

impl Sample {
    /// A case as a sample: one without points is a single one, of its figures.
    pub(super) fn of(record: &Record, case: &Case, round: Round, run: PathBuf) -> Sample {
        let whole = || Point {
            figures: case.figures.clone(),
            ..Point::default()
        };
        Sample {
            round,
            run,
            conditions: Conditions::of(record, case),
            precision: record.precision,
            points: match case.points.is_empty() {
                true => vec![whole()],
                false => case.points.clone(),
            },
        }
    }
}

/// What tells a sample's subject from others: kernel and scenario, and the
/// folder where the same kernel is in several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    kernel: String,
    scenario: String,
    key: String,
    folder: PathBuf,
}

impl Identity {
    pub(super) fn of(sample: &Sample) -> Identity {
        let conditions = &sample.conditions;
        Identity {
            kernel: conditions.kernel.name.clone(),
            scenario: conditions.scenario.clone(),
            key: conditions.kernel.key.clone(),
            folder: sample.round.folder.clone(),
        }
    }

    /// Its name among others: as short as tells it from them.
    pub(super) fn name(&self, all: &[Identity]) -> String {
        let mut name = self.kernel.clone();
        let others = || all.iter().filter(|other| *other != self);
        let same_kernel = |other: &&Identity| other.kernel == self.kernel;
        if others()
            .filter(same_kernel)
            .any(|other| other.scenario != self.scenario)
        {
            name = format!("{name}, {}", self.scenario);
        }
        if others()
            .filter(same_kernel)
            .any(|other| other.key != self.key)
        {
            let key: String = self.key.chars().take(8).collect();
            name = format!("{name} ({key})");
        }
        let same_all = |other: &&Identity| {
            (&other.kernel, &other.scenario, &other.key)
                == (&self.kernel, &self.scenario, &self.key)
        };
        if others().any(|other| same_all(&other)) {
            let folder = self.folder.file_name().unwrap_or(self.folder.as_os_str());
            name = format!("{name} in {}", folder.to_string_lossy());
        }
        name
    }
}

/// A subject of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Subject {
    /// Its name among the others.
    pub(crate) name: String,
    /// As it was measured, of its first round.
    pub(crate) conditions: Conditions,
    /// How well the device kept its times, in its worst round.
    pub(crate) precision: Option<Precision>,
    /// The folders of its runs, a round each.
    pub(crate) runs: Vec<PathBuf>,
}

impl Subject {
    pub(super) fn of(name: String, samples: &[&Sample]) -> Option<Subject> {
        let first = samples.first()?;
        let precision = samples.iter().filter_map(|sample| sample.precision);
        Some(Subject {
            name,
            conditions: first.conditions.clone(),
            precision: precision.max_by_key(|precision| precision.published.p99),
            runs: samples.iter().map(|sample| sample.run.clone()).collect(),
        })
    }
}
