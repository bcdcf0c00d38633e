// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The tests by name: what each claims and needs. How each does it is in the
//! agent's `tests/`, one file a test.

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
}

/// One test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestInfo {
    /// What it is called.
    pub name: &'static str,
    /// What it settles, in a sentence.
    pub claim: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// After so many seconds it has failed. Under emulation, on a busy machine,
    /// a test takes a tenth of this.
    pub limit_seconds: u32,
}

/// Needs the probe and nothing of the kernel.
const PROBE: Needs = Needs {
    probe: true,
    flag: false,
    cpus: 2,
    control: false,
};

/// Needs the flag, seen through the probe, with the device under control.
const FLAG: Needs = Needs {
    probe: true,
    flag: true,
    cpus: 2,
    control: true,
};

/// Every test, in the order in which a run takes them.
pub const TESTS: &[TestInfo] = &[
    TestInfo {
        name: "baseline-io",
        claim: "what is written through the block layer reads back the same",
        needs: Needs {
            probe: false,
            flag: false,
            cpus: 1,
            control: false,
        },
        limit_seconds: 120,
    },
    TestInfo {
        name: "hardirq-inline",
        claim: "with a queue per CPU, the device drives completions in hardirq",
        needs: PROBE,
        limit_seconds: 120,
    },
    TestInfo {
        name: "task-context",
        claim: "a tagged bio completed in hardirq ends in preemptible task context",
        needs: FLAG,
        limit_seconds: 180,
    },
    TestInfo {
        name: "untagged-inline",
        claim: "untagged bios next to tagged ones still end in hardirq",
        needs: FLAG,
        limit_seconds: 180,
    },
    TestInfo {
        name: "fifo-per-cpu",
        claim: "deferred bios end in the order in which their CPU deferred them",
        needs: FLAG,
        limit_seconds: 240,
    },
    TestInfo {
        name: "exactly-once",
        claim: "under a storm every bio ends exactly once, with its data",
        needs: FLAG,
        limit_seconds: 300,
    },
    TestInfo {
        name: "hotplug-drain",
        claim: "bios deferred on a CPU that goes offline still end, in task context",
        needs: FLAG,
        limit_seconds: 240,
    },
    TestInfo {
        name: "switch-count",
        claim: "worker runs, bios per run and context switches are what the design says",
        needs: FLAG,
        limit_seconds: 240,
    },
    TestInfo {
        name: "spurious-storm",
        claim: "a storm below the kill line disables no interrupt and loses no bio",
        needs: Needs {
            probe: false,
            flag: false,
            cpus: 1,
            control: true,
        },
        limit_seconds: 180,
    },
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
}
