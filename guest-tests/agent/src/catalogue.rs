// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The tests by name: what each claims and needs. How each does it is in the
//! agent's `tests/`, one file a test.

use std::fmt;

/// The machine that a test runs on. Tests of one shape share a guest, so that
/// each shape boots once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// CPUs; the run's if `None`.
    pub cpus: Option<u16>,
    /// Queues of the disk; one for each CPU if `None`.
    pub queues: Option<u16>,
    /// CPUs that the kernel brings online at boot, and leaves the others to the
    /// test; all of them if `None`.
    pub online: Option<u16>,
    /// Words for the kernel's command line, after the lab's own.
    pub words: &'static [&'static str],
}

impl Shape {
    /// The run's own: its CPUs, each with a queue.
    pub const RUN: Shape = Shape {
        cpus: None,
        queues: None,
        online: None,
        words: &[],
    };

    /// CPUs, in a run with so many.
    pub fn cpus(&self, run: u16) -> u16 {
        self.cpus.unwrap_or(run)
    }

    /// Queues of the disk, in a run with so many CPUs.
    pub fn queues(&self, run: u16) -> u16 {
        self.queues.unwrap_or(self.cpus(run))
    }
}

/// What sets it apart from the run's: "4 CPUs, 2 queues"; nothing for the
/// run's.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: Option<u16>, what: &str, tail: &str| {
            let plural = if count == Some(1) { "" } else { "s" };
            count.map(|count| format!("{count} {what}{plural}{tail}"))
        };
        let parts = [
            counted(self.cpus, "CPU", ""),
            counted(self.queues, "queue", ""),
            counted(self.online, "CPU", " at boot"),
        ];
        let words = self.words.iter().map(|word| (*word).to_owned());
        let parts: Vec<String> = parts.into_iter().flatten().chain(words).collect();
        f.write_str(&parts.join(", "))
    }
}

/// What a test needs to be run at all; without it, it is skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The probe module.
    pub probe: bool,
    /// BIO_COMPLETE_IN_TASK in the kernel.
    pub flag: bool,
    /// At least so many CPUs.
    pub cpus: u32,
    /// The control port: the test tells the device what to do.
    pub control: bool,
    /// The machine, which the lab boots for it.
    pub machine: Shape,
}

/// One test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestInfo {
    /// What it is called.
    pub name: &'static str,
    /// What it settles, in a sentence.
    pub claim: &'static str,
    /// The claims about the patch, by their numbers in images/kernels/README.md,
    /// whose mutants it must catch; none if it is about something else.
    pub claims: &'static [u32],
    /// The kernel's configurations with which it settles more than with the
    /// kernel's own.
    pub configs: &'static [&'static str],
    /// What it needs.
    pub needs: Needs,
    /// After so many seconds it has failed. Under emulation, on a busy machine,
    /// a test takes a tenth of this.
    pub limit_seconds: u32,
    /// Whether it is run only when it is asked for by its name: it takes long.
    pub by_name: bool,
    /// The complaint of the kernel, or a part of its first line, that has to
    /// come and is what the test is about. The guest is good for no other test
    /// afterwards.
    pub expects: Option<&'static str>,
    /// The kernels whose design does not keep the claim: there the test has to
    /// fail.
    pub by_design: &'static [ByDesign],
}

/// A kernel that breaks a claim by its design, not by a slip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByDesign {
    /// Its name; what is built on it, `NAME~MUTANT` and `NAME:CONFIG`, breaks the
    /// claim as well.
    pub kernel: &'static str,
    /// What of the design it is.
    pub why: &'static str,
}

impl TestInfo {
    /// Why the test has to fail on a kernel, by its name; `None` if it has not.
    pub fn fails_by_design(&self, kernel: &str) -> Option<&'static str> {
        let is_on = |base: &str| match kernel.strip_prefix(base) {
            Some(rest) => rest.is_empty() || rest.starts_with(['~', ':']),
            None => false,
        };
        let found = self.by_design.iter().find(|known| is_on(known.kernel));
        found.map(|known| known.why)
    }
}

