// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One attached ring as the pump drives it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use irqstorm_core::queue::{BrokenQueue, GuestBuffers, Lie, RequestQueue, Taken};
use irqstorm_core::request::{Outcome, QueueId};
use irqstorm_front_end::{DataBuffers, Limiter, LineSlot, Memory, Near, Past, Segments, Spare};
use virtio_queue::{Queue, QueueT};
use vm_memory::{GuestAddress, GuestAddressSpace, GuestMemoryError};

use crate::avail::AvailRing;
use crate::chain::{self, Layout};
use crate::descriptors::Descriptors;
use crate::inflight::InFlight;
use crate::parse::{Refused, Terms};
use crate::used::UsedRing;
use crate::wire::status_byte;

/// So many requests before it is taken, the descriptors of one are fetched.
const AHEAD: u16 = 3;

/// One ring of the guest, owned by the pump from attach to detach.
///
/// What the driver can do wrong to a single request ends that request with an
/// error; what makes the ring itself unbelievable (an available index that
/// jumps, a head beyond the table, a head that is in flight already) stops the
/// ring for good and tells the front-end through the error fd.
#[derive(Debug)]
pub struct VirtioQueue {
    id: QueueId,
    memory: Memory,
    /// The memory as it was after the available ring was last looked at, for
    /// what was found there. Let go when the queue is empty and with every
    /// publication, so that no mapping is kept that the front-end has taken
    /// away.
    latest: Option<Near<'static>>,
    avail: AvailRing,
    used: UsedRing,
    /// For each head: whether the device has it. A driver may reuse one once
    /// its completion is published.
    taken: Vec<bool>,
    /// Requests taken, not completed yet.
    in_flight: u16,
    /// Heads completed, not published yet.
    completed: Vec<u16>,
    /// Heads completed before.
    past: Past,
    /// Where what is in flight outlives this device.
    outlives: Option<InFlight>,
    spare: Spare,
    terms: Terms,
    wires: Wires,
    position: Position,
    broken: Option<BrokenQueue>,
    refusals: Limiter,
    /// Lies left out.
    unsaid: Limiter,
}

/// The fds of a ring, shared with the server, which replaces them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wires {
    pub(crate) call: LineSlot,
    pub(crate) error: LineSlot,
}

/// Where a ring was when the pump dropped it: written then, read by the server
/// once the pump has said that it is done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Position(Arc<AtomicU32>);

impl Position {
    fn set(&self, next_avail: u16, next_used: u16) {
        let both = u32::from(next_avail) << 16 | u32::from(next_used);
        self.0.store(both, Ordering::Release);
    }

    /// Next available and next used index.
    pub(crate) fn get(&self) -> (u16, u16) {
        let both = self.0.load(Ordering::Acquire);
        ((both >> 16) as u16, (both & 0xffff) as u16)
    }
}

/// What completes a request: where its status goes, and its data.
#[derive(Debug)]
pub struct Token {
    head: u16,
    status: Option<GuestAddress>,
    data: Segments,
    to_guest: bool,
    /// Bytes of the guest's buffers written while parsing.
    written: u64,
}

impl VirtioQueue {
    /// The ring that `ring` describes, which was found valid in `memory`, with
    /// what it had in flight in a life before this one.
    pub(crate) fn new(
        id: QueueId,
        memory: Memory,
        ring: Queue,
        terms: Terms,
        wires: Wires,
        position: Position,
        outlives: Option<InFlight>,
    ) -> VirtioQueue {
        VirtioQueue {
            id,
            memory,
            latest: None,
            used: UsedRing::new(&ring),
            taken: vec![false; usize::from(ring.size())],
            in_flight: 0,
            completed: Vec::new(),
            past: Past::default(),
            outlives,
            avail: AvailRing::new(ring),
            spare: Spare::default(),
            terms,
            wires,
            position,
            broken: None,
            refusals: Limiter::default(),
            unsaid: Limiter::default(),
        }
    }

