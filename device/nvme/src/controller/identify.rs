// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What the controller says of itself and its namespace (5.17).

use irqstorm_core::request::SECTOR_SIZE;

use super::Controller;
use super::events::MAX_REQUESTS;
use crate::activity::MAX_ERRORS;
use crate::config_space::VENDOR_ID;
use crate::namespaces;
use crate::parse::MAX_TRANSFER_EXPONENT;
use crate::wire::{Command, StatusCode};

/// Bytes of every structure that is identified.
const LEN: usize = 4096;

/// What is identified (Figure 274).
mod structure {
    pub(super) const NAMESPACE: u8 = 0x00;
    pub(super) const CONTROLLER: u8 = 0x01;
    pub(super) const ACTIVE_NAMESPACES: u8 = 0x02;
    pub(super) const DESCRIPTORS: u8 = 0x03;
    pub(super) const NAMESPACE_OF_SET: u8 = 0x05;
    pub(super) const CONTROLLER_OF_SET: u8 = 0x06;
    pub(super) const ACTIVE_NAMESPACES_OF_SET: u8 = 0x07;
    pub(super) const NAMESPACE_INDEPENDENT: u8 = 0x08;
    pub(super) const COMMAND_SETS: u8 = 0x1c;
}

/// The command set identifier of the NVM command set.
const NVM_COMMAND_SET: u8 = 0x00;

/// Optional commands: compare, dataset management, write zeroes, verify.
const OPTIONAL_COMMANDS: u16 = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 7;

/// OACS: doorbell buffers.
const DOORBELL_BUFFERS: u16 = 1 << 8;

/// LPA: the log of commands and their effects; offsets into logs; the logs of
/// what logs and features there are, and what each command is about.
const LOG_ATTRIBUTES: u8 = 1 << 1 | 1 << 2 | 1 << 5;

/// VWC: there is a write cache; a flush may name all namespaces.
const WRITE_CACHE: u8 = 1 | 0b11 << 1;

/// FRMW: one slot, which cannot be written.
const FIRMWARE: u8 = 1 | 1 << 1;

/// The one revision of the firmware: the version of this program.
pub(super) const FIRMWARE_REVISION: &str = env!("CARGO_PKG_VERSION");

/// DLFEAT: deallocated blocks read as zeroes, write zeroes can deallocate.
const DEALLOCATED: u8 = 0b001 | 1 << 3;

/// What tells one controller and its namespace from all others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity(pub(crate) u128);

impl Identity {
    /// That of one of its namespaces.
    fn of(self, namespace: u32) -> Identity {
        Identity(self.0 ^ u128::from(namespace))
    }

    /// As a UUID: version 4, which is a random one (RFC 9562, 5.4).
    fn uuid(self) -> [u8; 16] {
        let mut bytes = self.0.to_be_bytes();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        bytes
    }

    /// The subsystem's name, made of it (4.5).
    fn subsystem_name(self) -> String {
        let hex: String = self
            .uuid()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!(
            "nqn.2014-08.org.nvmexpress:uuid:{}-{}-{}-{}-{}",
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32)
        )
    }
}

/// A structure that is filled field by field.
pub(super) struct Page(Vec<u8>);

impl Page {
    pub(super) fn new(len: usize) -> Page {
        Page(vec![0; len])
    }

    pub(super) fn put(&mut self, at: usize, bytes: &[u8]) {
        for (to, from) in self.0.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    }

