// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! I/O queues: created and deleted by admin commands, driven by the pump.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use irqstorm_core::inbox::Message;
use irqstorm_core::request::QueueId;
use rustix::event::{EventfdFlags, eventfd};
use vm_memory::GuestAddress;

use super::Controller;
use super::events::Event;
use crate::completion_queue::{CompletionQueue, CompletionQueueSetup};
use crate::doorbell::Doorbell;
use crate::queue::{NvmeQueue, SubmissionQueueSetup};
use crate::wire::{CQE_LEN, Command, SQE_LEN, StatusCode};

/// In dword 11 of either creation (5.4, 5.5): the queue is contiguous.
const CONTIGUOUS: u32 = 1 << 0;

/// In dword 11 of a completion queue's: it interrupts.
const INTERRUPTS: u32 = 1 << 1;

/// A submission queue that the pump has.
struct Submission {
    tail: Doorbell,
    size: u16,
    /// The queue that it completes into.
    completion: u16,
    kick: OwnedFd,
}

impl Submission {
    fn kick(&self) {
        // A full counter kicks as well as one more.
        let _ = rustix::io::write(&self.kick, &1u64.to_ne_bytes());
    }
}

/// The I/O queues, by their ids, from 1.
pub(super) struct IoQueues {
    submissions: Vec<Option<Submission>>,
    completions: Vec<Option<CompletionQueue>>,
}

/// The place of a queue; none for the admin queue.
fn place(id: u16) -> Option<usize> {
    id.checked_sub(1).map(usize::from)
}

fn slot<T>(queues: &mut [Option<T>], id: u16) -> Option<&mut Option<T>> {
    queues.get_mut(place(id)?)
}

fn existing<T>(queues: &[Option<T>], id: u16) -> Option<&T> {
    queues.get(place(id)?)?.as_ref()
}

impl IoQueues {
    pub(super) fn new(count: u16) -> IoQueues {
        IoQueues {
            submissions: (0..count).map(|_| None).collect(),
            completions: (0..count).map(|_| None).collect(),
        }
    }

    /// Has the pump look into every submission queue.
    pub(super) fn kick_all(&self) {
        self.submissions.iter().flatten().for_each(Submission::kick);
    }

    pub(super) fn completions(&self) -> impl Iterator<Item = &CompletionQueue> {
        self.completions.iter().flatten()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.submissions.iter().all(Option::is_none) && self.completions.iter().all(Option::is_none)
    }

    /// Forgets all of them; whether the pump has any.
    pub(super) fn clear(&mut self) -> bool {
        let has_any = self.submissions.iter().any(Option::is_some);
        self.submissions.fill_with(|| None);
        self.completions.fill_with(|| None);
        has_any
    }

    pub(super) fn ring_tail(&self, id: u16, value: u16) -> Result<(), Event> {
        let queue = existing(&self.submissions, id).ok_or(Event::InvalidDoorbell)?;
        if value >= queue.size {
            return Err(Event::InvalidDoorbellValue);
        }
        queue.tail.ring(value);
        queue.kick();
        Ok(())
    }

    /// The pump learns of what it waits for: room in a queue that was full, since
    /// it takes no commands whose completions go there, or that the driver has
    /// read what its interrupt told it of.
    pub(super) fn ring_head(&self, id: u16, value: u16) -> Result<(), Event> {
        let queue = existing(&self.completions, id).ok_or(Event::InvalidDoorbell)?;
        if value >= queue.size() {
            return Err(Event::InvalidDoorbellValue);
        }
        queue.ring_doorbell(value);
        if queue.is_awaited() {
            let all = self.submissions.iter().flatten();
            all.filter(|submission| submission.completion == id)
                .for_each(Submission::kick);
        }
        Ok(())
    }
}

/// Id and number of entries of a queue to be created: dword 10.
fn id_and_size(command: &Command) -> (u16, u32) {
    let dword = command.dword(10);
    ((dword & 0xffff) as u16, (dword >> 16) + 1)
}

impl Controller {
    fn size(&self, entries: u32) -> Result<u16, StatusCode> {
        match u16::try_from(entries) {
            Ok(size) if (2..=self.parts.options.max_queue_size).contains(&size) => Ok(size),
            _ => Err(StatusCode::QUEUE_SIZE),
        }
    }

    /// Where a queue begins: only contiguous ones are supported (CAP.CQR).
    fn base(&self, command: &Command) -> Result<GuestAddress, StatusCode> {
        if command.dword(11) & CONTIGUOUS == 0 {
            return Err(StatusCode::INVALID_FIELD);
        }
        match command.prp1() % self.terms.page {
            0 => Ok(GuestAddress(command.prp1())),
            _ => Err(StatusCode::PRP_OFFSET),
        }
    }

