// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The controller's registers (3.1.3): what they read as, and what a write
//! asks of the controller. Nothing here acts.

use vm_memory::GuestAddress;

/// VS: version 2.0.
const VERSION: u32 = 0x0002_0000;

/// CAP.TO and CRTO.CRWMT: how long a driver has to wait for CSTS.RDY at most,
/// in 500 ms. It is set before the write of CC ends.
const READY_TIMEOUT: u32 = 20;

/// CAP.MPSMAX: pages of up to 64 KiB, as a power of two above 4 KiB.
const MAX_PAGE_EXPONENT: u32 = 4;

/// What of CC can be written: CRIME stays 0, since the controller is ready with
/// its media or not at all (3.1.3.5; CAP.CRMS is not 11b).
const CONFIGURATION: u32 = 0x00ff_fff1;

/// NSSR.NSSRC: "NVMe".
const RESET_SUBSYSTEM: u32 = 0x4e56_4d65;

/// Offsets of registers.
mod offset {
    pub(super) const CAP: u64 = 0x00;
    pub(super) const VS: u64 = 0x08;
    pub(super) const INTMS: u64 = 0x0c;
    pub(super) const INTMC: u64 = 0x10;
    pub(super) const CC: u64 = 0x14;
    pub(super) const CSTS: u64 = 0x1c;
    pub(super) const NSSR: u64 = 0x20;
    pub(super) const AQA: u64 = 0x24;
    pub(super) const ASQ: u64 = 0x28;
    pub(super) const ACQ: u64 = 0x30;
    pub(super) const CRTO: u64 = 0x68;
}

/// What a write asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// No more than a value.
    Nothing,
    /// CC.EN was set.
    Enable,
    /// CC.EN was cleared.
    Disable,
    /// CC.SHN asks for a shutdown.
    Shutdown,
    /// The subsystem is to be reset.
    SubsystemReset,
    /// Vectors of the pin to mask.
    Mask(u32),
    /// Vectors of the pin to unmask.
    Unmask(u32),
}

/// Where the admin queues are, and how large memory pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AdminSetup {
    pub(crate) page: u64,
    pub(crate) submissions: GuestAddress,
    pub(crate) submission_count: u16,
    pub(crate) completions: GuestAddress,
    pub(crate) completion_count: u16,
}

/// A configuration with which the controller cannot be enabled: fatal, as
/// CSTS.CFS says (3.1.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SetupError {
    /// A command set that is not the NVM one.
    #[error("command set {0} is not supported")]
    CommandSet(u32),
    /// Pages larger than CAP.MPSMAX says.
    #[error("memory pages of 2^{0} bytes are not supported")]
    Page(u32),
    /// An arbitration other than round robin.
    #[error("arbitration mechanism {0} is not supported")]
    Arbitration(u32),
    /// Admin queues of one entry.
    #[error("an admin queue has a single entry")]
    Size,
    /// Admin queues that begin within a page.
    #[error("an admin queue does not begin where a page does")]
    Alignment,
}

/// The register file.
#[derive(Clone, Debug)]
pub(crate) struct Registers {
    capabilities: u64,
    configuration: u32,
    ready: bool,
    shut_down: bool,
    subsystem_was_reset: bool,
    admin_sizes: u32,
    admin_submissions: u64,
    admin_completions: u64,
}

impl Registers {
    /// Those of a controller with queues of up to so many entries, and doorbells
    /// that lie 4 bytes apart, shifted by so much.
    pub(crate) fn new(max_queue_size: u16, doorbell_stride: u32) -> Registers {
        // MQES counts from 0. Queues are contiguous (CQR), the subsystem can
        // be reset (NSSRS), the command set is NVM (CSS), and what is enabled
        // is ready with its media (CRMS).
        let capabilities = u64::from(max_queue_size - 1)
            | 1 << 16
            | u64::from(READY_TIMEOUT) << 24
            | u64::from(doorbell_stride & 0xf) << 32
            | 1 << 36
            | 1 << 37
            | u64::from(MAX_PAGE_EXPONENT) << 52
            | 1 << 59;
        Registers::reset_with(capabilities)
    }

    fn reset_with(capabilities: u64) -> Registers {
        Registers {
            capabilities,
            configuration: 0,
            ready: false,
            shut_down: false,
            subsystem_was_reset: false,
            admin_sizes: 0,
            admin_submissions: 0,
            admin_completions: 0,
        }
    }

    /// CC.IOSQES and CC.IOCQES: the sizes of I/O queues' entries, as powers of
    /// two.
    pub(crate) fn entry_sizes(&self) -> (u32, u32) {
        (
            self.configuration >> 16 & 0xf,
            self.configuration >> 20 & 0xf,
        )
    }

