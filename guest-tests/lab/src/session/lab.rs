// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The machine that runs are made on, and what is built for them there.

use std::path::{Path, PathBuf};

use irqstorm_images::{Images, KernelChoice, PatchSet, Patched};

use crate::artifacts::{Artifacts, Purpose};
use crate::cli::{ControllerArguments, DiskKind, MachineArguments, QEMU, SuiteChoice};
use crate::failure::Failure;
use crate::patched;
use crate::progress::Stages;
use crate::qemu::{self, Accel, Choice, Version};
use crate::repository::Repository;

/// QEMU's client of vfio-user.
const VFIO_USER: &str = "vfio-user-pci";

/// A checkout, its cache, and a QEMU with what runs the guest's CPUs.
#[derive(Clone, Debug)]
pub(crate) struct Lab {
    images: Images,
    repository: Repository,
    /// The QEMU.
    pub(crate) qemu: PathBuf,
    /// The QEMU that was asked for, in place of which another may be used.
    pub(super) named_qemu: PathBuf,
    /// Its version.
    pub(crate) qemu_version: Version,
    /// What runs the guest's CPUs.
    pub(crate) accel: Choice,
    /// The disk that its guests have.
    pub(crate) disk: DiskKind,
    /// How the device offers it.
    pub(crate) controller: ControllerArguments,
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
    /// Sees to it that there is a QEMU that can be used, which may take fetching
    /// one.
    pub(crate) fn find(
        repository: Repository,
        arguments: &MachineArguments,
        stages: &mut Stages,
    ) -> Result<Lab, Failure> {
        arguments.controller.check(arguments.disk)?;
        let images = repository.images()?;
        let qemu = match arguments.disk {
            DiskKind::Nvme => with_vfio_user(&images, &arguments.qemu, stages)?,
            DiskKind::Virtio | DiskKind::QemuNvme => arguments.qemu.clone(),
        };
        let qemu_version = qemu::check(&qemu)?;
        Ok(Lab {
            images,
            repository,
            qemu,
            named_qemu: arguments.qemu.clone(),
            qemu_version,
            accel: qemu::choose(arguments.accel, qemu_version),
            disk: arguments.disk,
            controller: arguments.controller.clone(),
        })
    }

    /// Builds a kernel and all that its runs need, as far as that has not been
    /// done.
    pub(crate) fn build(
        &self,
        wanted: &Wanted,
        purpose: Purpose,
        stages: &mut Stages,
    ) -> Result<Subject, Failure> {
        let patched = patched::apply(&self.images, &wanted.choice, &wanted.patches, stages)?;
        let kernel = match &patched {
            Some(patched) => &patched.kernel,
            None => &wanted.choice,
        };
        let artifacts = Artifacts::build(&self.repository, &self.images, kernel, purpose, stages)?;
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

/// A QEMU that takes a disk over vfio-user: the one that was named, or else the
/// one of the cache.
fn with_vfio_user(images: &Images, named: &Path, stages: &mut Stages) -> Result<PathBuf, Failure> {
    let by_default = named == Path::new(QEMU);
    let is_there = !by_default || irqstorm_images::is_present(QEMU);
    if is_there && qemu::has_device(named, VFIO_USER)? {
        return Ok(named.to_owned());
    }
    if by_default {
        let brought = images.newer_qemu(stages)?;
        stages.end();
        return Ok(brought);
    }
    Err(Failure::Qemu {
        path: named.to_owned(),
        reason: format!(
            "it has no {VFIO_USER}, which came with QEMU 10.1; without --qemu one that has it is brought into the cache"
        ),
    })
}
