// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One I/O submission queue and the completion queue that it completes into,
//! as the pump drives them.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use irqstorm_core::queue::{BrokenQueue, BufferError, GuestBuffers, Lie, RequestQueue, Taken};
use irqstorm_core::request::{Operation, Outcome, Status};
use irqstorm_core::units::Nanos;
use irqstorm_front_end::{DataBuffers, Limiter, Memory, Near, Past, Segments};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryMmap};

use crate::activity::{Activity, ErrorEntry};
use crate::completion_queue::CompletionQueue;
use crate::doorbell::Doorbell;
use crate::parse::opcode::DATASET_MANAGEMENT;
use crate::parse::{Direction, Terms};
use crate::wire::{Command, Completion, SQE_LEN, StatusCode};

/// What a submission queue is created with.
pub(crate) struct SubmissionQueueSetup {
    pub(crate) id: u16,
    pub(crate) base: GuestAddress,
    /// Entries: 2 at least.
    pub(crate) size: u16,
    /// How far the driver has written.
    pub(crate) tail: Doorbell,
    pub(crate) completions: CompletionQueue,
    pub(crate) memory: Memory,
    pub(crate) terms: Terms,
    pub(crate) activity: Arc<Activity>,
    /// Set when the queue can no longer be believed (3.1.3.6, CSTS.CFS).
    pub(crate) fatal: Arc<AtomicBool>,
}

/// One submission queue, owned by the pump from its creation to its deletion.
///
/// What a driver can do wrong with a single command ends that command with an
/// error. A queue that lies in memory which is not there is fatal to the
/// controller: the driver finds that in CSTS.
pub struct NvmeQueue {
    setup: SubmissionQueueSetup,
    head: u16,
    /// Ids of commands.
    past: Past,
    /// Whether someone looks without being kicked.
    polled: bool,
    refusals: Limiter,
    unsaid: Limiter,
}

/// What completes a command.
#[derive(Debug)]
pub struct Token {
    command_id: u16,
    operation: Option<Operation>,
    namespace: u32,
    /// Where it begins there, in logical blocks.
    block: u64,
    sectors: u64,
    data: Segments,
    direction: Direction,
    /// What it is completed with if it is one that cannot be carried out.
    refused: Option<StatusCode>,
    /// Whether what was to be compared differs.
    differs: Cell<bool>,
}

impl NvmeQueue {
    /// An empty one.
    pub(crate) fn new(setup: SubmissionQueueSetup) -> NvmeQueue {
        NvmeQueue {
            setup,
            head: 0,
            past: Past::default(),
            polled: false,
            refusals: Limiter::default(),
            unsaid: Limiter::default(),
        }
    }

    fn stop(&self, why: &str) -> BrokenQueue {
        self.setup.fatal.store(true, Ordering::Release);
        BrokenQueue(why.to_owned())
    }

    /// Shows completions that waited for room in a queue that was full; their
    /// interrupt was decided long ago, and is raised now.
    fn relieve(&self, memory: &GuestMemoryMmap) -> Result<(), BrokenQueue> {
        let completions = &self.setup.completions;
        if !completions.is_congested() {
            return Ok(());
        }
        completions.publish(memory).map_err(|_| self.unwritable())?;
        if completions.wants_interrupt() {
            completions.signal();
        }
        Ok(())
    }

    fn unwritable(&self) -> BrokenQueue {
        self.stop("its completion queue lies outside guest memory")
    }

    /// Whether there is a command; if not, the driver is asked to kick for the
    /// next, unless it need not.
    fn has_command(&self, memory: &GuestMemoryMmap) -> bool {
        let tail = || self.setup.tail.get(memory);
        let head = u32::from(self.head);
        if tail() != head || self.polled {
            return tail() != head;
        }
        self.setup.tail.wake_after(memory, head);
        tail() != head
    }

    /// The entry at the head; the head moves on.
    fn fetch(&mut self, memory: &GuestMemoryMmap) -> Result<Command, BrokenQueue> {
        let offset = u64::from(self.head) * SQE_LEN as u64;
        let at = self.setup.base.0.checked_add(offset);
        let mut bytes = [0; SQE_LEN];
        let read = at.is_some_and(|at| memory.read_slice(&mut bytes, GuestAddress(at)).is_ok());
        if !read {
            return Err(self.stop("it lies outside guest memory"));
        }
        self.head = match self.head + 1 {
            next if next >= self.setup.size => 0,
            next => next,
        };
        Ok(Command::new(bytes))
    }