/// What a test is that is always run, in a guest whose kernel has nothing to
/// complain of.
const ALWAYS: TestInfo = TestInfo {
    name: "",
    claim: "",
    claims: &[],
    configs: &[],
    needs: DISK,
    limit_seconds: 120,
    by_name: false,
    expects: None,
    by_design: &[],
};

/// Needs the disk alone.
const DISK: Needs = Needs {
    probe: false,
    flag: false,
    cpus: 1,
    control: false,
    machine: Shape::RUN,
};

/// Needs the device under control.
const CONTROL: Needs = Needs {
    control: true,
    ..DISK
};

/// Needs the same and a queue that is left alone.
const TWO_QUEUES: Needs = Needs { cpus: 2, ..CONTROL };

/// Needs the probe and nothing of the kernel.
const PROBE: Needs = Needs {
    probe: true,
    cpus: 2,
    ..DISK
};

/// Needs the flag, seen through the probe, with the device under control.
const FLAG: Needs = Needs {
    probe: true,
    flag: true,
    cpus: 2,
    ..CONTROL
};

/// Kernels that take a task that may not sleep for one that may.
const IN_TASK_GATE: &[ByDesign] = &[
    ByDesign {
        kernel: "7.2+v4",
        why: "the gate is in_task(), which a task passes that may not sleep",
    },
    ByDesign {
        kernel: "7.2+was-empty",
        why: "the gate is in_task(), which a task passes that may not sleep",
    },
    ByDesign {
        kernel: "7.2+llist",
        why: "the gate is in_task(), which a task passes that may not sleep",
    },
    ByDesign {
        kernel: "7.2+wq",
        why: "the gate is in_task(), which a task passes that may not sleep",
    },
];

/// Kernels whose worker is on the system's workqueue: it has no worker there
/// that no one else can take, and none that was made beforehand.
const SYSTEM_WORKQUEUE: &[ByDesign] = &[
    ByDesign {
        kernel: "7.2+v4",
        why: "its worker is on the system's workqueue, among works of others and without a rescuer",
    },
    ByDesign {
        kernel: "7.2+was-empty",
        why: "its worker is on the system's workqueue, among works of others and without a rescuer",
    },
    ByDesign {
        kernel: "7.2+llist",
        why: "its worker is on the system's workqueue, among works of others and without a rescuer",
    },
];

/// Kernels whose ext4 does not tag what it writes back: all there are.
const EXT4_UNTAGGED: &[ByDesign] = &[
    ByDesign {
        kernel: "7.2",
        why: "its ext4 tags nothing: what overwrites ends in an interrupt, where no page is dropped",
    },
    ByDesign {
        kernel: "7.2+v4",
        why: "its ext4 tags nothing: what overwrites ends in an interrupt, where no page is dropped",
    },
    ByDesign {
        kernel: "7.2+was-empty",
        why: "its ext4 tags nothing: what overwrites ends in an interrupt, where no page is dropped",
    },
    ByDesign {
        kernel: "7.2+llist",
        why: "its ext4 tags nothing: what overwrites ends in an interrupt, where no page is dropped",
    },
    ByDesign {
        kernel: "7.2+wq",
        why: "its ext4 tags nothing: what overwrites ends in an interrupt, where no page is dropped",
    },
    ByDesign {
        kernel: "7.3",
        why: "its ext4 tags nothing: what overwrites ends in an interrupt, where no page is dropped",
    },
];

