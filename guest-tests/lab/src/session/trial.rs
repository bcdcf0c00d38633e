// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is run on a kernel.

use std::path::PathBuf;

use irqstorm_agent::catalogue::TestInfo;

use crate::cli::Memory;
use crate::failure::Failure;
use crate::repository::NamedScenario;
use crate::suite::{self, Expectations};

/// Tests, the device's script for them, and the guest's size.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    /// The tests, in their order.
    pub(crate) tests: Vec<&'static TestInfo>,
    /// Which of them are expected to fail.
    pub(crate) expectations: Expectations,
    /// The scenario in force when a test begins, drawing from `seed`.
    pub(crate) scenario: NamedScenario,
    /// The seed of every random choice.
    pub(crate) seed: u64,
    /// A recording whose decisions are taken again.
    pub(crate) replay: Option<PathBuf>,
    /// The guest's memory for a trace of each test, in MiB, if there is to be one.
    pub(crate) trace_mib: Option<u32>,
    /// Whether the disk outlives its device: in a file, to which QEMU connects
    /// again. Over vhost-user alone.
    pub(crate) lasting: bool,
    /// CPUs, where a test asks for no others.
    pub(crate) cpus: u16,
    /// Memory.
    pub(crate) memory: Memory,
}

impl Trial {
    /// The same with other tests.
    pub(crate) fn with_tests(&self, tests: &[&'static TestInfo]) -> Trial {
        Trial {
            tests: tests.to_vec(),
            ..self.clone()
        }
    }

    /// The same with another seed.
    pub(crate) fn with_seed(&self, seed: u64) -> Trial {
        Trial {
            scenario: self.scenario.clone().seeded(seed),
            seed,
            ..self.clone()
        }
    }

    /// One device serves all machines: it has the queues of the largest.
    pub(crate) fn most_queues(&self) -> u16 {
        let machines = suite::machines(&self.tests);
        let queues = machines.iter().map(|machine| machine.queues(self.cpus));
        queues.max().unwrap_or(self.cpus)
    }
}

/// A seed that nobody chose, short enough to type.
pub(crate) fn random_seed() -> Result<u64, Failure> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(
        |errno| Failure::Io {
            action: "draw",
            path: "a seed".into(),
            source: errno.into(),
        },
    )?;
    Ok(u32::from_ne_bytes(bytes).into())
}
