// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Log pages (5.16).

use irqstorm_core::request::SECTOR_SIZE;

use super::Controller;
use super::admin::opcode as admin;
use super::features;
use super::identify::{FIRMWARE_REVISION, Page};
use super::vendor::opcode as vendor;
use crate::activity::MAX_ERRORS;
use crate::namespaces;
use crate::parse::opcode as io;
use crate::wire::{Command, StatusCode};

/// Log page identifiers (Figure 202).
const SUPPORTED: u8 = 0x00;
pub(super) const ERRORS: u8 = 0x01;
const HEALTH: u8 = 0x02;
const FIRMWARE_SLOTS: u8 = 0x03;
const EFFECTS: u8 = 0x05;
const FEATURE_EFFECTS: u8 = 0x12;
const MANAGEMENT_EFFECTS: u8 = 0x13;

const ALL: [u8; 7] = [
    SUPPORTED,
    ERRORS,
    HEALTH,
    FIRMWARE_SLOTS,
    EFFECTS,
    FEATURE_EFFECTS,
    MANAGEMENT_EFFECTS,
];

/// Bytes of an entry of the error log (Figure 206).
const ERROR_LEN: usize = 64;

/// Retain the event that led here (Figure 197).
const RETAIN_EVENT: u32 = 1 << 15;

/// The most bytes that are handed over at once.
const MAX_LEN: usize = 1 << 20;

/// OT, in dword 14: the offset counts structures, which no log here has
/// (Figure 203, IOS).
const OFFSET_OF_STRUCTURES: u32 = 1 << 23;

/// In an effects entry: the command, or feature, is supported, and changes the
/// content of blocks (Figure 211).
const SUPPORTS: u32 = 1 << 0;
const CHANGES_CONTENT: u32 = 1 << 1;

/// In the same: what it is about, a namespace or the controller.
const OF_NAMESPACE: u32 = 1 << 20;
const OF_CONTROLLER: u32 = 1 << 21;

impl Controller {
    pub(super) fn get_log_page(&mut self, command: &Command) -> Result<(), StatusCode> {
        let dword = command.dword(10);
        let dwords = u64::from(command.dword(11) & 0xffff) << 16 | u64::from(dword >> 16);
        let wanted = usize::try_from((dwords + 1) * 4).unwrap_or(usize::MAX);
        let offset = usize::try_from(command.qword(12)).unwrap_or(usize::MAX);
        let id = (dword & 0xff) as u8;
        let page = match id {
            SUPPORTED => supported(),
            ERRORS => self.errors(),
            HEALTH => self.health(),
            FIRMWARE_SLOTS => firmware_slots(),
            // Of the NVM command set's commands: there is no other.
            EFFECTS if command.dword(14) >> 24 != 0 => return Err(StatusCode::INVALID_FIELD),
            EFFECTS => effects(self.offers_doorbell_buffers()),
            FEATURE_EFFECTS => feature_effects(),
            // No command of the management interface is taken (OACS bit 6).
            MANAGEMENT_EFFECTS => Page::new(4096),
            _ => return Err(StatusCode::LOG_PAGE),
        };
        // All of them are of the controller (5.16, SMART by namespace is not
        // offered in LPA).
        if !matches!(command.namespace(), 0 | namespaces::ALL) {
            return Err(StatusCode::INVALID_FIELD);
        }
        let counts_structures = command.dword(14) & OFFSET_OF_STRUCTURES != 0;
        if wanted > MAX_LEN || !offset.is_multiple_of(4) || counts_structures {
            return Err(StatusCode::INVALID_FIELD);
        }
        let rest = page.bytes().get(offset..);
        let mut data = rest.ok_or(StatusCode::INVALID_FIELD)?.to_vec();
        data.resize(wanted, 0);
        self.hand_over(command, &data)?;
        if id == ERRORS && dword & RETAIN_EVENT == 0 {
            self.events.unmask();
        }
        Ok(())
    }