    fn read(&mut self, memory: &GuestMemoryMmap, command: &Command) -> Taken<Token> {
        let mut token = Token {
            command_id: command.id(),
            operation: None,
            namespace: command.namespace(),
            block: 0,
            sectors: 0,
            data: Segments::default(),
            direction: Direction::FromGuest,
            refused: None,
            differs: Cell::new(false),
        };
        let request = match self.setup.terms.parse(memory, command) {
            Ok(parsed) => {
                token.operation = Some(parsed.request.operation);
                let terms = &self.setup.terms;
                let base = terms.namespaces.base(token.namespace).unwrap_or(0);
                let start = parsed.request.start().0.saturating_sub(base);
                token.block = start / terms.block_sectors();
                token.sectors = parsed.request.extents.iter().map(|e| e.sectors).sum();
                token.data = parsed.data;
                token.direction = parsed.direction;
                Ok(parsed.request)
            }
            Err(code) => {
                token.refused = Some(code);
                // Only these are known to name a block (dwords 10 and 11).
                if code == StatusCode::LBA_RANGE && command.opcode() != DATASET_MANAGEMENT {
                    token.block = command.qword(10);
                }
                self.tell(command, code);
                Err(match code {
                    StatusCode::INVALID_OPCODE => Status::Unsupported,
                    _ => Status::IoError,
                })
            }
        };
        Taken { token, request }
    }

    fn tell(&mut self, command: &Command, code: StatusCode) {
        if let Some(suppressed) = self.refusals.admit(Instant::now()) {
            tracing::warn!(
                queue = self.setup.id,
                suppressed,
                "refused command {:#04x} of the guest with status {:#x}",
                command.opcode(),
                code.0
            );
        }
    }

    /// The one place that turns a status of the store's into one of NVMe's. An
    /// internal error is what Linux makes EIO of; a media error would be ENODATA.
    fn status(token: &Token, outcome: Outcome) -> StatusCode {
        match outcome.status {
            Status::Ok if token.differs.get() => StatusCode::COMPARE_FAILURE,
            Status::Ok => StatusCode::SUCCESS,
            Status::IoError => token.refused.unwrap_or(StatusCode::INTERNAL),
            Status::Unsupported => token.refused.unwrap_or(StatusCode::INVALID_OPCODE),
            Status::Aborted => StatusCode::ABORT_REQUESTED,
        }
    }

    fn count(&self, token: &Token, status: StatusCode) {
        let activity = &self.setup.activity;
        let (commands, sectors) = match token.operation {
            Some(Operation::Read) => (&activity.reads, &activity.sectors_read),
            Some(Operation::Write) => (&activity.writes, &activity.sectors_written),
            _ => return,
        };
        commands.add(1);
        match status {
            StatusCode::SUCCESS => sectors.add(token.sectors),
            StatusCode::INTERNAL => activity.media_errors.add(1),
            _ => {}
        }
    }

    fn remember(&self, token: &Token, status: StatusCode) {
        if status != StatusCode::SUCCESS {
            self.setup.activity.failed(ErrorEntry {
                sq_id: self.setup.id,
                command_id: token.command_id,
                status,
                block: token.block,
                namespace: token.namespace,
            });
        }
    }

    /// Writes the completion, and around it what a lie adds.
    fn write(
        &mut self,
        memory: &GuestMemoryMmap,
        mut entry: Completion,
        lie: Option<Lie>,
    ) -> Result<(), BrokenQueue> {
        let mut entries = [Some(entry), None];
        match lie.filter(|&lie| self.has_room_for(lie, memory)) {
            None => {}
            // A driver looks at it for few commands, and for no I/O command.
            Some(Lie::Length(length)) => {
                entry.result = length;
                entries = [Some(entry), None];
            }
            Some(Lie::DuplicateId) => entries = [Some(entry), Some(entry)],
            Some(Lie::OutOfRangeId) => {
                let command_id = u16::MAX;
                let stray = Completion {
                    command_id,
                    ..entry
                };
                entries = [Some(stray), Some(entry)];
            }
            Some(Lie::StaleId) => {
                let stale = self.past.stale();
                let stray = stale.map(|command_id| Completion {
                    command_id,
                    ..entry
                });
                entries = [stray, Some(entry)];
            }
        }
        for entry in entries.into_iter().flatten() {
            let written = self.setup.completions.write(memory, entry);
            written.map_err(|_| self.unwritable())?;
        }
        Ok(())
    }

    /// Whether there is room for a lie beside the truth. If not, says so.
    fn has_room_for(&mut self, lie: Lie, memory: &GuestMemoryMmap) -> bool {
        if matches!(lie, Lie::Length(_)) || self.setup.completions.room(memory) >= 2 {
            return true;
        }
        if let Some(suppressed) = self.unsaid.admit(Instant::now()) {
            let queue = self.setup.id;
            tracing::warn!(
                queue,
                suppressed,
                "left out {lie:?}: the completion queue is full"
            );
        }
        false
    }
}