    /// The memory as it is now.
    fn now(&self) -> Near<'static> {
        Near::keep(self.memory.memory())
    }

    /// The latest that there is, or as it is now.
    fn latest(&mut self) -> Near<'static> {
        self.latest.take().unwrap_or_else(|| self.now())
    }

    fn check(&self) -> Result<(), BrokenQueue> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// Stops the ring for good.
    fn stop(&mut self, why: String) -> BrokenQueue {
        let broken = BrokenQueue(why);
        self.broken = Some(broken.clone());
        self.wires.error.signal();
        broken
    }

    /// Marks a head as the device's; it must be in the table, and not be
    /// there already.
    fn claim(&mut self, head: u16) -> Result<(), BrokenQueue> {
        match self.taken.get_mut(usize::from(head)) {
            Some(taken) if !*taken => {
                *taken = true;
                self.past.taken(head);
                self.in_flight = self.in_flight.saturating_add(1);
                self.used.came_back(head);
                Ok(())
            }
            Some(_) => Err(self.stop(format!(
                "the driver made descriptor {head} available while the device had it"
            ))),
            None => Err(self.stop(format!(
                "the driver made descriptor {head} available in a ring of {}",
                self.avail.size()
            ))),
        }
    }

    /// A head that the device had in a life before this one.
    fn take_again(&mut self) -> Option<u16> {
        self.outlives.as_mut()?.take_again()
    }

    /// Whether a request can be taken without a look at the available ring.
    fn has_known(&self) -> bool {
        let again = self.outlives.as_ref().is_some_and(InFlight::has_more);
        again || self.avail.known() > 0
    }

    /// Looks into the available ring; whether there is a request.
    fn look(&mut self) -> Result<bool, BrokenQueue> {
        self.latest = None;
        let now = self.now();
        let found = self.avail.look(&now);
        (0..=AHEAD).for_each(|by| self.touch(by, &now));
        found.map_err(|e| self.cannot_follow(&e))
    }

    fn cannot_follow(&mut self, error: &virtio_queue::Error) -> BrokenQueue {
        self.stop(format!("its available ring cannot be followed: {error}"))
    }

    fn take(&mut self, memory: &Near) -> Result<Taken<Token>, BrokenQueue> {
        if let Some(head) = self.take_again() {
            self.claim(head)?;
            return Ok(self.read(memory, head));
        }
        let head = self.avail.take(memory);
        let head = head.map_err(|e| self.cannot_follow(&e))?;
        self.touch_following(memory);
        self.claim(head)?;
        if let Some(outlives) = &mut self.outlives {
            outlives.ledger().take(head);
        }
        Ok(self.read(memory, head))
    }

    /// Has the processor fetch what the next requests consist of while this one
    /// is carried out: to wait for the driver's CPU is most of what it takes to
    /// read a request.
    fn touch_following(&self, memory: &Near) {
        self.touch(AHEAD, memory);
        if let Some(head) = self.avail.ahead(1, memory) {
            self.chain(head).touch_buffer(memory);
        }
    }

    /// Has the processor fetch the first descriptor of the request so many after
    /// the next, if there is one.
    fn touch(&self, by: u16, memory: &Near) {
        if let Some(head) = self.avail.ahead(by, memory) {
            self.chain(head).touch(memory);
        }
    }

    fn chain(&self, head: u16) -> Descriptors {
        Descriptors::of(self.avail.table(), self.avail.size(), head)
    }

    fn read(&mut self, memory: &Near, head: u16) -> Taken<Token> {
        let chain = self.chain(head);
        let mut layout = Layout {
            readable: self.spare.take(),
            writable: self.spare.take(),
            status: None,
        };
        let parsed = match chain::walk(memory, chain, &mut layout) {
            Ok(()) => self.terms.parse(memory, &mut layout),
            Err(fault) => Err(Refused::from(fault)),
        };
        self.spare.keep(layout.readable);
        self.spare.keep(layout.writable);
        let mut token = Token {
            head,
            status: layout.status,
            data: Segments::default(),
            to_guest: false,
            written: 0,
        };
        let request = match parsed {
            Ok(parsed) => {
                token.data = parsed.data;
                token.to_guest = parsed.to_guest;
                token.written = parsed.written;
                Ok(parsed.request)
            }
            Err(refused) => {
                self.tell(refused);
                Err(refused.status())
            }
        };
        Taken { token, request }
    }

    /// Writes the used element of `head`, and around it what a lie adds.
    fn use_head(
        &mut self,
        memory: &Near,
        head: u16,
        len: u32,
        lie: Option<Lie>,
    ) -> Result<(), GuestMemoryError> {
        match lie {
            None => self.used.write(memory, head, len),
            Some(Lie::Length(lied)) => self.used.write(memory, head, lied),
            Some(Lie::DuplicateId) => {
                self.used.write(memory, head, len)?;
                self.used.write_element(memory, u32::from(head), len)
            }
            Some(Lie::OutOfRangeId) => {
                self.used.write_element(memory, self.depth(), 0)?;
                self.used.write(memory, head, len)
            }
            Some(Lie::StaleId) => {
                if let Some(stale) = self.past.stale() {
                    self.used.write_element(memory, u32::from(stale), 1)?;
                }
                self.used.write(memory, head, len)
            }
        }
    }

    /// Whether the ring has room for a lie, once every request that is in
    /// flight has its element: a lie must not make the driver lose one. If
    /// not, says so.
    fn has_room_for(&mut self, lie: Lie) -> bool {
        let elements = match lie {
            Lie::Length(_) => 0,
            Lie::DuplicateId | Lie::OutOfRangeId | Lie::StaleId => 1,
        };
        let room = self.used.room().saturating_sub(self.in_flight);
        if elements <= room {
            return true;
        }
        if let Some(suppressed) = self.unsaid.admit(Instant::now()) {
            tracing::warn!(
                queue = self.id.0,
                suppressed,
                "left out {lie:?}: the used ring has room for the {} requests in flight only",
                self.in_flight
            );
        }
        false
    }

    fn tell(&mut self, refused: Refused) {
        if let Some(suppressed) = self.refusals.admit(Instant::now()) {
            tracing::warn!(
                queue = self.id.0,
                suppressed,
                "refused a request of the guest: {refused}"
            );
        }
    }
}