    fn errors(&self) -> Page {
        let mut page = Page::new(usize::from(MAX_ERRORS) * ERROR_LEN);
        for (index, (number, error)) in self.parts.activity.recent_errors().iter().enumerate() {
            let at = index * ERROR_LEN;
            page.put(at, &number.to_le_bytes());
            page.put(at + 8, &error.sq_id.to_le_bytes());
            page.put(at + 10, &error.command_id.to_le_bytes());
            page.put(at + 12, &error.status.field().to_le_bytes());
            // No parameter is named.
            page.put(at + 14, &[0xff, 0xff]);
            page.put(at + 16, &error.block.to_le_bytes());
            page.put(at + 24, &error.namespace.to_le_bytes());
        }
        page
    }

    /// Figure 207. Nothing wears out here, and it is always as warm.
    fn health(&self) -> Page {
        let activity = &self.parts.activity;
        let mut page = Page::new(512);
        page.put(1, &310u16.to_le_bytes());
        // Spare blocks, and the least that there should be, in percent.
        page.put(3, &[100, 10]);
        // Data units: thousands of 512 bytes, rounded up.
        let units = |sectors: u64| (sectors * SECTOR_SIZE).div_ceil(512_000);
        for (at, count) in [
            (32, units(activity.sectors_read.get())),
            (48, units(activity.sectors_written.get())),
            (64, activity.reads.get()),
            (80, activity.writes.get()),
            (160, activity.media_errors.get()),
            (176, activity.errors.get()),
        ] {
            page.put(at, &u128::from(count).to_le_bytes());
        }
        page
    }
}

/// A dword for each log page; bit 0: it is supported (Figure 203).
fn supported() -> Page {
    let mut page = Page::new(1024);
    for id in ALL {
        page.put(usize::from(id) * 4, &[1]);
    }
    page
}

/// Slot 1 is active, and has the only revision (Figure 208).
fn firmware_slots() -> Page {
    let mut page = Page::new(512);
    page.put(0, &[1]);
    page.put_text(8, 8, FIRMWARE_REVISION.as_bytes());
    page
}

/// A dword for each admin command, then one for each I/O command (Figure 210).
fn effects(has_doorbell_buffers: bool) -> Page {
    let mut page = Page::new(4096);
    let mut put = |base: usize, opcode: u8, effects: u32| {
        page.put(base + usize::from(opcode) * 4, &effects.to_le_bytes());
    };
    for opcode in [
        admin::DELETE_SUBMISSION_QUEUE,
        admin::CREATE_SUBMISSION_QUEUE,
        admin::GET_LOG_PAGE,
        admin::DELETE_COMPLETION_QUEUE,
        admin::CREATE_COMPLETION_QUEUE,
        admin::IDENTIFY,
        admin::ABORT,
        admin::SET_FEATURES,
        admin::GET_FEATURES,
        admin::ASYNC_EVENT_REQUEST,
        vendor::HOLD,
        vendor::COMMAND,
        vendor::ANSWER,
        vendor::RELEASE,
        vendor::FIRE,
    ] {
        put(0, opcode, SUPPORTS | OF_CONTROLLER);
    }
    if has_doorbell_buffers {
        put(0, admin::DOORBELL_BUFFERS, SUPPORTS | OF_CONTROLLER);
    }
    for opcode in [io::FLUSH, io::READ, io::COMPARE, io::VERIFY] {
        put(1024, opcode, SUPPORTS | OF_NAMESPACE);
    }
    for opcode in [io::WRITE, io::WRITE_ZEROES, io::DATASET_MANAGEMENT] {
        put(1024, opcode, SUPPORTS | CHANGES_CONTENT | OF_NAMESPACE);
    }
    page
}

/// A dword for each feature.
fn feature_effects() -> Page {
    let mut page = Page::new(1024);
    for id in features::ALL {
        let of = match features::is_of_namespace(id) {
            true => OF_NAMESPACE,
            false => OF_CONTROLLER,
        };
        page.put(usize::from(id) * 4, &(SUPPORTS | of).to_le_bytes());
    }
    page
}
