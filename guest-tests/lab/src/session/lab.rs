// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The machine that runs are made on, and what is built for them there.

use std::path::PathBuf;

use irqstorm_images::{Images, KernelChoice, PatchSet, Patched};

use crate::artifacts::Artifacts;
use crate::cli::{MachineArguments, SuiteChoice};
use crate::failure::Failure;
use crate::patched;
use crate::progress::Stages;
use crate::qemu::{self, Accel, Choice, Version};
use crate::repository::Repository;

/// A checkout, its cache, and a QEMU with what runs the guest's CPUs.
#[derive(Clone, Debug)]
pub(crate) struct Lab {
    images: Images,
    repository: Repository,
    /// The QEMU.
    pub(crate) qemu: PathBuf,
    /// Its version.
    pub(crate) qemu_version: Version,
    /// What runs the guest's CPUs.
    pub(crate) accel: Choice,
}

/// A kernel as it was asked for, found to be there.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    name: String,
    choice: KernelChoice,
    patches: PatchSet,
    patch_files: Vec<PathBuf>,
}

/// A kernel with all that was built for its runs.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// What it was called when it was asked for.
    pub(crate) name: String,
    /// The files of the patches that were put on it.
    pub(crate) patch_files: Vec<PathBuf>,
    /// What is run on it when nothing is said.
    pub(crate) suite: SuiteChoice,
    /// What the patches made of it.
    pub(crate) patched: Option<Patched>,
    /// The device, the guest's kernel and its initramfs.
    pub(crate) artifacts: Artifacts,
}

impl Wanted {
    /// A kernel by name or path, with these posted patches.
    pub(crate) fn find(
        repository: &Repository,
        kernel: &str,
        patch_files: &[PathBuf],
    ) -> Result<Wanted, Failure> {
        Ok(Wanted {
            name: kernel.to_owned(),
            choice: repository.images()?.resolve(kernel)?,
            patches: PatchSet::read(patch_files).map_err(irqstorm_images::Error::from)?,
            patch_files: patch_files.to_vec(),
        })
    }

    /// What is run when nothing is said: who edits a tree wants to know soon; a
    /// kernel by name is run to the end.
    pub(crate) fn suite(&self) -> SuiteChoice {
        match self.choice {
            KernelChoice::Tree(_) => SuiteChoice::Core,
            KernelChoice::Named(_) | KernelChoice::Image(_) => SuiteChoice::All,
        }
    }
}

impl Lab {
    /// Sees to it that there is a QEMU that can be used.
    pub(crate) fn find(
        repository: Repository,
        arguments: &MachineArguments,
    ) -> Result<Lab, Failure> {
        let qemu_version = qemu::check(&arguments.qemu)?;
        Ok(Lab {
            images: repository.images()?,
            repository,
            qemu: arguments.qemu.clone(),
            qemu_version,
            accel: qemu::choose(arguments.accel, qemu_version),
        })
    }

    /// Builds a kernel and all that its runs need, as far as that has not been
    /// done.
    pub(crate) fn build(&self, wanted: &Wanted, stages: &mut Stages) -> Result<Subject, Failure> {
        let patched = patched::apply(&self.images, &wanted.choice, &wanted.patches, stages)?;
        let kernel = match &patched {
            Some(patched) => &patched.kernel,
            None => &wanted.choice,
        };
        let artifacts = Artifacts::build(&self.repository, &self.images, kernel, stages)?;
        stages.end();
        Ok(Subject {
            name: wanted.name.clone(),
            patch_files: wanted.patch_files.clone(),
            suite: wanted.suite(),
            patched,
            artifacts,
        })
    }

    /// What has run a guest is tried no more.
    pub(super) fn settle(&mut self, accel: Accel) {
        self.accel = Choice {
            accel,
            fallback: None,
            note: None,
        };
    }
}
