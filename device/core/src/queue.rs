// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a front-end gives the pump: one queue of requests.

use crate::request::{Outcome, Request, Status};
use crate::units::Nanos;

/// The guest memory of one request's data, as one run of bytes.
///
/// Offsets count from the first data byte of the request over all its
/// segments. Every access is bounds-checked by the front-end.
pub trait GuestBuffers {
    /// Bytes of data in all.
    fn len(&self) -> u64;

    /// Whether the request carries no data.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies from the guest: `to` is filled from `offset` on.
    fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), BufferError>;

    /// Copies to the guest: all of `from`, at `offset`.
    fn write(&self, offset: u64, from: &[u8]) -> Result<(), BufferError>;

    /// The same with `count` zeroes.
    fn fill_zero(&self, offset: u64, count: u64) -> Result<(), BufferError> {
        const ZEROES: [u8; 4096] = [0; 4096];
        let mut done = 0;
        while done < count {
            let most = usize::try_from(count - done).unwrap_or(usize::MAX);
            let some = ZEROES.len().min(most);
            let at = offset.checked_add(done).ok_or(BufferError(offset))?;
            self.write(at, &ZEROES[..some])?;
            done += some as u64;
        }
        Ok(())
    }
}

/// No bytes: the data of a request that has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBuffers;

impl GuestBuffers for NoBuffers {
    fn len(&self) -> u64 {
        0
    }

    fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), BufferError> {
        match to {
            [] => Ok(()),
            _ => Err(BufferError(offset)),
        }
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), BufferError> {
        match from {
            [] => Ok(()),
            _ => Err(BufferError(offset)),
        }
    }
}

/// Guest memory that is not there, or an offset beyond the request's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("guest buffers end before byte {0} of the request's data")]
pub struct BufferError(
    /// The offset that could not be reached.
    pub u64,
);

/// A queue whose rings can no longer be believed: it is stopped, never guessed at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("queue is broken: {0}")]
pub struct BrokenQueue(
    /// What was found, in the transport's terms.
    pub String,
);

/// The interrupt of the configuration vector.
pub trait ConfigLine: Send {
    /// Raises it. Never blocks; false if it could not be written now.
    fn signal(&self) -> bool;
}

/// The device's word that it has failed, for its driver to see.
pub trait FailureLine: Send {
    /// Gives it. The driver is to reset the device, which takes it back; until
    /// then nothing is completed.
    fn fail(&self);
}

/// A request taken from a queue.
#[derive(Debug)]
pub struct Taken<T> {
    /// What completes it. It must be completed or abandoned.
    pub token: T,
    /// What the guest asked for; or, for a chain or command that cannot be
    /// parsed, the status it is to be completed with.
    pub request: Result<Request, Status>,
}

/// What only a hostile device does with a completion: it breaks the protocol,
/// for the driver to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// The completion stands in the ring twice.
    DuplicateId,
    /// Before it stands one of a request that no driver can have made.
    OutOfRangeId,
    /// Before it stands one of a request that was completed long ago.
    StaleId,
    /// It says that the device wrote this many bytes.
    Length(u32),
}

/// One queue of a front-end, in the four steps that the pump keeps apart.
///
/// All calls come from the pump's thread. `complete`, `publish`,
/// `wants_interrupt` and `signal` are separate so that each can happen at a
/// time of its own; an implementation must not fold one into another.
pub trait RequestQueue {
    /// What is needed to complete a request: it carries the request's buffers.
    type Token;

    /// The most requests that the driver can have outstanding at once: what
    /// the ring holds.
    fn depth(&self) -> u32;

    /// Takes the next request, or `None` when the queue is empty. Called until
    /// it says `None`; then the driver's next kick is awaited (the front-end
    /// sees to it that no request is overlooked in between).
    fn next(&mut self) -> Result<Option<Taken<Self::Token>>, BrokenQueue>;

    /// Requests that the last look into the queue found and that are not taken
    /// yet: the next ones are these, and half of them become visible before the
    /// others are carried out. A front-end whose driver is interrupted for
    /// whatever becomes visible had better not say.
    fn known(&self) -> u32 {
        0
    }

    /// From now on the queue is looked into again and again, or no longer: the
    /// driver need not kick meanwhile. After the last time it must be looked
    /// into once more. A front-end that cannot tell its driver does nothing.
    fn set_polled(&mut self, polled: bool) {
        let _ = polled;
    }

    /// The name by which a driver can ask for a request back, if it can.
    fn name(token: &Self::Token) -> Option<u16> {
        let _ = token;
        None
    }

    /// Hands the data of a taken request to `use_buffers`.
    fn with_buffers<R>(
        &self,
        token: &Self::Token,
        use_buffers: impl FnOnce(&dyn GuestBuffers) -> R,
    ) -> R;

    /// Writes the completion into the ring, without making it visible; with a
    /// lie if it is to be one. A lie that takes a place in the ring is left
    /// out where it could cost a completion its own: what the driver has not
    /// read is never overwritten.
    fn complete(
        &mut self,
        token: Self::Token,
        outcome: Outcome,
        lie: Option<Lie>,
    ) -> Result<(), BrokenQueue>;

    /// Makes visible everything completed since the last call: the used index
    /// or the phase bits.
    fn publish(&mut self) -> Result<(), BrokenQueue>;

    /// Until when the driver would have the interrupt for what is published
    /// wait for more, if it would: then it is decided, unless more has come
    /// by then that ends the wait. Asked before [`Self::wants_interrupt`].
    fn coalesces_until(&mut self, _now: Nanos) -> Option<Nanos> {
        None
    }

    /// Whether the driver has yet to read what its last interrupt told it of:
    /// one more would tell it nothing that it is not about to find. Whoever was
    /// told so asks again with each look into the queue, and the front-end sees
    /// to it that there is one once the driver has read. A front-end that does
    /// not learn how far its driver has read never says so.
    fn is_yet_to_read(&mut self) -> bool {
        false
    }

    /// Whether the driver has read everything that was published, told or not. A
    /// front-end that does not learn of it never says so.
    fn has_been_read(&mut self) -> bool {
        false
    }

    /// Whether the driver wants an interrupt for what was published since this
    /// was last asked.
    fn wants_interrupt(&mut self) -> Result<bool, BrokenQueue>;

    /// Raises the interrupt, and nothing else. Never blocks.
    fn signal(&self);

    /// Raises it so often, back to back: each is a write of its own.
    fn signal_times(&self, count: u32) {
        (0..count).for_each(|_| self.signal());
    }

    /// Gives a request up without touching guest memory: its connection is gone.
    fn abandon(&mut self, token: Self::Token);
}
