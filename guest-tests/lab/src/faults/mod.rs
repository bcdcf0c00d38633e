// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What guest and data survive: a fault happens again and again while a guest
//! writes blocks and reads them back.
//!
//! [`load`] keeps the guest at it and counts what became of its bios, [`usage`]
//! is what the device has open, [`Row`] what one fault came to.

mod load;
mod row;
mod usage;

use std::time::Duration;

use clap::ValueEnum;
use irqstorm_agent::catalogue::Shape;
use serde::Serialize;

use crate::failure::Failure;
use crate::session::Session;
use load::Load;
pub(crate) use load::TEST;
pub(crate) use row::{Row, text};
use usage::Usage;

/// How long a guest is paused.
const PAUSE: Duration = Duration::from_millis(50);

/// Something that happens to the device or the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// The device is killed and another one started
    DeviceKilled,
    /// The guest is paused and goes on
    GuestPaused,
    /// QEMU is killed, and the next guest has another number of queues
    QemuKilled,
}

impl Fault {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::DeviceKilled => "device-killed",
            Fault::GuestPaused => "guest-paused",
            Fault::QemuKilled => "qemu-killed",
        }
    }
}

/// Has the fault happen so many times.
pub(crate) fn run(session: &mut Session, fault: Fault, times: u32) -> Result<Row, Failure> {
    let before = complaints(session);
    let mut row = match fault {
        Fault::DeviceKilled => amid(session, fault, times, |session, _| session.replace_device()),
        Fault::GuestPaused => amid(session, fault, times, |session, _| {
            session.bench().present_guest()?.pause(PAUSE)
        }),
        Fault::QemuKilled => guests(session, times),
    }?;
    row.complaints = complaints(session).saturating_sub(before);
    Ok(row)
}

/// Faults that a guest lives through. What the device has open is compared from
/// the second one on, when all that is made once has been made.
fn amid(
    session: &mut Session,
    fault: Fault,
    times: u32,
    mut happen: impl FnMut(&mut Session, u32) -> Result<(), Failure>,
) -> Result<Row, Failure> {
    let mut row = Row::new(fault);
    let mut first = None;
    while row.times < times && row.reason.is_none() {
        let mut load = Load::begin(session)?;
        while row.times < times && load.until_next(session, row.times)? {
            happen(session, row.times)?;
            row.times += 1;
            let stage = format!("{} {} of {times}", fault.name(), row.times);
            session.bench().stages.detail(&stage);
            if row.times == 2 {
                first = usage(session)?;
            }
        }
        load.end(session, &mut row)?;
    }
    // Another device each time has nothing to keep.
    if fault != Fault::DeviceKilled {
        row.growth = first.zip(usage(session)?).map(|(a, b)| b.since(&a));
    }
    Ok(row)
}

/// Guests that are killed amid I/O, each with another number of queues than the
/// one before; each does a whole load as well.
fn guests(session: &mut Session, times: u32) -> Result<Row, Failure> {
    let mut row = Row::new(Fault::QemuKilled);
    let mut first = None;
    let shapes = [None, Some(1)].map(|queues| Shape {
        queues,
        ..Shape::RUN
    });
    for shape in shapes.into_iter().cycle() {
        session.bench().prepare_guest(shape)?;
        Load::begin(session)?.end(session, &mut row)?;
        // Guests of the same shape are compared.
        if row.times == 2 {
            first = usage(session)?;
        }
        if row.reason.is_some() || row.times == times {
            break;
        }
        if Load::begin(session)?.until_next(session, row.times)? {
            session.bench().distrust_guest();
            row.times += 1;
        }
        let stage = format!("{} {} of {times}", Fault::QemuKilled.name(), row.times);
        session.bench().stages.detail(&stage);
    }
    if times.is_multiple_of(2) {
        row.growth = first.zip(usage(session)?).map(|(a, b)| b.since(&a));
    }
    Ok(row)
}

/// What the kernels have complained of so far.
fn complaints(session: &mut Session) -> usize {
    let console = session.bench().console();
    console.splats_of(Some(TEST)).len() + console.splats_of(None).len()
}

fn usage(session: &mut Session) -> Result<Option<Usage>, Failure> {
    let device = session.bench().device.as_mut();
    device.map(|device| Usage::of(device.pid())).transpose()
}
