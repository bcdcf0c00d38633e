// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! results.json: the record from which every other report is made.

use irqstorm_agent::points::Point;
use irqstorm_agent::protocol::{BlockedTask, Figure, Hello, Verdict};
use irqstorm_core::control::{HeldEntry, Precision, ReplayStatus, StatusReply};
use serde::{Deserialize, Serialize};

use super::outcome::Expected;
use super::trace::TraceRecord;
use crate::console::Splat;

/// The version of this format; raised when a reader must change.
pub(crate) const SCHEMA: u32 = 1;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// [`SCHEMA`].
    pub(crate) schema: u32,
    /// The lab's version.
    pub(crate) irqstorm: String,
    /// When it began: UTC, RFC 3339.
    pub(crate) started: String,
    /// How long it has taken, builds included, in seconds.
    pub(crate) seconds: f64,
    /// Whether every case has been run.
    pub(crate) complete: bool,
    /// The kernel.
    pub(crate) kernel: KernelRecord,
    /// QEMU's version.
    pub(crate) qemu: String,
    /// "kvm" or "tcg".
    pub(crate) accel: String,
    /// How many CPUs the host has for all of it.
    #[serde(default)]
    pub(crate) host_cpus: u32,
    /// The disk, as the command line names it. Before there was a choice it was
    /// always the same.
    #[serde(default = "only_disk")]
    pub(crate) disk: String,
    /// The guest's CPUs and the device's queues, where a test asks for no
    /// others.
    pub(crate) cpus: u16,
    /// The guest's memory in MiB.
    pub(crate) memory_mib: u32,
    /// The seed of every random choice.
    pub(crate) seed: u64,
    /// The scenario in force when a test begins.
    pub(crate) scenario: String,
    /// What became of the decisions to be taken again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replay: Option<ReplayRecord>,
    /// How well the device kept its planned times, over what the machine takes
    /// at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) precision: Option<Precision>,
    /// What the agent said of the guest.
    pub(crate) guest: Option<Hello>,
    /// The tests, in the order in which they were run.
    pub(crate) cases: Vec<Case>,
}

fn only_disk() -> String {
    "virtio".to_owned()
}

/// Decisions of another run, taken again in this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplayRecord {
    /// The recording.
    pub(crate) file: String,
    /// How many requests were in it.
    #[serde(flatten)]
    pub(crate) counts: ReplayStatus,
}

/// The kernel of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KernelRecord {
    /// Its name, or the path that it was given by.
    pub(crate) name: String,
    /// Names everything that went into it.
    pub(crate) key: String,
    /// Names its configuration, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<String>,
    /// `uname -r`, where that is known.
    pub(crate) release: Option<String>,
    /// Where its source came from.
    pub(crate) origin: String,
    /// Whether its headers have BIO_COMPLETE_IN_TASK.
    pub(crate) has_flag: Option<bool>,
}

impl From<&irqstorm_images::BuiltKernel> for KernelRecord {
    fn from(kernel: &irqstorm_images::BuiltKernel) -> KernelRecord {
        KernelRecord {
            name: kernel.name.clone(),
            key: kernel.key.clone(),
            // One that cannot be read any more has no name.
            config: kernel
                .config
                .as_deref()
                .and_then(|path| irqstorm_images::file_key(path).ok()),
            release: kernel.release.clone(),
            origin: kernel.origin.clone(),
            has_flag: kernel.has_flag,
        }
    }
}

/// One test, run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Case {
    /// Its name.
    pub(crate) name: String,
    /// What it claims.
    pub(crate) claim: String,
    /// What set its machine apart from the run's; `None` if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) machine: Option<String>,
    /// How it ended.
    pub(crate) verdict: Verdict,
    /// Why it failed or was skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) reasons: Vec<String>,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
    /// What the guest counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) figures: Vec<Figure>,
    /// Of an experiment: what was measured at each of its settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) points: Vec<Point>,
    /// What the device counted meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<DeviceCounts>,
    /// The kernel's complaints meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) splats: Vec<Splat>,
    /// What hung, if its limit was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hang: Option<Hang>,
    /// What became of its trace, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<TraceRecord>,
    /// That it was expected to fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<Expected>,
}

impl Case {
    /// A figure of the guest's.
    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        let found = self.figures.iter().find(|figure| figure.name == name);
        found.map(|figure| figure.value)
    }
}

