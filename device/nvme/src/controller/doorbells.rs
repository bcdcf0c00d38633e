// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Doorbells: how far a driver has written or read a queue (3.1.2 of the PCIe
//! transport).

use vm_memory::{GuestAddress, GuestAddressSpace, GuestMemory, Permissions};

use super::Controller;
use super::events::Event;
use crate::activity::ErrorEntry;
use crate::bar::Bell;
use crate::wire::{Command, StatusCode};

impl Controller {
    /// A doorbell is written. One of no queue, or with a value that its queue
    /// does not have, changes nothing and is told as an event (3.3.1.4).
    pub(crate) fn ring(&mut self, doorbell: Bell, value: u32) {
        let value = u16::try_from(value & 0xffff).unwrap_or(0);
        let rung = match doorbell {
            Bell::Tail(0) | Bell::Head(0) => self.ring_admin(doorbell, value),
            Bell::Tail(queue) => self.queues.ring_tail(queue, value),
            Bell::Head(queue) => self.queues.ring_head(queue, value),
        };
        if let Err(event) = rung {
            let (Bell::Tail(queue) | Bell::Head(queue)) = doorbell;
            self.complain(queue, event);
        }
    }

    fn ring_admin(&mut self, doorbell: Bell, value: u16) -> Result<(), Event> {
        let admin = self.admin.as_mut().ok_or(Event::InvalidDoorbell)?;
        match doorbell {
            Bell::Tail(_) => admin.ring_tail(value)?,
            Bell::Head(_) => admin.ring_head(value)?,
        }
        self.run_admin();
        Ok(())
    }

    /// Whether the driver may keep doorbells in its memory: one that writes no
    /// register does not lower the pin, either.
    pub(super) fn offers_doorbell_buffers(&self) -> bool {
        self.doorbells.shadow().is_some() && self.interrupts.are_messages()
    }

    /// The driver keeps a shadow of the I/O doorbells, and finds event indices
    /// (5.8): a page each.
    pub(super) fn configure_doorbell_buffers(
        &mut self,
        command: &Command,
    ) -> Result<(), StatusCode> {
        let shadow = self.doorbells.shadow();
        let shadow = shadow.filter(|_| self.offers_doorbell_buffers());
        let shadow = shadow.ok_or(StatusCode::INVALID_OPCODE)?;
        let pages = [command.prp1(), command.prp2()];
        let memory = self.memory.memory();
        let is_page = |&at: &u64| {
            let len = usize::try_from(self.terms.page).unwrap_or(usize::MAX);
            at.is_multiple_of(self.terms.page)
                && memory.check_range(GuestAddress(at), len, Permissions::ReadWrite)
        };
        if !pages.iter().all(is_page) {
            return Err(StatusCode::INVALID_FIELD);
        }
        let [doorbells, event_indices] = pages.map(GuestAddress);
        shadow.configure(doorbells, event_indices);
        // What was submitted before is in the shadow, too.
        self.queues.kick_all();
        Ok(())
    }

    /// Tells of values that were found where no register was written.
    pub(crate) fn tell_refused(&mut self) {
        for queue in self.doorbells.refused() {
            self.complain(queue, Event::InvalidDoorbellValue);
        }
    }

    fn complain(&mut self, queue: u16, event: Event) {
        // Without admin queues there is no one to tell.
        if self.admin.is_none() {
            return;
        }
        tracing::debug!(queue, "refused a doorbell: {event:?}");
        // It is no command's, and so names neither a queue nor a command (5.16.1).
        self.parts.activity.failed(ErrorEntry {
            sq_id: u16::MAX,
            command_id: u16::MAX,
            status: StatusCode::INVALID_FIELD,
            block: 0,
            namespace: 0,
        });
        self.events.happened(event);
        self.run_admin();
    }
}