impl RequestQueue for NvmeQueue {
    type Token = Token;

    fn depth(&self) -> u32 {
        u32::from(self.setup.size) - 1
    }

    fn next(&mut self) -> Result<Option<Taken<Token>>, BrokenQueue> {
        let memory = self.setup.memory.memory();
        self.relieve(&memory)?;
        // What a driver does not read cannot grow for ever: no more commands
        // until it does.
        if self.setup.completions.is_congested() {
            self.setup.completions.wake_when_read(&memory);
            self.relieve(&memory)?;
        }
        if self.setup.completions.is_congested() || !self.has_command(&memory) {
            return Ok(None);
        }
        let command = self.fetch(&memory)?;
        self.past.taken(command.id());
        Ok(Some(self.read(&memory, &command)))
    }

    fn with_buffers<R>(
        &self,
        token: &Token,
        use_buffers: impl FnOnce(&dyn GuestBuffers) -> R,
    ) -> R {
        let memory = Near::keep(self.setup.memory.memory());
        let data = |to_guest| DataBuffers {
            memory: &memory,
            data: &token.data,
            to_guest,
        };
        match token.direction {
            Direction::FromGuest => use_buffers(&data(false)),
            Direction::ToGuest => use_buffers(&data(true)),
            Direction::Compared => use_buffers(&Compared {
                with: data(false),
                differs: &token.differs,
            }),
            Direction::Dropped => use_buffers(&Dropped {
                len: token
                    .sectors
                    .saturating_mul(irqstorm_core::request::SECTOR_SIZE),
            }),
        }
    }

    fn complete(
        &mut self,
        token: Token,
        outcome: Outcome,
        lie: Option<Lie>,
    ) -> Result<(), BrokenQueue> {
        let status = NvmeQueue::status(&token, outcome);
        self.count(&token, status);
        self.remember(&token, status);
        let entry = Completion {
            result: 0,
            sq_head: self.head,
            sq_id: self.setup.id,
            command_id: token.command_id,
            status,
        };
        let memory = self.setup.memory.memory();
        let written = self.write(&memory, entry, lie);
        self.past.completed(entry.command_id);
        written
    }

    fn publish(&mut self) -> Result<(), BrokenQueue> {
        let memory = self.setup.memory.memory();
        let published = self.setup.completions.publish(&memory);
        published.map_err(|_| self.unwritable())
    }

    /// A driver that keeps shadow doorbells is not asked to kick meanwhile.
    fn set_polled(&mut self, polled: bool) {
        self.polled = polled;
    }

    fn name(token: &Token) -> Option<u16> {
        Some(token.command_id)
    }

    fn coalesces_until(&mut self, now: Nanos) -> Option<Nanos> {
        self.setup.completions.coalesces_until(now)
    }

    fn is_yet_to_read(&mut self) -> bool {
        let memory = self.setup.memory.memory();
        let completions = &self.setup.completions;
        completions.is_yet_to_read(&memory, self.polled)
    }

    fn has_been_read(&mut self) -> bool {
        let memory = self.setup.memory.memory();
        self.setup.completions.is_read(&memory)
    }

    fn wants_interrupt(&mut self) -> Result<bool, BrokenQueue> {
        Ok(self.setup.completions.wants_interrupt())
    }

    fn signal(&self) {
        self.setup.completions.signal();
    }

    fn abandon(&mut self, token: Token) {
        drop(token);
    }
}

/// Takes what is read from the store, and compares it with the guest's data
/// instead of handing it on.
struct Compared<'a> {
    with: DataBuffers<'a>,
    differs: &'a Cell<bool>,
}

impl GuestBuffers for Compared<'_> {
    fn len(&self) -> u64 {
        self.with.len()
    }

    fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), BufferError> {
        self.with.read(offset, to)
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), BufferError> {
        let mut theirs = vec![0; from.len()];
        self.with.read(offset, &mut theirs)?;
        if theirs != from {
            self.differs.set(true);
        }
        Ok(())
    }
}

/// Takes what is read from the store: that it could be read is all.
struct Dropped {
    len: u64,
}

impl GuestBuffers for Dropped {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, offset: u64, _: &mut [u8]) -> Result<(), BufferError> {
        Err(BufferError(offset))
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), BufferError> {
        match offset.checked_add(from.len() as u64) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(BufferError(offset)),
        }
    }
}

#[cfg(test)]
mod tests;