    pub(super) fn create_completion_queue(&mut self, command: &Command) -> Result<(), StatusCode> {
        let (id, entries) = id_and_size(command);
        let vector = (command.dword(11) >> 16) as u16;
        let interrupts = self.interrupts.clone();
        let (size, base) = (self.size(entries), self.base(command));
        let (_, entry_size) = self.registers.entry_sizes();
        let slot = slot(&mut self.queues.completions, id);
        let slot = slot.filter(|slot| slot.is_none());
        let slot = slot.ok_or(StatusCode::QUEUE_ID)?;
        if u32::from(vector) >= interrupts.count() {
            return Err(StatusCode::INTERRUPT_VECTOR);
        }
        if 1 << entry_size != CQE_LEN {
            return Err(StatusCode::INVALID_FIELD);
        }
        let (base, size) = (base?, size?);
        if command.dword(11) & INTERRUPTS != 0
            && !interrupts.are_messages()
            && self.doorbells.pages().is_some()
            && let Some(suppressed) = self.pin_warnings.admit(Instant::now())
        {
            tracing::warn!(
                suppressed,
                "the guest takes interrupts by the pin: with mapped doorbells QEMU may leave its \
                 line up, until the kernel gives it up; take --doorbells shadow, or MSI-X"
            );
        }
        *slot = Some(CompletionQueue::new(CompletionQueueSetup {
            base,
            size,
            vector: (command.dword(11) & INTERRUPTS != 0).then_some(vector),
            interrupts,
            coalescing: self.coalescing.clone(),
            head: self.doorbells.head(id, size),
        }));
        Ok(())
    }

    pub(super) fn create_submission_queue(&mut self, command: &Command) -> Result<(), StatusCode> {
        let (id, entries) = id_and_size(command);
        let completion = (command.dword(11) >> 16) as u16;
        let (size, base) = (self.size(entries), self.base(command));
        let (entry_size, _) = self.registers.entry_sizes();
        let completions = existing(&self.queues.completions, completion);
        let completions = completions.ok_or(StatusCode::COMPLETION_QUEUE)?.clone();
        let slot = slot(&mut self.queues.submissions, id);
        let slot = slot.filter(|slot| slot.is_none());
        let slot = slot.ok_or(StatusCode::QUEUE_ID)?;
        if 1 << entry_size != SQE_LEN {
            return Err(StatusCode::INVALID_FIELD);
        }
        let size = size?;
        let base = base?;
        let tail = self.doorbells.tail(id, size);
        let requests = NvmeQueue::new(SubmissionQueueSetup {
            id,
            base,
            size,
            tail: tail.clone(),
            completions,
            memory: self.memory.clone(),
            terms: self.terms,
            activity: Arc::clone(&self.parts.activity),
            fatal: Arc::clone(&self.parts.fatal),
        });
        let (kick, kicked) = kick().map_err(|_| StatusCode::INTERNAL)?;
        let attach = Message::Attach {
            queue: QueueId(id - 1),
            requests,
            kick: Some(kicked),
        };
        self.parts
            .inbox
            .send(attach)
            .map_err(|_| StatusCode::INTERNAL)?;
        *slot = Some(Submission {
            tail,
            size,
            completion,
            kick,
        });
        Ok(())
    }

    /// Everything in flight is completed before the queue is gone (5.7).
    pub(super) fn delete_submission_queue(&mut self, command: &Command) -> Result<(), StatusCode> {
        let id = (command.dword(10) & 0xffff) as u16;
        let slot = slot(&mut self.queues.submissions, id);
        slot.and_then(Option::take).ok_or(StatusCode::QUEUE_ID)?;
        self.parts.inbox.detach(QueueId(id - 1));
        Ok(())
    }

    pub(super) fn delete_completion_queue(&mut self, command: &Command) -> Result<(), StatusCode> {
        let id = (command.dword(10) & 0xffff) as u16;
        let mut used = self.queues.submissions.iter().flatten();
        if used.any(|submission| submission.completion == id) {
            return Err(StatusCode::QUEUE_DELETION);
        }
        let slot = slot(&mut self.queues.completions, id);
        slot.and_then(Option::take).ok_or(StatusCode::QUEUE_ID)?;
        Ok(())
    }
}

/// An eventfd to kick the pump with, and the pump's end of it.
fn kick() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let kick = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let kicked = kick.try_clone()?;
    Ok((kick, kicked))
}