impl RequestQueue for VirtioQueue {
    type Token = Token;

    fn depth(&self) -> u32 {
        u32::from(self.avail.size())
    }

    fn next(&mut self) -> Result<Option<Taken<Token>>, BrokenQueue> {
        self.check()?;
        if !self.has_known() && !self.look()? {
            return Ok(None);
        }
        // Not from before the look: what was made available by then may lie in
        // memory that was shared just before.
        let memory = self.latest();
        let taken = self.take(&memory)?;
        self.latest = Some(memory);
        Ok(Some(taken))
    }

    fn known(&self) -> u32 {
        u32::from(self.avail.known())
    }

    fn set_polled(&mut self, polled: bool) {
        self.avail.set_polled(polled);
    }

    fn with_buffers<R>(
        &self,
        token: &Token,
        use_buffers: impl FnOnce(&dyn GuestBuffers) -> R,
    ) -> R {
        let buffers = |memory: &Near| {
            use_buffers(&DataBuffers {
                memory,
                data: &token.data,
                to_guest: token.to_guest,
            })
        };
        match &self.latest {
            Some(memory) => buffers(memory),
            None => buffers(&self.now()),
        }
    }

    fn complete(
        &mut self,
        token: Token,
        outcome: Outcome,
        lie: Option<Lie>,
    ) -> Result<(), BrokenQueue> {
        self.check()?;
        if self.used.room() == 0 {
            return Err(self.stop("the driver has not read what a lie added".to_owned()));
        }
        let memory = self.latest();
        let mut len = 0;
        if let Some(at) = token.status {
            if let Err(e) = memory.write_byte(status_byte(outcome.status), at) {
                return Err(self.stop(format!("a status byte cannot be written: {e}")));
            }
            // What the device wrote, the status included (2.7.8.2).
            let room = if token.to_guest { token.data.len() } else { 0 };
            let data = outcome.written.min(room) + token.written + 1;
            len = u32::try_from(data).unwrap_or(u32::MAX);
        }
        let lie = lie.filter(|&lie| self.has_room_for(lie));
        if let Err(e) = self.use_head(&memory, token.head, len, lie) {
            return Err(self.stop(format!("its used ring cannot be written: {e}")));
        }
        if let Some(outlives) = &mut self.outlives {
            match lie {
                Some(Lie::DuplicateId | Lie::OutOfRangeId | Lie::StaleId) => {
                    outlives.ledger().give_up()
                }
                Some(Lie::Length(_)) | None => outlives.ledger().complete(token.head),
            }
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        self.completed.push(token.head);
        self.past.completed(token.head);
        self.spare.keep(token.data);
        self.latest = Some(memory);
        Ok(())
    }

    fn publish(&mut self) -> Result<(), BrokenQueue> {
        self.check()?;
        let memory = self.latest();
        if let Err(e) = self.used.publish(&memory) {
            return Err(self.stop(format!("its used index cannot be written: {e}")));
        }
        if let Some(outlives) = &mut self.outlives {
            let used = self.used.published();
            outlives.ledger().publish(&self.completed, used);
        }
        for head in self.completed.drain(..) {
            if let Some(taken) = self.taken.get_mut(usize::from(head)) {
                *taken = false;
            }
        }
        Ok(())
    }

    fn wants_interrupt(&mut self) -> Result<bool, BrokenQueue> {
        self.check()?;
        let memory = self.now();
        match self.used.wants_interrupt(&memory) {
            Ok(wanted) => Ok(wanted),
            Err(e) => Err(self.stop(format!("its available ring cannot be read: {e}"))),
        }
    }

    fn signal(&self) {
        self.wires.call.signal();
    }

    fn signal_times(&self, count: u32) {
        self.wires.call.signal_times(count);
    }

    fn abandon(&mut self, token: Token) {
        drop(token);
    }
}

impl Drop for VirtioQueue {
    fn drop(&mut self) {
        self.position
            .set(self.avail.next_index(), self.used.published());
    }
}

#[cfg(test)]
mod tests;