/// What the device counted during a test, over all queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceCounts {
    /// Requests taken.
    pub(crate) requests: u64,
    /// Requests completed.
    pub(crate) completed: u64,
    /// Interrupts written for completions.
    pub(crate) signalled: u64,
    /// Publications for which the driver wanted no interrupt.
    pub(crate) suppressed: u64,
    /// Interrupts written with no completion behind them.
    pub(crate) spurious: u64,
    /// Pauses that the guard put into storms.
    pub(crate) guard_pauses: u64,
}

impl DeviceCounts {
    /// What was counted between two looks, if there was a device to look at.
    pub(crate) fn between(
        before: Option<&StatusReply>,
        after: Option<&StatusReply>,
    ) -> Option<DeviceCounts> {
        let (before, after) = (before?, after?);
        let (from, to) = (&before.total, &after.total);
        Some(DeviceCounts {
            requests: to.requests.saturating_sub(from.requests),
            completed: to.completed.saturating_sub(from.completed),
            signalled: to.signalled.saturating_sub(from.signalled),
            suppressed: to.suppressed.saturating_sub(from.suppressed),
            spurious: to.spurious.saturating_sub(from.spurious),
            guard_pauses: after.guard_pauses.saturating_sub(before.guard_pauses),
        })
    }
}

/// What hung.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hang {
    /// How many requests the device held.
    pub(crate) held_total: u64,
    /// The oldest of them.
    pub(crate) held: Vec<HeldEntry>,
    /// /proc/interrupts; `None` if the agent did not answer any more.
    pub(crate) interrupts: Option<String>,
    /// Tasks in uninterruptible sleep, as the agent saw them. The console has
    /// the kernel's own list.
    pub(crate) blocked: Vec<BlockedTask>,
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    /// A case with nothing to tell.
    pub(crate) fn case(name: &str, verdict: Verdict) -> Case {
        Case {
            name: name.into(),
            claim: format!("{name} holds"),
            machine: None,
            verdict,
            reasons: Vec::new(),
            seconds: 1.5,
            figures: Vec::new(),
            points: Vec::new(),
            device: None,
            splats: Vec::new(),
            hang: None,
            trace: None,
            expected: None,
        }
    }

    /// A run of three cases, one of each verdict.
    pub(crate) fn record() -> Record {
        let mut pass = case("task-context", Verdict::Pass);
        let figure = |name: &str, value| Figure {
            name: name.into(),
            value,
            unit: String::new(),
        };
        use irqstorm_agent::protocol::figures;
        pass.figures = vec![
            figure(figures::TAGGED, 100.0),
            figure(figures::TAGGED_IN_TASK, 100.0),
            figure(figures::UNTAGGED, 50.0),
            figure(figures::UNTAGGED_IN_HARDIRQ, 50.0),
            figure(figures::WORKER_RUNS, 40.0),
            figure(figures::WORKER_BIOS, 100.0),
            figure(figures::SWITCHES, 200.0),
            figure(figures::DELIVERED, 170.0),
        ];
        pass.device = Some(DeviceCounts {
            requests: 150,
            completed: 150,
            signalled: 150,
            spurious: 60,
            ..DeviceCounts::default()
        });
        let mut fail = case("exactly-once", Verdict::Fail);
        fail.reasons = vec!["3 bios ended twice".into(), "WARNING: x <y>\u{1}".into()];
        fail.splats = vec![Splat {
            test: Some("exactly-once".into()),
            title: "WARNING: x <y>\u{1}".into(),
            lines: vec!["[ 1.0] WARNING: x <y>\u{1}".into()],
        }];
        let mut skip = case("hotplug-drain", Verdict::Skip);
        skip.reasons = vec!["the kernel has no BIO_COMPLETE_IN_TASK".into()];
        Record {
            schema: SCHEMA,
            irqstorm: "0.1.0".into(),
            started: "2026-01-02T03:04:05Z".into(),
            seconds: 9.25,
            complete: true,
            kernel: KernelRecord {
                name: "7.2+v4".into(),
                config: Some("0123456789abcdef".into()),
                release: Some("7.2.12".into()),
                ..KernelRecord::default()
            },
            qemu: "7.2".into(),
            accel: "tcg".into(),
            host_cpus: 8,
            disk: "virtio".into(),
            cpus: 2,
            memory_mib: 512,
            seed: 7,
            scenario: "default-storm".into(),
            replay: Some(ReplayRecord {
                file: "/results/decisions.ndjson".into(),
                counts: ReplayStatus {
                    repeated: 90,
                    unrecorded: 10,
                },
            }),
            precision: Some(Precision::default()),
            guest: None,
            cases: vec![pass, fail, skip],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_from_its_json() {
        let record = samples::record();
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