/// Every test, in the order in which a run takes them; those of one machine
/// together.
pub const TESTS: &[TestInfo] = &[
    TestInfo {
        name: "baseline-io",
        claim: "what is written through the block layer reads back the same",
        needs: DISK,
        limit_seconds: 120,
        ..ALWAYS
    },
    TestInfo {
        name: "hardirq-inline",
        claim: "with a queue per CPU, the device drives completions in hardirq",
        needs: PROBE,
        limit_seconds: 120,
        ..ALWAYS
    },
    TestInfo {
        name: "task-context",
        claim: "a tagged bio completed in hardirq ends in preemptible task context",
        claims: &[1],
        needs: FLAG,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "untagged-inline",
        claim: "untagged bios next to tagged ones still end in hardirq",
        claims: &[6],
        needs: FLAG,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "fifo-per-cpu",
        claim: "deferred bios end in the order in which their CPU deferred them",
        claims: &[8],
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "exactly-once",
        claim: "under a storm every bio ends exactly once, with its data",
        claims: &[9],
        needs: FLAG,
        limit_seconds: 300,
        ..ALWAYS
    },
    TestInfo {
        name: "hotplug-drain",
        claim: "bios deferred on a CPU that goes offline still end, in task context",
        claims: &[13],
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "switch-count",
        claim: "worker runs, bios per run and context switches are what the design says",
        claims: &[18],
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "spurious-storm",
        claim: "a storm below the kill line disables no interrupt and loses no bio",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "interrupt-early",
        claim: "an interrupt ahead of its completion finds nothing, and the completion waits for the rescue",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "interrupt-late",
        claim: "a completion is visible before its interrupt, and nothing ends until that comes",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "interrupt-dropped",
        claim: "a completion whose interrupt is lost ends with the rescue",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "interrupt-duplicated",
        claim: "each duplicate of an interrupt arrives and finds nothing, or merges",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "interrupt-coalesced",
        claim: "many completions have one interrupt, by their count or by time",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "stepped-release",
        claim: "held completions and their interrupts are let go one by one, and apart",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "config-vector",
        claim: "the configuration's interrupt arrives and is always claimed",
        needs: CONTROL,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "volley",
        claim: "interrupts of all queues are written at one instant, and each arrives",
        needs: TWO_QUEUES,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "marks",
        claim: "phases end with the guest's marks, and a wait is answered by the device's",
        needs: CONTROL,
        limit_seconds: 120,
        ..ALWAYS
    },
    TestInfo {
        name: "same-decisions",
        claim: "the same seed decides the same for the same requests",
        needs: TWO_QUEUES,
        limit_seconds: 180,
        ..ALWAYS
    },
    TestInfo {
        name: "guarded-million",
        claim: "a million spurious interrupts on each queue, guarded, and every queue lives",
        needs: TWO_QUEUES,
        limit_seconds: 1200,
        by_name: true,
        ..ALWAYS
    },
    TestInfo {
        name: "kill-line",
        claim: "unguarded, the kernel gives an interrupt up, and what its queue owes never comes",
        needs: TWO_QUEUES,
        limit_seconds: 1200,
        by_name: true,
        expects: Some("nobody cared"),
        ..ALWAYS
    },
    TestInfo {
        name: "inline-in-task",
        claim: "a tagged bio that completes where it may sleep ends there, within bio_endio()",
        claims: &[7],
        needs: FLAG,
        limit_seconds: 180,
        by_design: &[ByDesign {
            kernel: "7.3:no-preempt-count",
            why: "without a preemption count it cannot know that a bio may end where it is",
        }],
        ..ALWAYS
    },
    TestInfo {
        name: "no-lost-wakeup",
        claim: "no deferred bio waits for a wakeup that does not come, wherever its interrupt meets the worker",
        claims: &[10],
        needs: FLAG,
        limit_seconds: 300,
        ..ALWAYS
    },
    TestInfo {
        name: "gives-way",
        claim: "a worker that gives way to a SCHED_FIFO task comes back for the rest",
        claims: &[11],
        configs: &["no-preempt-count"],
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "moved-caller",
        claim: "a caller that is moved while it defers a bio has it ended by the worker of the bio's CPU, there",
        claims: &[12],
        needs: FLAG,
        limit_seconds: 300,
        ..ALWAYS
    },
    TestInfo {
        name: "failed-offline",
        claim: "bios deferred while a CPU fails to go offline end, and later ones too",
        claims: &[14],
        needs: FLAG,
        limit_seconds: 240,
        by_design: &[
            ByDesign {
                kernel: "7.2+v4",
                why: "while the CPU is on its way down the worker runs on another, where it takes that CPU's list",
            },
            ByDesign {
                kernel: "7.2+was-empty",
                why: "while the CPU is on its way down the worker runs on another, where it takes that CPU's list",
            },
            ByDesign {
                kernel: "7.2+wq",
                why: "while the CPU is on its way down the worker runs on another, where it takes that CPU's list",
            },
        ],
        ..ALWAYS
    },
    TestInfo {
        name: "foreign-work",
        claim: "works that wait for deferred bios, however many, do not keep them from ending",
        claims: &[16],
        needs: FLAG,
        limit_seconds: 240,
        by_design: SYSTEM_WORKQUEUE,
        ..ALWAYS
    },
    TestInfo {
        name: "reclaim-progress",
        claim: "deferred bios end although no thread can be had for another worker",
        claims: &[17],
        needs: FLAG,
        limit_seconds: 240,
        by_design: SYSTEM_WORKQUEUE,
        ..ALWAYS
    },
    TestInfo {
        name: "queue-calls",
        claim: "the worker is queued and run no more often than an interrupt finds nothing deferred",
        claims: &[18],
        needs: FLAG,
        limit_seconds: 240,
        by_design: &[
            ByDesign {
                kernel: "7.2+v4",
                why: "it queues its worker for every bio",
            },
            ByDesign {
                kernel: "7.2+wq",
                why: "it queues its worker for every bio",
            },
        ],
        ..ALWAYS
    },
    TestInfo {
        name: "no-starvation",
        claim: "a CPU that defers more than it can end still runs its other tasks in time",
        claims: &[19],
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "alone-in-time",
        claim: "a deferred bio that comes alone ends well within a jiffy",
        claims: &[20],
        needs: FLAG,
        limit_seconds: 240,
        by_design: &[ByDesign {
            kernel: "7.2+llist",
            why: "its worker comes a jiffy after it was asked for",
        }],
        ..ALWAYS
    },
    TestInfo {
        name: "whole-batches",
        claim: "of many completions to an interrupt all end, in order",
        claims: &[24],
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "chains",
        claim: "of a chain the parent's tag counts, once, and a child's does not",
        claims: &[21],
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "stacked",
        claim: "under a stacked device the original keeps its tag and its turn",
        claims: &[22],
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "stacked-mirror",
        claim: "under raid1 the original keeps its tag and its turn",
        claims: &[22],
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "exact-status",
        claim: "of a batch with failed bios each ends with its own error",
        claims: &[23],
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "bdev-page-drop",
        claim: "uncached writes to a block device leave no pages behind",
        claims: &[25],
        needs: PROBE,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "xfs-page-drop",
        claim: "uncached writes to a file of XFS leave no pages behind, and go to a task once",
        claims: &[26],
        needs: PROBE,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "ext4-page-drop",
        claim: "uncached writes to a file of ext4 leave no pages behind",
        claims: &[26],
        needs: PROBE,
        limit_seconds: 240,
        by_design: EXT4_UNTAGGED,
        ..ALWAYS
    },
    TestInfo {
        name: "owner-gone",
        claim: "no bio ends again after its owner is gone, and a freeze does not hang",
        claims: &[27],
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "unmount-burst",
        claim: "a file system that goes waits for what ends, and nothing ends when it is gone",
        claims: &[27],
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "module-gone",
        claim: "the module that owns bios goes when they have ended, and no sooner",
        claims: &[27],
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "unplug",
        claim: "a disk that goes waits for what it owes, fails the rest, and comes back",
        needs: FLAG,
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "preempt-rt",
        claim: "with PREEMPT_RT tagged bios end where they may sleep",
        claims: &[5],
        configs: &["rt"],
        needs: FLAG,
        limit_seconds: 240,
        by_design: IN_TASK_GATE,
        ..ALWAYS
    },
    TestInfo {
        name: "softirq-context",
        claim: "a tagged bio completed in softirq ends in preemptible task context",
        claims: &[2],
        needs: Needs {
            machine: Shape {
                queues: Some(1),
                ..Shape::RUN
            },
            ..FLAG
        },
        limit_seconds: 240,
        ..ALWAYS
    },
    TestInfo {
        name: "ipi-context",
        claim: "a tagged bio completed by IPI ends in task context, on that CPU",
        claims: &[3],
        needs: Needs {
            machine: Shape {
                cpus: Some(4),
                queues: Some(2),
                ..Shape::RUN
            },
            ..FLAG
        },
        limit_seconds: 300,
        ..ALWAYS
    },
    TestInfo {
        name: "forced-threading",
        claim: "a tagged bio completed in a handler's task ends where it may sleep",
        claims: &[4],
        needs: Needs {
            machine: Shape {
                words: &["threadirqs"],
                ..Shape::RUN
            },
            ..FLAG
        },
        limit_seconds: 240,
        by_design: IN_TASK_GATE,
        ..ALWAYS
    },
    TestInfo {
        name: "late-cpus",
        claim: "CPUs that come online after boot defer and end bios as others do",
        claims: &[15],
        needs: Needs {
            cpus: 1,
            machine: Shape {
                cpus: Some(3),
                online: Some(1),
                ..Shape::RUN
            },
            ..FLAG
        },
        limit_seconds: 240,
        ..ALWAYS
    },
];

