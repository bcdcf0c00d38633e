// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What there is to say about a test.

use super::Shape;

/// The disks that a test is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disks {
    /// Whatever there is.
    #[default]
    All,
    /// Those of virtio-blk.
    Virtio,
    /// Those of an NVMe controller.
    Nvme,
}

impl Disks {
    /// Whether a disk is one of them, which is behind NVMe or else virtio-blk.
    pub fn have(self, nvme: bool) -> bool {
        match self {
            Disks::All => true,
            Disks::Virtio => !nvme,
            Disks::Nvme => nvme,
        }
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
    /// The disk.
    pub disks: Disks,
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
