// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The admin queue and its commands (5).

use irqstorm_core::request::QueueId;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryMmap, Permissions};

use super::Controller;
use super::events::Event;
use crate::activity::ErrorEntry;
use crate::completion_queue::CompletionQueue;
use crate::registers::AdminSetup;
use crate::wire::{Command, Completion, SQE_LEN, StatusCode};

/// Admin command opcodes (Figure 138).
pub(super) mod opcode {
    pub(in crate::controller) const DELETE_SUBMISSION_QUEUE: u8 = 0x00;
    pub(in crate::controller) const CREATE_SUBMISSION_QUEUE: u8 = 0x01;
    pub(in crate::controller) const GET_LOG_PAGE: u8 = 0x02;
    pub(in crate::controller) const DELETE_COMPLETION_QUEUE: u8 = 0x04;
    pub(in crate::controller) const CREATE_COMPLETION_QUEUE: u8 = 0x05;
    pub(in crate::controller) const IDENTIFY: u8 = 0x06;
    pub(in crate::controller) const ABORT: u8 = 0x08;
    pub(in crate::controller) const SET_FEATURES: u8 = 0x09;
    pub(in crate::controller) const GET_FEATURES: u8 = 0x0a;
    pub(in crate::controller) const ASYNC_EVENT_REQUEST: u8 = 0x0c;
    pub(in crate::controller) const DOORBELL_BUFFERS: u8 = 0x7c;
}

/// The pair of admin queues.
pub(super) struct AdminQueue {
    base: GuestAddress,
    size: u16,
    head: u16,
    tail: u16,
    completions: CompletionQueue,
}

/// How a command is answered.
enum Answer {
    /// At once: its result or an error.
    Now(Result<u32, StatusCode>),
    /// When there is something to say.
    Later,
}

impl AdminQueue {
    pub(super) fn new(setup: &AdminSetup, completions: CompletionQueue) -> AdminQueue {
        AdminQueue {
            base: setup.submissions,
            size: setup.submission_count,
            head: 0,
            tail: 0,
            completions,
        }
    }

    pub(super) fn completions(&self) -> &CompletionQueue {
        &self.completions
    }

    pub(super) fn ring_tail(&mut self, value: u16) -> Result<(), Event> {
        if value >= self.size {
            return Err(Event::InvalidDoorbellValue);
        }
        self.tail = value;
        Ok(())
    }

    pub(super) fn ring_head(&mut self, value: u16) -> Result<(), Event> {
        if value >= self.completions.size() {
            return Err(Event::InvalidDoorbellValue);
        }
        self.completions.ring_doorbell(value);
        Ok(())
    }

    /// Where the next command is, if there is one and room for its completion;
    /// the head moves on.
    fn next(&mut self, memory: &GuestMemoryMmap) -> Option<GuestAddress> {
        if self.head == self.tail || self.completions.room(memory) == 0 {
            return None;
        }
        let at = self
            .base
            .0
            .checked_add(u64::from(self.head) * SQE_LEN as u64)?;
        self.head = (self.head + 1) % self.size;
        Some(GuestAddress(at))
    }
}

impl Controller {
    /// Carries out every command that is in the queue, and tells what there is
    /// to tell.
    pub(super) fn run_admin(&mut self) {
        // What has failed answers nothing (3.1.3.6, CSTS.CFS).
        while !self.has_failed() {
            let memory = self.memory.memory();
            let next = self.admin.as_mut().and_then(|admin| admin.next(&memory));
            let Some(at) = next else {
                break;
            };
            let mut bytes = [0; SQE_LEN];
            if memory.read_slice(&mut bytes, at).is_err() {
                return self.fail("the admin submission queue lies outside guest memory");
            }
            let command = Command::new(bytes);
            if let Answer::Now(result) = self.execute(&command) {
                self.answer(&command, result);
            }
        }
        self.tell_events();
    }

