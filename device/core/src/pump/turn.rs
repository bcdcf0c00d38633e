// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One turn of the pump: its time, and where what comes of it goes.

use crate::clock::Clock;
use crate::event::{Event, EventSink, What};
use crate::request::{QueueId, RequestId};
use crate::timeline::Timeline;
use crate::units::Nanos;

use super::measured::Measured;

/// Steps on the timeline beyond which interrupts of completions long gone are
/// brought forward: some 50 MB.
const MAX_SCHEDULED: usize = 1 << 20;

/// What can be due.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// A completion is to be written and published, or gathered or held.
    Completion(QueueId, RequestId),
    /// An interrupt is to be written ahead of its completion.
    Early(QueueId, RequestId),
    /// A lost completion comes back.
    Back(QueueId, RequestId),
    /// What a window has gathered is to be let go.
    Window(QueueId, u64),
    /// A late interrupt is to be decided.
    Decide(QueueId),
    /// A coalesced interrupt is to be decided.
    Coalesced(QueueId),
    /// If none was written since the serial was this, one is to be.
    Rescue(QueueId, u64),
    /// The next of some duplicates is to be written.
    Duplicate(Duplicates),
    /// A storm strikes: the first of its burst, or all of it.
    Burst(u64),
    /// A storm writes the next interrupt of a burst, so many being left.
    Strike(u64, u32),
}

/// Interrupts that repeat one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Duplicates {
    pub(super) queue: QueueId,
    /// The attachment of the queue that they belong to.
    pub(super) attachment: u64,
    pub(super) left: u32,
    pub(super) gap: Nanos,
}

/// When something is done: all of one turn is decided by the same `now`, and
/// each step stamped by the clock.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) now: Nanos,
    pub(super) clock: &'a dyn Clock,
}

impl<'a> Moment<'a> {
    pub(super) fn of(clock: &'a dyn Clock) -> Moment<'a> {
        let now = clock.now();
        Moment { now, clock }
    }
}

/// What all of the pump writes to.
pub(super) struct Desk {
    pub(super) timeline: Timeline<Due>,
    pub(super) events: Box<dyn EventSink + Send>,
    pub(super) measured: Measured,
}

impl Desk {
    pub(super) fn turn<'a>(&'a mut self, moment: Moment<'a>) -> Turn<'a> {
        Turn { moment, desk: self }
    }
}

/// One turn.
pub(super) struct Turn<'a> {
    moment: Moment<'a>,
    desk: &'a mut Desk,
}

impl Turn<'_> {
    /// The time by which this turn decides.
    pub(super) fn now(&self) -> Nanos {
        self.moment.now
    }

    /// The time it really is.
    pub(super) fn clock(&self) -> Nanos {
        self.moment.clock.now()
    }

    /// Puts something on the timeline.
    pub(super) fn schedule(&mut self, at: Nanos, due: Due) {
        self.desk.timeline.insert(at, due);
    }

    /// Puts there what a completion leaves behind and no ring bounds; at once
    /// if there is too much already.
    pub(super) fn schedule_after(&mut self, at: Nanos, due: Due) {
        let room = self.desk.timeline.len() < MAX_SCHEDULED;
        self.schedule(if room { at } else { self.moment.now }, due);
    }

    /// Records what has happened just now. Inline, so that no event is made
    /// where nobody listens.
    #[inline]
    pub(super) fn record(&mut self, what: What) {
        if self.desk.events.listens() {
            let at = self.clock();
            self.desk.events.record(Event { at, what });
        }
    }

    /// Records what happened at a time that was looked at already.
    #[inline]
    pub(super) fn record_at(&mut self, at: Nanos, what: What) {
        if self.desk.events.listens() {
            self.desk.events.record(Event { at, what });
        }
    }

    pub(super) fn measured(&mut self) -> &mut Measured {
        &mut self.desk.measured
    }
}
