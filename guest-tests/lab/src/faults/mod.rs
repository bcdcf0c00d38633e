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
use irqstorm_images::Progress;
use serde::Serialize;

use crate::failure::Failure;
use crate::session::Session;
use load::Load;
pub(crate) use load::TEST;
pub(crate) use row::{Row, text};
use usage::{Usage, Watch};

/// How long a guest is paused.
const PAUSE: Duration = Duration::from_millis(50);

/// The console, at 115200 baud and behind an emulated CPU, lags behind the
/// report by at most this.
const CONSOLE_LAG: Duration = Duration::from_secs(30);

/// Something that happens to the device, the guest, or what is between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// The device is killed and another one started
    DeviceKilled,
    /// The guest is paused and goes on
    GuestPaused,
    /// The guest's machine is reset, and boots again on the same device
    GuestReset,
    /// The disk is unplugged and plugged in again
    DiskUnplugged,
    /// QEMU is killed, and the next guest has another number of queues
    QemuKilled,
}

impl Fault {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::DeviceKilled => "device-killed",
            Fault::GuestPaused => "guest-paused",
            Fault::GuestReset => "guest-reset",
            Fault::DiskUnplugged => "disk-unplugged",
            Fault::QemuKilled => "qemu-killed",
        }
    }
}

/// Has the fault happen so many times.
pub(crate) fn run(session: &mut Session, fault: Fault, times: u32) -> Result<Row, Failure> {
    let before = complaints(session);
    let mut row = Row::new(fault);
    match fault {
        Fault::DeviceKilled => amid(session, &mut row, times, Session::replace_device),
        Fault::GuestPaused => amid(session, &mut row, times, |session| {
            session.bench().present_guest()?.pause(PAUSE)
        }),
        Fault::GuestReset => between(session, &mut row, times, |session, _| {
            session.bench().reset_guest()
        }),
        Fault::DiskUnplugged => replugs(session, &mut row, times),
        Fault::QemuKilled => between(session, &mut row, times, next_guest),
    }?;
    session.bench().console().wait_for_end(TEST, CONSOLE_LAG);
    row.complaints = complaints(session).saturating_sub(before);
    Ok(row)
}

/// Faults that a load lives through, several in each.
fn amid(
    session: &mut Session,
    row: &mut Row,
    times: u32,
    happen: impl Fn(&mut Session) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut watch = Watch::default();
    while row.times < times && row.reason.is_none() {
        let mut load = Load::begin(session)?;
        while row.times < times && load.until_next(session, row.times)? {
            row.happened(happen(session))?;
            say(session, row, times);
        }
        load.end(session, row)?;
        // Another device each time has nothing to keep.
        if row.fault != Fault::DeviceKilled {
            watch.look(usage(session)?, row.times);
        }
    }
    row.growth = watch.growth();
    Ok(())
}

/// Faults that no load lives through: each comes amid one, of which nothing is
/// known then, and a whole one follows.
fn between(
    session: &mut Session,
    row: &mut Row,
    times: u32,
    happen: impl Fn(&mut Session, u32) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut watch = Watch::default();
    Load::begin(session)?.end(session, row)?;
    while row.times < times && row.reason.is_none() {
        if Load::begin(session)?.until_next(session, row.times)? {
            let before = usage(session)?;
            row.happened(happen(session, row.times))?;
            // The boot was a stage of its own.
            session.bench().stages.begin(row.fault.name(), None);
            say(session, row, times);
            if row.fault == Fault::GuestReset {
                row.same_connections(before.as_ref(), usage(session)?.as_ref());
            }
        }
        if row.reason.is_none() {
            Load::begin(session)?.end(session, row)?;
        }
        // Guests of the same shape are compared.
        if row.times.is_multiple_of(2) {
            watch.look(usage(session)?, row.times);
        }
    }
    row.growth = watch.growth();
    Ok(())
}

/// Kills QEMU, and boots a guest with one queue if the one before had one for
/// each CPU, and the other way round.
fn next_guest(session: &mut Session, nth: u32) -> Result<(), Failure> {
    let queues = nth.is_multiple_of(2).then_some(1);
    session.bench().distrust_guest();
    session.bench().prepare_guest(Shape {
        queues,
        ..Shape::RUN
    })
}

/// Loads during which the disk is unplugged, once in each, and comes back.
fn replugs(session: &mut Session, row: &mut Row, times: u32) -> Result<(), Failure> {
    let mut watch = Watch::default();
    while row.times < times && row.reason.is_none() {
        let mut load = Load::until_replugged(session)?;
        if load.until_next(session, row.times)? {
            row.happened(session.bench().replug_disk())?;
            say(session, row, times);
        }
        load.end(session, row)?;
        watch.look(usage(session)?, row.times);
    }
    row.growth = watch.growth();
    Ok(())
}

fn say(session: &mut Session, row: &Row, times: u32) {
    let stage = format!("{} of {times}", row.times);
    session.bench().stages.detail(&stage);
}

/// What the kernels have complained of so far.
fn complaints(session: &mut Session) -> usize {
    let console = session.bench().console();
    console.splats_of(Some(TEST)).len() + console.splats_of(None).len()
}

fn usage(session: &mut Session) -> Result<Option<Usage>, Failure> {
    session.bench().check_device("faults")?;
    let device = session.bench().device.as_mut();
    device.map(|device| Usage::of(device.pid())).transpose()
}