    /// What the registers say of the admin queues, if the controller can be
    /// enabled so.
    pub(crate) fn admin_setup(&self) -> Result<AdminSetup, SetupError> {
        let field = |shift: u32, mask: u32| self.configuration >> shift & mask;
        let (command_set, page_exponent, arbitration) =
            (field(4, 0x7), field(7, 0xf), field(11, 0x7));
        if command_set != 0 {
            return Err(SetupError::CommandSet(command_set));
        }
        if page_exponent > MAX_PAGE_EXPONENT {
            return Err(SetupError::Page(12 + page_exponent));
        }
        if arbitration != 0 {
            return Err(SetupError::Arbitration(arbitration));
        }
        let page = 4096u64 << page_exponent;
        let entries = |shift: u32| (self.admin_sizes >> shift & 0xfff) as u16 + 1;
        let (submission_count, completion_count) = (entries(0), entries(16));
        if submission_count < 2 || completion_count < 2 {
            return Err(SetupError::Size);
        }
        let (submissions, completions) = (self.admin_submissions, self.admin_completions);
        if !submissions.is_multiple_of(page) || !completions.is_multiple_of(page) {
            return Err(SetupError::Alignment);
        }
        Ok(AdminSetup {
            page,
            submissions: GuestAddress(submissions),
            submission_count,
            completions: GuestAddress(completions),
            completion_count,
        })
    }

    /// CSTS.RDY from now on.
    pub(crate) fn set_ready(&mut self, ready: bool) {
        self.ready = ready;
        self.shut_down = false;
    }

    /// CSTS.SHST: shutdown is complete.
    pub(crate) fn set_shut_down(&mut self) {
        self.shut_down = true;
    }

    /// As after a reset of the subsystem: CSTS.NSSRO says so.
    pub(crate) fn reset_subsystem(&mut self) {
        self.reset();
        self.subsystem_was_reset = true;
    }

    /// As after a reset of the function: everything.
    pub(crate) fn reset(&mut self) {
        *self = Registers::reset_with(self.capabilities);
    }

    /// The 32 bits at an offset that is a multiple of 4.
    fn word(&self, at: u64, fatal: bool, pin_mask: u32) -> u32 {
        let half = |value: u64, offset: u64| (value >> (8 * (at - offset)) & 0xffff_ffff) as u32;
        match at {
            offset::CAP..offset::VS => half(self.capabilities, offset::CAP),
            offset::VS => VERSION,
            offset::INTMS | offset::INTMC => pin_mask,
            offset::CC => self.configuration,
            offset::CSTS => self.status(fatal),
            offset::AQA => self.admin_sizes,
            offset::ASQ..offset::ACQ => half(self.admin_submissions, offset::ASQ),
            offset::ACQ..0x38 => half(self.admin_completions, offset::ACQ),
            offset::CRTO => READY_TIMEOUT,
            _ => 0,
        }
    }

    fn status(&self, fatal: bool) -> u32 {
        let shut_down = if self.shut_down { 0b10 } else { 0 };
        u32::from(self.ready)
            | u32::from(fatal) << 1
            | shut_down << 2
            | u32::from(self.subsystem_was_reset) << 4
    }

    /// Fills `into` from `offset` on, whatever its alignment. `fatal` is
    /// CSTS.CFS.
    pub(crate) fn read(&self, offset: u64, fatal: bool, pin_mask: u32, into: &mut [u8]) {
        for (byte, at) in into.iter_mut().zip(offset..) {
            let word = self.word(at & !3, fatal, pin_mask).to_le_bytes();
            *byte = word.get((at & 3) as usize).copied().unwrap_or_default();
        }
    }

    /// Writes 32 bits at an offset that is a multiple of 4.
    pub(crate) fn write(&mut self, at: u64, value: u32) -> Change {
        match at {
            offset::INTMS => return Change::Mask(value),
            offset::INTMC => return Change::Unmask(value),
            offset::CC => return self.configure(value),
            offset::CSTS if value & 1 << 4 != 0 => self.subsystem_was_reset = false,
            offset::NSSR if value == RESET_SUBSYSTEM => return Change::SubsystemReset,
            // Where the queues are is looked at when the controller is enabled.
            offset::AQA => self.admin_sizes = value & 0x0fff_0fff,
            offset::ASQ => set_low(&mut self.admin_submissions, value),
            0x2c => set_high(&mut self.admin_submissions, value),
            offset::ACQ => set_low(&mut self.admin_completions, value),
            0x34 => set_high(&mut self.admin_completions, value),
            _ => {}
        }
        Change::Nothing
    }

    fn configure(&mut self, value: u32) -> Change {
        let notification = |configuration: u32| configuration >> 14 & 0b11;
        let before = std::mem::replace(&mut self.configuration, value & CONFIGURATION);
        match (before & 1 != 0, value & 1 != 0) {
            (false, true) => Change::Enable,
            (true, false) => Change::Disable,
            _ if notification(value) != 0 && notification(before) == 0 => Change::Shutdown,
            _ => Change::Nothing,
        }
    }
}

/// The low 12 bits of a queue's address are reserved.
fn set_low(address: &mut u64, value: u32) {
    *address = *address & !0xffff_ffff | u64::from(value & !0xfff);
}

