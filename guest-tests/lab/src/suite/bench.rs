// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The device and the guest on it; the guest is booted anew when one is needed.

use std::path::PathBuf;
use std::time::Duration;

use irqstorm_agent::catalogue::Shape;
use irqstorm_core::control::StatusReply;
use irqstorm_core::units::Nanos;
use irqstorm_images::Progress;

use crate::console::Console;
use crate::device::Device;
use crate::failure::Failure;
use crate::guest::{Guest, Outputs};
use crate::progress::Stages;
use crate::qemu::{Accel, Machine};
use crate::repository::NamedScenario;
use crate::results::TraceRecord;
use crate::trace::{Tracer, Tracing};

/// A guest boots in seconds, under emulation on a busy machine in ten times
/// that.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// KVM that works boots in a second; one that does not mostly hangs.
const TRIAL_LIMIT: Duration = Duration::from_secs(20);

/// What tests are run on.
pub(crate) struct Bench {
    /// The device; none if the disk is QEMU's own.
    pub(crate) device: Option<Device>,
    /// The scenario in force when a test begins.
    pub(crate) scenario: NamedScenario,
    /// Where progress is shown.
    pub(crate) stages: Stages,
    /// Takes a trace of each test, if there is to be one.
    pub(crate) tracer: Option<Tracer>,
    guest: Option<Guest>,
    trusted: bool,
    qemu: PathBuf,
    machine: Machine,
    kernel: String,
    outputs: Outputs,
}

impl Bench {
    /// A bench without a guest yet.
    pub(crate) fn new(
        device: Option<Device>,
        scenario: NamedScenario,
        stages: Stages,
        qemu: PathBuf,
        machine: Machine,
        kernel: String,
        outputs: Outputs,
    ) -> Bench {
        Bench {
            device,
            scenario,
            stages,
            tracer: None,
            guest: None,
            trusted: true,
            qemu,
            machine,
            kernel,
            outputs,
        }
    }

    /// Boots the first guest. An accelerator that does not run it is given up
    /// for what there is to fall back on.
    pub(crate) fn first_boot(&mut self, fallback: Option<Accel>) -> Result<(), Failure> {
        let Some(fallback) = fallback else {
            return self.boot(BOOT_LIMIT);
        };
        match self.boot(TRIAL_LIMIT) {
            Err(failure @ Failure::Boot { .. }) => {
                let Failure::Boot { reason, .. } = &failure else {
                    return Err(failure);
                };
                self.stages.note(&format!(
                    "using TCG (emulation, slower): KVM did not boot the guest: {reason}"
                ));
                self.machine.accel = fallback;
                self.boot(BOOT_LIMIT)
            }
            outcome => outcome,
        }
    }

    fn boot(&mut self, limit: Duration) -> Result<(), Failure> {
        let shape = self.machine.shape.to_string();
        let comma = if shape.is_empty() { "" } else { " on " };
        let stage = format!("boot {}{comma}{shape}", self.kernel);
        self.stages.begin(&stage, None);
        // The storm of a test that failed would slow the boot.
        self.quiet()?;
        let guest = Guest::boot(
            &self.qemu,
            &self.machine,
            &self.kernel,
            &self.outputs,
            limit,
        );
        self.stages.end();
        self.guest = Some(guest?);
        self.trusted = true;
        Ok(())
    }

    /// Sees to it that there is a guest of this shape to run a test in.
    pub(crate) fn prepare_guest(&mut self, shape: Shape) -> Result<(), Failure> {
        let fits = self.trusted && self.machine.shape == shape;
        if fits && self.guest.is_some() {
            return Ok(());
        }
        if let Some(guest) = self.guest.take().filter(|_| self.trusted) {
            guest.power_off();
        }
        self.machine.shape = shape;
        self.boot(BOOT_LIMIT)
    }

    /// Resets the guest's machine, whatever it is at, and waits until the guest
    /// is up again.
    pub(crate) fn reset_guest(&mut self) -> Result<(), Failure> {
        self.stages.begin(&format!("reset {}", self.kernel), None);
        let up = self.reset_and_meet();
        self.stages.end();
        self.trusted = up.is_ok();
        up
    }

    fn reset_and_meet(&mut self) -> Result<(), Failure> {
        self.guest.as_mut().ok_or_else(gone)?.reset(&self.machine)?;
        // As for any boot.
        self.quiet()?;
        let guest = self.guest.as_mut().ok_or_else(gone)?;
        guest.meet(&self.machine, &self.kernel, BOOT_LIMIT)
    }

    /// Has the guest's disk unplugged, and plugged in again.
    pub(crate) fn replug_disk(&mut self) -> Result<(), Failure> {
        let Some(plug) = self.machine.plug() else {
            return Err(Failure::Monitor("the disk is in no slot".into()));
        };
        self.present_guest()?.replug(&plug)
    }

    /// The guest that is there.
    pub(crate) fn present_guest(&mut self) -> Result<&mut Guest, Failure> {
        self.guest.as_mut().ok_or_else(gone)
    }

    /// Makes the device one that a guest can be booted from.
    pub(crate) fn quiet(&mut self) -> Result<(), Failure> {
        self.device.as_mut().map_or(Ok(()), Device::quiet)
    }

    /// Puts the bench's scenario in force.
    pub(crate) fn set_scenario(&mut self) -> Result<(), Failure> {
        match &mut self.device {
            Some(device) => device.set_scenario(&self.scenario),
            None => Ok(()),
        }
    }

    /// The device's counters.
    pub(crate) fn status(&mut self) -> Result<Option<StatusReply>, Failure> {
        self.device.as_mut().map(Device::status).transpose()
    }

    /// Begins a test's trace, if there is to be one.
    pub(crate) fn begin_trace(&mut self, test: &str) -> Result<Option<Tracing>, Failure> {
        let (Some(tracer), Some(guest)) = (&self.tracer, &mut self.guest) else {
            return Ok(None);
        };
        tracer.begin(guest, test).map(Some)
    }

    /// Ends it; the test has ended when the device's clock showed `until`. Of a
    /// guest that is `lost` only the device's side is left.
    pub(crate) fn end_trace(
        &mut self,
        tracing: Option<Tracing>,
        lost: bool,
        until: Nanos,
    ) -> Result<Option<TraceRecord>, Failure> {
        let (Some(tracer), Some(tracing)) = (&self.tracer, tracing) else {
            return Ok(None);
        };
        self.stages.begin("join the trace", None);
        let guest = self.guest.as_mut().filter(|_| !lost);
        let record = tracer.end(guest, tracing, until, &self.kernel);
        self.stages.end();
        record.map(Some)
    }

    /// Fails if the device has ended: it will then not answer what `what` asks
    /// of it.
    pub(crate) fn check_device(&mut self, what: &str) -> Result<(), Failure> {
        match &mut self.device {
            Some(device) => device.check(what),
            None => Ok(()),
        }
    }

    /// Leaves the guest to whoever wants to look at it: the next test gets
    /// another one.
    pub(crate) fn distrust_guest(&mut self) {
        self.trusted = false;
    }

    /// The console of all guests.
    pub(crate) fn console(&self) -> &Console {
        &self.outputs.console
    }

    /// What the guest is made of.
    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Powers the guest off and ends the device in order.
    pub(crate) fn end(self) {
        if let Some(guest) = self.guest.filter(|_| self.trusted) {
            guest.power_off();
        }
        if let Some(device) = self.device {
            device.end();
        }
    }
}

fn gone() -> Failure {
    Failure::Control("the guest is gone".into())
}