    fn answer(&mut self, command: &Command, result: Result<u32, StatusCode>) {
        let status = result.err().unwrap_or(StatusCode::SUCCESS);
        if status != StatusCode::SUCCESS {
            tracing::debug!(
                "refused admin command {:#04x} with status {:#x}",
                command.opcode(),
                status.0
            );
            self.parts.activity.failed(ErrorEntry {
                sq_id: 0,
                command_id: command.id(),
                status,
                block: 0,
                namespace: command.namespace(),
            });
        }
        self.post(command.id(), status, result.unwrap_or(0));
    }

    /// Completes a command and interrupts: admin completions follow no script.
    fn post(&mut self, command_id: u16, status: StatusCode, result: u32) {
        let Some(admin) = &self.admin else {
            return;
        };
        let entry = Completion {
            result,
            sq_head: admin.head,
            sq_id: 0,
            command_id,
            status,
        };
        let memory = self.memory.memory();
        let completions = &admin.completions;
        let written = completions.write(&memory, entry);
        if written.and_then(|()| completions.publish(&memory)).is_err() {
            return self.fail("the admin completion queue lies outside guest memory");
        }
        if completions.wants_interrupt() {
            completions.signal();
        }
    }

    fn tell_events(&mut self) {
        if self.has_failed() {
            return;
        }
        let memory = self.memory.memory();
        let has_room = |admin: &AdminQueue| admin.completions.room(&memory) > 0;
        while self.admin.as_ref().is_some_and(has_room)
            && let Some((command_id, result)) = self.events.due()
        {
            self.post(command_id, StatusCode::SUCCESS, result);
        }
    }

    fn execute(&mut self, command: &Command) -> Answer {
        if command.is_fused() || command.pointer_kind() != 0 {
            return Answer::Now(Err(StatusCode::INVALID_FIELD));
        }
        let plain = |done: Result<(), StatusCode>| done.map(|()| 0);
        Answer::Now(match command.opcode() {
            opcode::CREATE_COMPLETION_QUEUE => plain(self.create_completion_queue(command)),
            opcode::CREATE_SUBMISSION_QUEUE => plain(self.create_submission_queue(command)),
            opcode::DELETE_COMPLETION_QUEUE => plain(self.delete_completion_queue(command)),
            opcode::DELETE_SUBMISSION_QUEUE => plain(self.delete_submission_queue(command)),
            opcode::IDENTIFY => plain(self.identify(command)),
            opcode::GET_LOG_PAGE => plain(self.get_log_page(command)),
            opcode::GET_FEATURES => self.get_features(command),
            opcode::SET_FEATURES => self.set_features(command),
            opcode::ABORT => Ok(self.abort(command)),
            opcode::ASYNC_EVENT_REQUEST => match self.events.request(command.id()) {
                true => return Answer::Later,
                false => Err(StatusCode::ASYNC_EVENT_LIMIT),
            },
            opcode::DOORBELL_BUFFERS => plain(self.configure_doorbell_buffers(command)),
            _ => match self.vendor(command) {
                Some(result) => result,
                None => Err(StatusCode::INVALID_OPCODE),
            },
        })
    }

    /// Dword 10 names a submission queue and a command; bit 0 of the result says
    /// that the command was not aborted (5.1).
    fn abort(&mut self, command: &Command) -> u32 {
        let dword = command.dword(10);
        let (queue, id) = ((dword & 0xffff) as u16, (dword >> 16) as u16);
        let aborted = match queue.checked_sub(1) {
            Some(queue) => self.parts.inbox.abort(QueueId(queue), id),
            // Whatever else comes to the admin queue is answered at once.
            None => self.events.take_back(id),
        };
        if aborted && queue == 0 {
            self.post(id, StatusCode::ABORT_REQUESTED, 0);
        }
        (!aborted).into()
    }

    /// Hands data to the guest, as much as the command has room for.
    pub(super) fn hand_over(&self, command: &Command, data: &[u8]) -> Result<(), StatusCode> {
        let memory = self.memory.memory();
        let len = data.len() as u64;
        let into = self.terms.data(&memory, Permissions::Write, command, len)?;
        into.write(&*memory, 0, data)
            .map_err(|_| StatusCode::DATA_TRANSFER)
    }
}