/// Those that settle most of what a change to the deferral can break in the
/// least time, all on the run's own machine: together some seconds.
pub const CORE: &[&str] = &[
    "baseline-io",
    "hardirq-inline",
    "task-context",
    "untagged-inline",
    "fifo-per-cpu",
    "exactly-once",
    "hotplug-drain",
    "inline-in-task",
    "no-lost-wakeup",
    "queue-calls",
    "whole-batches",
    "chains",
    "stacked",
    "exact-status",
];

/// A test by its name.
pub fn find(name: &str) -> Option<&'static TestInfo> {
    TESTS.iter().find(|test| test.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        for test in TESTS {
            assert_eq!(find(test.name), Some(test));
        }
    }

    #[test]
    fn a_design_is_broken_in_all_that_is_built_on_it() {
        let test = find("queue-calls").unwrap();
        for kernel in ["7.2+v4", "7.2+v4~lifo", "7.2+v4:debug", "7.2+v4~lifo:rt"] {
            assert!(test.fails_by_design(kernel).is_some(), "{kernel}");
        }
        for kernel in ["7.2+v44", "7.2", "7.3", "./7.2+v4/bzImage"] {
            assert_eq!(test.fails_by_design(kernel), None, "{kernel}");
        }
    }

    #[test]
    fn a_shape_takes_from_the_run_what_it_does_not_say() {
        let one_queue = Shape {
            queues: Some(1),
            ..Shape::RUN
        };
        assert_eq!((one_queue.cpus(3), one_queue.queues(3)), (3, 1));
        let four = Shape {
            cpus: Some(4),
            ..Shape::RUN
        };
        assert_eq!((four.cpus(3), four.queues(3)), (4, 4));
    }

    #[test]
    fn a_shape_is_named_by_what_sets_it_apart() {
        let shape = Shape {
            cpus: Some(4),
            queues: Some(1),
            online: Some(1),
            words: &["threadirqs"],
        };
        assert_eq!(
            shape.to_string(),
            "4 CPUs, 1 queue, 1 CPU at boot, threadirqs"
        );
        assert_eq!(Shape::RUN.to_string(), "");
    }

    #[test]
    fn no_machine_lacks_what_its_test_needs() {
        for test in TESTS {
            let machine = test.needs.machine;
            let at_boot = machine.online.or(machine.cpus).map(u32::from);
            assert!(
                at_boot.is_none_or(|cpus| cpus >= test.needs.cpus),
                "{}",
                test.name
            );
        }
    }
}
