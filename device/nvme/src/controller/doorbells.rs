// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Doorbells: how far a driver has written or read a queue (3.1.2 of the PCIe
//! transport).

use vm_memory::{GuestAddress, GuestAddressSpace, GuestMemory, Permissions};

use super::Controller;
use super::events::Event;
use crate::activity::ErrorEntry;
use crate::bar::Doorbell;
use crate::wire::{Command, StatusCode};

impl Controller {
    /// A doorbell is written. One of no queue, or with a value that its queue
    /// does not have, changes nothing and is told as an event (3.3.1.4).
    pub(crate) fn ring(&mut self, doorbell: Doorbell, value: u32) {
        let value = u16::try_from(value & 0xffff).unwrap_or(0);
        let rung = match doorbell {
            Doorbell::Tail(0) | Doorbell::Head(0) => self.ring_admin(doorbell, value),
            Doorbell::Tail(queue) => self.queues.ring_tail(queue, value),
            Doorbell::Head(queue) => self.queues.ring_head(queue, value),
        };
        if let Err(event) = rung {
            self.complain(doorbell, event);
        }
    }

    fn ring_admin(&mut self, doorbell: Doorbell, value: u16) -> Result<(), Event> {
        let admin = self.admin.as_mut().ok_or(Event::InvalidDoorbell)?;
        match doorbell {
            Doorbell::Tail(_) => admin.ring_tail(value)?,
            Doorbell::Head(_) => admin.ring_head(value)?,
        }
        self.run_admin();
        Ok(())
    }

    /// The driver keeps a shadow of the I/O doorbells, and finds event indices
    /// (5.8): a page each.
    pub(super) fn configure_doorbell_buffers(
        &mut self,
        command: &Command,
    ) -> Result<(), StatusCode> {
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
        self.shadow.configure(doorbells, event_indices);
        // What was submitted before is in the shadow, too.
        self.queues.kick_all();
        Ok(())
    }

    fn complain(&mut self, doorbell: Doorbell, event: Event) {
        // Without admin queues there is no one to tell.
        if self.admin.is_none() {
            return;
        }
        let (Doorbell::Tail(sq_id) | Doorbell::Head(sq_id)) = doorbell;
        self.parts.activity.failed(ErrorEntry {
            sq_id,
            command_id: u16::MAX,
            status: StatusCode::INVALID_FIELD,
            block: 0,
            namespace: 0,
        });
        self.events.happened(event);
        self.run_admin();
    }
}
