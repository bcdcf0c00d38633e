// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A device-mapper device of linear pieces, by the kernel's own interface
//! (include/uapi/linux/dm-ioctl.h): a guest has no dmsetup.

use std::fs::{File, OpenOptions};

use irqstorm_agent::protocol::Disk;
use rustix::ioctl::{self, Opcode, Updater, opcode};

const CONTROL: &str = "/dev/mapper/control";

const CREATE: Opcode = opcode::read_write::<Header>(0xfd, 3);
const REMOVE: Opcode = opcode::read_write::<Header>(0xfd, 4);
/// Without a flag: resumes, and so puts the table in force.
const SUSPEND: Opcode = opcode::read_write::<Header>(0xfd, 6);
const LOAD: Opcode = opcode::read_write::<Header>(0xfd, 9);

/// DM_DEFERRED_REMOVE: gone with whoever has it open.
const DEFERRED: u32 = 1 << 17;

/// Targets that a table of ours has room for.
const MOST_PIECES: usize = 64;

/// `struct dm_ioctl`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; 128],
    uuid: [u8; 129],
    data: [u8; 7],
}

/// `struct dm_target_spec` and its parameters.
#[repr(C)]
#[derive(Clone, Copy)]
struct Target {
    sector_start: u64,
    length: u64,
    status: i32,
    next: u32,
    kind: [u8; 16],
    parameters: [u8; 64],
}

#[repr(C)]
struct Message {
    header: Header,
    targets: [Target; MOST_PIECES],
}

/// A piece of the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// Its first sector.
    pub(crate) start: u64,
    /// Its size in sectors.
    pub(crate) sectors: u64,
    /// The sector of the disk below at which it begins.
    pub(crate) below: u64,
}

/// The device.
pub(crate) struct Linear {
    control: File,
    name: String,
    minor: u64,
}

impl Linear {
    /// Makes one of some pieces of a disk.
    pub(crate) fn create(name: &str, below: &str, pieces: &[Piece]) -> Result<Linear, String> {
        let control = OpenOptions::new()
            .read(true)
            .write(true)
            .open(CONTROL)
            .map_err(|e| format!("open {CONTROL}: {e}"))?;
        let mut linear = Linear {
            control,
            name: name.to_owned(),
            minor: 0,
        };
        let made = linear.ask::<CREATE>("create", &mut message(name))?;
        // huge_encode_dev(): 8 bits of the minor, 12 of the major, the rest.
        linear.minor = made.dev & 0xff | made.dev >> 12 & 0xfff00;
        let loaded = linear
            .load(below, pieces)
            .and_then(|()| linear.ask::<SUSPEND>("resume", &mut message(name)));
        match loaded {
            Ok(_) => Ok(linear),
            Err(reason) => {
                let _ = linear.remove();
                Err(reason)
            }
        }
    }

    fn load(&self, below: &str, pieces: &[Piece]) -> Result<(), String> {
        let mut message = message(&self.name);
        if pieces.len() > MOST_PIECES {
            return Err(format!(
                "load {} pieces, {MOST_PIECES} at most",
                pieces.len()
            ));
        }
        for (target, piece) in message.targets.iter_mut().zip(pieces) {
            target.sector_start = piece.start;
            target.length = piece.sectors;
            target.next = size_of_u32::<Target>();
            put(&mut target.kind, "linear");
            put(
                &mut target.parameters,
                &format!("/dev/{below} {}", piece.below),
            );
            message.header.target_count += 1;
        }
        self.ask::<LOAD>("load the table of", &mut message)
            .map(drop)
    }

    /// It as a disk of so many sectors.
    pub(crate) fn disk(&self, sectors: u64) -> Disk {
        Disk {
            name: format!("dm-{}", self.minor),
            sectors,
            queues: 0,
        }
    }

    /// Takes it away, as soon as nobody has it open.
    pub(crate) fn remove(self) -> Result<(), String> {
        let mut message = message(&self.name);
        message.header.flags = DEFERRED;
        self.ask::<REMOVE>("remove", &mut message).map(drop)
    }

    fn ask<const OPCODE: Opcode>(
        &self,
        what: &str,
        message: &mut Message,
    ) -> Result<Header, String> {
        // SAFETY: the opcodes are device mapper's, all of which read and fill a
        // `dm_ioctl` followed by data, `data_size` bytes in all.
        let asked = unsafe { ioctl::ioctl(&self.control, Updater::<OPCODE, _>::new(message)) };
        asked.map_err(|e| format!("{what} {}: {e}", self.name))?;
        Ok(message.header)
    }
}

fn size_of_u32<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX)
}

fn message(name: &str) -> Message {
    let mut header = Header {
        version: [4, 0, 0],
        data_size: size_of_u32::<Message>(),
        data_start: size_of_u32::<Header>(),
        target_count: 0,
        open_count: 0,
        flags: 0,
        event_nr: 0,
        padding: 0,
        dev: 0,
        name: [0; 128],
        uuid: [0; 129],
        data: [0; 7],
    };
    put(&mut header.name, name);
    let target = Target {
        sector_start: 0,
        length: 0,
        status: 0,
        next: 0,
        kind: [0; 16],
        parameters: [0; 64],
    };
    Message {
        header,
        targets: [target; MOST_PIECES],
    }
}

/// Puts text where the kernel expects a string; the last byte stays 0.
fn put(place: &mut [u8], text: &str) {
    let room = place.len().saturating_sub(1);
    for (byte, letter) in place.iter_mut().take(room).zip(text.bytes()) {
        *byte = letter;
    }
}