    /// A text, padded with spaces.
    pub(super) fn put_text(&mut self, at: usize, len: usize, text: &[u8]) {
        let text = text.iter().copied().filter(|&byte| byte != 0);
        let padded: Vec<u8> = text.chain(std::iter::repeat(b' ')).take(len).collect();
        self.put(at, &padded);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Controller {
    pub(super) fn identify(&self, command: &Command) -> Result<(), StatusCode> {
        let what = (command.dword(10) & 0xff) as u8;
        let set = (command.dword(11) >> 24) as u8;
        let namespace = command.namespace();
        let of_nvm = |page: fn(&Controller) -> Page| match set {
            NVM_COMMAND_SET => Ok(page(self)),
            _ => Err(StatusCode::INVALID_FIELD),
        };
        let page = match what {
            structure::CONTROLLER => self.controller_page(),
            structure::ACTIVE_NAMESPACES => self.active_namespaces(namespace)?,
            structure::ACTIVE_NAMESPACES_OF_SET if set == NVM_COMMAND_SET => {
                self.active_namespaces(namespace)?
            }
            structure::CONTROLLER_OF_SET => of_nvm(|_| limits_page())?,
            structure::COMMAND_SETS => command_sets(),
            // Without namespace management nothing is said of all together.
            structure::NAMESPACE
            | structure::DESCRIPTORS
            | structure::NAMESPACE_OF_SET
            | structure::NAMESPACE_INDEPENDENT => {
                self.terms.namespaces.check(namespace)?;
                match what {
                    structure::NAMESPACE => self.namespace_page(),
                    structure::DESCRIPTORS => self.descriptors(namespace),
                    // No protection information, no metadata: nothing to say.
                    structure::NAMESPACE_OF_SET => of_nvm(|_| Page::new(LEN))?,
                    _ => self.independent_page(),
                }
            }
            _ => return Err(StatusCode::INVALID_FIELD),
        };
        self.hand_over(command, page.bytes())
    }

    /// Figure 276.
    fn controller_page(&self) -> Page {
        let options = &self.parts.options;
        let mut page = Page::new(LEN);
        page.put(0, &VENDOR_ID.to_le_bytes());
        page.put(2, &VENDOR_ID.to_le_bytes());
        page.put_text(4, 20, options.serial.bytes());
        page.put_text(24, 40, b"irqstorm NVMe controller");
        page.put_text(64, 8, FIRMWARE_REVISION.as_bytes());
        page.put(77, &[MAX_TRANSFER_EXPONENT]);
        page.put(78, &1u16.to_le_bytes());
        page.put(80, &0x0002_0000u32.to_le_bytes());
        // OAES at 92 lists notices that a driver can ask for, and there are
        // none. Errors, which are all there is to tell, need no bit there.
        // CNTRLTYPE: an I/O controller.
        page.put(111, &[1]);
        if self.offers_doorbell_buffers() {
            page.put(256, &DOORBELL_BUFFERS.to_le_bytes());
        }
        page.put(258, &[3, MAX_REQUESTS - 1, FIRMWARE, LOG_ATTRIBUTES]);
        page.put(262, &[MAX_ERRORS - 1]);
        // AVSCC: vendor specific commands use the standard format.
        page.put(264, &[1]);
        // WCTEMP, CCTEMP in kelvins.
        page.put(266, &343u16.to_le_bytes());
        page.put(268, &353u16.to_le_bytes());
        // SQES, CQES: required and largest, as powers of two.
        page.put(512, &[0x66, 0x44]);
        let namespaces = self.terms.namespaces.count();
        page.put(516, &namespaces.to_le_bytes());
        page.put(520, &OPTIONAL_COMMANDS.to_le_bytes());
        page.put(525, &[WRITE_CACHE]);
        // SGLS: supported, without alignment.
        page.put(536, &1u32.to_le_bytes());
        // MNAN, then the subsystem's name.
        page.put(540, &namespaces.to_le_bytes());
        page.put(768, self.parts.identity.subsystem_name().as_bytes());
        // Power state 0: 25 W, in units of 10 mW.
        page.put(2048, &2500u16.to_le_bytes());
        page
    }

    /// NVM Command Set 1.0, Figure 97: all of them look alike.
    fn namespace_page(&self) -> Page {
        let geometry = self.terms.namespaces.each();
        let block_size = u64::from(geometry.block_size);
        let blocks = geometry.sectors / (block_size / SECTOR_SIZE);
        let mut page = Page::new(LEN);
        // NSZE, NCAP, NUSE.
        for at in [0, 8, 16] {
            page.put(at, &blocks.to_le_bytes());
        }
        page.put(33, &[DEALLOCATED]);
        page.put(99, &[u8::from(geometry.read_only)]);
        // One format: no metadata, blocks of a power of two.
        page.put(130, &[block_size_exponent(block_size)]);
        page
    }

    /// Figure 281.
    fn independent_page(&self) -> Page {
        let mut page = Page::new(LEN);
        // NSATTR: write protected.
        page.put(8, &[u8::from(self.parts.options.geometry.read_only)]);
        // NSTAT: ready.
        page.put(14, &[1]);
        page
    }

    /// Figure 277: type, length, two reserved bytes, and the value.
    fn descriptors(&self, namespace: u32) -> Page {
        let mut page = Page::new(LEN);
        // Neither EUI64 nor NGUID: both begin with a number that a vendor has.
        let uuid = self.parts.identity.of(namespace).uuid();
        page.put(0, &[3, 16]);
        page.put(4, &uuid);
        page.put(20, &[4, 1, 0, 0, NVM_COMMAND_SET]);
        page
    }

    /// The ids above `above` of all namespaces there are, as many as fit.
    fn active_namespaces(&self, above: u32) -> Result<Page, StatusCode> {
        if above >= namespaces::ALL - 1 {
            return Err(StatusCode::INVALID_NAMESPACE);
        }
        let mut page = Page::new(LEN);
        for (at, id) in (0..LEN).step_by(4).zip(self.terms.namespaces.above(above)) {
            page.put(at, &id.to_le_bytes());
        }
        Ok(page)
    }
}

/// The NVM command set's limits besides MDTS (NVM Command Set 1.0, 4.1.5): VSL,
/// of what is verified at once. Write zeroes and dataset management have none.
fn limits_page() -> Page {
    let mut page = Page::new(LEN);
    page.put(0, &[MAX_TRANSFER_EXPONENT]);
    page
}

/// LBADS: a block size as a power of two.
fn block_size_exponent(block_size: u64) -> u8 {
    u8::try_from(block_size.trailing_zeros()).unwrap_or(9)
}

/// The one combination of command sets: the NVM one alone (Figure 289).
fn command_sets() -> Page {
    let mut page = Page::new(LEN);
    page.put(0, &[1 << NVM_COMMAND_SET]);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_controller_has_a_name_of_its_own() {
        let name = Identity(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef).subsystem_name();
        let expected = "nqn.2014-08.org.nvmexpress:uuid:01234567-89ab-4def-8123-456789abcdef";
        assert_eq!(name, expected);
    }

    #[test]
    fn a_text_is_padded_with_spaces() {
        let mut page = Page::new(6);
        page.put_text(1, 4, b"ab\0\0");
        assert_eq!(page.bytes(), b"\0ab  \0");
    }
}