fn set_high(address: &mut u64, value: u32) {
    *address = *address & 0xffff_ffff | u64::from(value) << 32;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(registers: &Registers, at: u64) -> u32 {
        let mut bytes = [0; 4];
        registers.read(at, false, 0, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// Queues of 32 and 16 entries, the controller not enabled yet.
    fn prepared() -> Registers {
        let mut registers = Registers::new(1024, 0);
        for (at, value) in [
            (offset::AQA, 0x000f_001f),
            (offset::ASQ, 0x2000),
            (0x2c, 0x1),
            (offset::ACQ, 0x4000),
            (0x34, 0),
        ] {
            assert_eq!(registers.write(at, value), Change::Nothing);
        }
        registers
    }

    #[test]
    fn capabilities_lie_where_the_specification_puts_them() {
        let registers = Registers::new(1024, 0);
        assert_eq!(word(&registers, 0), 1023 | 1 << 16 | 20 << 24);
        assert_eq!(word(&registers, 4), 1 << 4 | 1 << 5 | 4 << 20 | 1 << 27);
        assert_eq!(word(&registers, offset::VS), 0x20000);
        assert_eq!(word(&registers, offset::CRTO), 20);
        let mut odd = [0; 3];
        registers.read(1, false, 0, &mut odd);
        assert_eq!(odd, [0x03, 0x01, 0x14]);
        let apart = Registers::new(1024, 9);
        assert_eq!(word(&apart, 4) & 0xf, 9);
    }

    #[test]
    fn what_was_written_of_the_admin_queues_is_what_they_are_set_up_with() {
        let mut registers = prepared();
        assert_eq!(registers.write(offset::CC, 0x0046_0001), Change::Enable);
        assert_eq!(registers.entry_sizes(), (6, 4));
        let setup = AdminSetup {
            page: 4096,
            submissions: GuestAddress(0x1_0000_2000),
            submission_count: 32,
            completions: GuestAddress(0x4000),
            completion_count: 16,
        };
        assert_eq!(registers.admin_setup(), Ok(setup));
    }

    #[test]
    fn each_thing_that_cannot_be_is_named() {
        let refused = |configuration: u32| {
            let mut registers = prepared();
            registers.write(offset::CC, configuration);
            registers.admin_setup().unwrap_err()
        };
        assert_eq!(refused(1 | 6 << 4), SetupError::CommandSet(6));
        assert_eq!(refused(1 | 5 << 7), SetupError::Page(17));
        assert_eq!(refused(1 | 1 << 11), SetupError::Arbitration(1));
        assert_eq!(
            refused(1 | 2 << 7),
            SetupError::Alignment,
            "pages of 16 KiB"
        );
        let mut registers = prepared();
        registers.write(offset::AQA, 0x0000_001f);
        assert_eq!(registers.admin_setup(), Err(SetupError::Size));
    }

    #[test]
    fn shutdown_is_asked_for_once_and_told_until_the_next_enabling() {
        let mut registers = prepared();
        assert_eq!(registers.write(offset::CC, 1), Change::Enable);
        registers.set_ready(true);
        assert_eq!(registers.write(offset::CC, 1 | 1 << 14), Change::Shutdown);
        assert_eq!(registers.write(offset::CC, 1 | 1 << 14), Change::Nothing);
        registers.set_shut_down();
        assert_eq!(word(&registers, offset::CSTS), 1 | 0b10 << 2);
        assert_eq!(registers.write(offset::CC, 0), Change::Disable);
        registers.set_ready(false);
        assert_eq!(word(&registers, offset::CSTS), 0);
    }

    #[test]
    fn a_reset_of_the_subsystem_takes_the_word_for_it_and_is_told() {
        let mut registers = prepared();
        assert_eq!(registers.write(offset::NSSR, 1), Change::Nothing);
        let asked = registers.write(offset::NSSR, RESET_SUBSYSTEM);
        assert_eq!(asked, Change::SubsystemReset);
        registers.reset_subsystem();
        assert_eq!(word(&registers, offset::AQA), 0);
        assert_eq!(word(&registers, offset::CSTS), 1 << 4);
        registers.write(offset::CSTS, 1 << 4);
        assert_eq!(word(&registers, offset::CSTS), 0);
    }

    #[test]
    fn what_is_read_only_or_reserved_stays() {
        let mut registers = Registers::new(2, 0);
        registers.write(offset::CC, 0xffff_fffe);
        assert_eq!(word(&registers, offset::CC), 0x00ff_fff0);
        for at in (0..0x1000).step_by(4) {
            let changes = matches!(
                at,
                offset::INTMS | offset::INTMC | offset::CC | offset::AQA | 0x28..0x38
            );
            if !changes {
                let before = word(&registers, at);
                assert_eq!(registers.write(at, 0xffff_ffff), Change::Nothing);
                assert_eq!(word(&registers, at), before, "{at:#x}");
            }
        }
    }
}
