// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The interrupts of one queue's completions: steps three and four, decide and
//! signal, each at a time of its own.

use super::lane::Lane;
use super::turn::{Due, Duplicates, Turn};
use crate::event::{Cause, What};
use crate::queue::{BrokenQueue, RequestQueue};
use crate::scenario::Interrupt;
use crate::storm::Permit;
use crate::units::Nanos;

/// What completions that are not visible yet ask of their interrupt, once they
/// are.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// It is decided at once.
    decide: bool,
    /// It is decided once the driver has read what it knows of.
    when_read: bool,
    /// It comes whether the driver wants it or not.
    force: bool,
    /// It is decided, and then not written.
    drop: bool,
    /// It is written so often again.
    duplicates: Option<(u32, Nanos)>,
    /// It is decided then.
    late: Vec<Nanos>,
    /// If none has come by then, it is written.
    rescues: Vec<Nanos>,
}

/// What a queue owes its driver.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Published completions whose interrupt is not decided yet.
    undecided: u32,
    /// When a coalesced interrupt is decided at the latest.
    coalesce_until: Option<Nanos>,
    /// When one is that the driver itself would have coalesced.
    driver_waits_until: Option<Nanos>,
    /// Whether it is decided once the driver has read what it knows of.
    pub(super) waits_for_reader: bool,
    /// Changes with every interrupt written and every attachment.
    serial: u64,
}

impl Owed {
    /// Nothing is owed any more.
    pub(super) fn forget(&mut self) {
        self.undecided = 0;
        self.coalesce_until = None;
        self.driver_waits_until = None;
        self.waits_for_reader = false;
        self.serial += 1;
    }
}

/// How a decision is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// If the driver wants an interrupt, it is written: once it wants it.
    AsWanted,
    /// So, once the driver has read what it knows of.
    WhenRead,
    /// If the driver wants an interrupt, it is written, and does not wait for
    /// more completions.
    WithoutDelay,
    /// It is written in any case.
    Forced,
    /// It is not written.
    Dropped,
}

impl<Q: RequestQueue> Lane<Q> {
    /// Notes what a completion just written asks of its interrupt.
    pub(super) fn ask(
        &mut self,
        interrupt: Interrupt,
        planned: Nanos,
        turn: &mut Turn,
    ) -> Result<(), BrokenQueue> {
        let asked = &mut self.pending.asked;
        match interrupt {
            Interrupt::WhenWanted => asked.decide = true,
            Interrupt::WhenRead => asked.when_read = true,
            Interrupt::PerCompletion => {
                asked.force = true;
                return self.flush(turn);
            }
            Interrupt::Coalesced { count, time } => {
                let waiting = self.pending.count.saturating_add(self.owed.undecided);
                asked.decide |= count.is_some_and(|count| waiting >= count);
                if let (Some(time), None) = (time, self.owed.coalesce_until) {
                    let until = turn.now() + time;
                    self.owed.coalesce_until = Some(until);
                    turn.schedule(until, Due::Coalesced(self.id));
                }
            }
            // It has been written already, ahead of this.
            Interrupt::Early { rescue, .. } => asked.rescues.push(planned + rescue),
            Interrupt::Late { by } => asked.late.push(planned + by),
            Interrupt::Dropped { rescue } => {
                asked.drop = true;
                asked.rescues.push(planned + rescue);
            }
            Interrupt::Duplicated { count, gap } => {
                asked.decide = true;
                asked.duplicates = asked.duplicates.max(Some((count, gap)));
            }
            Interrupt::Never { .. } => {}
        }
        Ok(())
    }

    /// `count` completions, the last of which was due at `planned`, have become
    /// visible.
    pub(super) fn published(
        &mut self,
        count: u32,
        planned: Nanos,
        asked: Asked,
        turn: &mut Turn,
    ) -> Result<(), BrokenQueue> {
        self.owed.undecided = self.owed.undecided.saturating_add(count);
        for at in asked.late {
            turn.schedule_after(at, Due::Decide(self.id));
        }
        // Counted from before this publication's own interrupt, if it has one:
        // that makes a rescue needless.
        for at in asked.rescues {
            turn.schedule_after(at, Due::Rescue(self.id, self.owed.serial));
        }
        let decision = match asked {
            Asked { force: true, .. } => Decision::Forced,
            Asked { decide: true, .. } => Decision::AsWanted,
            Asked {
                when_read: true, ..
            } => Decision::WhenRead,
            Asked { drop: true, .. } => Decision::Dropped,
            _ => return Ok(()),
        };
        let before = self.owed.serial;
        self.decide(decision, u32::MAX, planned, turn)?;
        if let Some((left, gap)) = asked.duplicates
            && self.owed.serial != before
        {
            let duplicates = Duplicates {
                queue: self.id,
                attachment: self.attachment,
                left,
                gap,
            };
            turn.schedule_after(planned + gap, Due::Duplicate(duplicates));
        }
        Ok(())
    }

    /// Decides the interrupt of up to `most` of the completions that it is not
    /// yet decided for, and carries the decision out. Returns how many that
    /// were.
    pub(super) fn decide(
        &mut self,
        decision: Decision,
        most: u32,
        planned: Nanos,
        turn: &mut Turn,
    ) -> Result<u32, BrokenQueue> {
        let waits = match decision {
            Decision::AsWanted => self.is_to_wait(turn),
            Decision::WhenRead => self.is_to_wait_for_reader() || self.is_to_wait(turn),
            _ => false,
        };
        if waits {
            return Ok(0);
        }
        let count = self.owed.undecided.min(most);
        self.owed.undecided -= count;
        if self.owed.undecided == 0 {
            self.owed.coalesce_until = None;
            self.owed.waits_for_reader = false;
        }
        let Some(requests) = self.requests.as_mut().filter(|_| count > 0) else {
            return Ok(0);
        };
        let queue = self.id;
        let needless = decision == Decision::WhenRead && requests.has_been_read();
        let wanted = requests.wants_interrupt()? && !needless;
        self.counters.wanted += u64::from(wanted);
        turn.record(What::Decided {
            queue,
            wanted,
            count,
            planned,
        });
        match decision {
            Decision::Dropped => {
                self.counters.dropped += 1;
                turn.record(What::InterruptDropped { queue });
            }
            Decision::AsWanted | Decision::WhenRead | Decision::WithoutDelay if !wanted => {
                self.counters.suppressed += 1;
            }
            _ => {
                if !wanted {
                    self.guard.overridden(1, turn.now());
                }
                self.signal(Cause::Completion, planned, turn);
            }
        }
        Ok(count)
    }

    /// Whether the interrupt waits for the driver to read what it knows of; it
    /// is decided with the first look into the queue after that.
    fn is_to_wait_for_reader(&mut self) -> bool {
        let undecided = self.owed.undecided;
        let requests = self.requests.as_mut().filter(|_| undecided > 0);
        let waits = requests.is_some_and(Q::is_yet_to_read);
        self.owed.waits_for_reader = waits;
        waits
    }

    /// There is a look into the queue: an interrupt that waits for the driver
    /// may have its time.
    pub(super) fn look_for_reader(&mut self, turn: &mut Turn) -> Result<(), BrokenQueue> {
        let now = turn.now();
        self.decide(Decision::WhenRead, u32::MAX, now, turn)
            .map(drop)
    }

    /// Whether the driver would have the interrupt wait: it is decided then.
    fn is_to_wait(&mut self, turn: &mut Turn) -> bool {
        let undecided = self.owed.undecided;
        let requests = self.requests.as_mut().filter(|_| undecided > 0);
        let until = requests.and_then(|requests| requests.coalesces_until(turn.now()));
        let news = until != self.owed.driver_waits_until;
        self.owed.driver_waits_until = until;
        if let Some(until) = until
            && news
        {
            turn.schedule_after(until, Due::Decide(self.id));
        }
        until.is_some()
    }

    /// Decides a coalesced interrupt whose time has come, unless its count came
    /// first.
    pub(super) fn decide_coalesced(
        &mut self,
        planned: Nanos,
        turn: &mut Turn,
    ) -> Result<(), BrokenQueue> {
        if self.owed.coalesce_until != Some(planned) {
            return Ok(());
        }
        self.decide(Decision::AsWanted, u32::MAX, planned, turn)?;
        Ok(())
    }

    /// Writes an interrupt if none was written since the serial was this.
    pub(super) fn rescue(&mut self, serial: u64, planned: Nanos, turn: &mut Turn) {
        if self.owed.serial == serial {
            self.owed.undecided = 0;
            self.owed.waits_for_reader = false;
            self.signal(Cause::Rescue, planned, turn);
        }
    }

    /// Writes an interrupt with its completion still to come, as far as the
    /// guard permits: to the driver nothing is behind it.
    pub(super) fn signal_early(&mut self, planned: Nanos, turn: &mut Turn) {
        if self.may_fire(1, turn.now()) == 1 {
            self.signal(Cause::Early, planned, turn);
        }
    }

    /// Writes the next of some duplicates, or all of them if no time is between
    /// them, as far as the guard permits.
    pub(super) fn duplicate(&mut self, mut rest: Duplicates, planned: Nanos, turn: &mut Turn) {
        if rest.attachment != self.attachment {
            return;
        }
        let asked = if rest.gap == Nanos::ZERO {
            rest.left
        } else {
            1
        };
        let permitted = self.may_fire(asked, turn.now());
        for _ in 0..permitted {
            self.signal(Cause::Duplicate, planned, turn);
        }
        rest.left -= asked;
        if rest.left > 0 {
            turn.schedule_after(planned + rest.gap, Due::Duplicate(rest));
        }
    }

    /// How many of `count` interrupts with nothing behind them the guard lets
    /// through; the others are counted as withheld.
    pub(super) fn may_fire(&mut self, count: u32, now: Nanos) -> u32 {
        let permitted = match self.guard.ask(count, now) {
            Permit::Go(permitted) => permitted,
            Permit::PauseUntil(_) => 0,
        };
        self.counters.withheld += u64::from(count - permitted);
        permitted
    }

    /// Step four for completions.
    fn signal(&mut self, cause: Cause, planned: Nanos, turn: &mut Turn) {
        let Some(requests) = self.requests.as_ref() else {
            return;
        };
        requests.signal();
        self.owed.serial += 1;
        let at = turn.clock();
        turn.measured().signalled(at - planned);
        let counters = &mut self.counters;
        *match cause {
            Cause::Completion => &mut counters.signalled,
            Cause::Early => &mut counters.early,
            Cause::Rescue => &mut counters.rescued,
            Cause::Duplicate => &mut counters.duplicated,
        } += 1;
        let queue = self.id;
        turn.record_at(
            at,
            What::Signalled {
                queue,
                cause,
                planned,
            },
        );
    }

    /// Raises `count` interrupts with no completion behind them.
    pub(super) fn fire(&mut self, count: u32, planned: Nanos, turn: &mut Turn) {
        self.fire_silently(count);
        let queue = self.id;
        turn.record(What::Spurious {
            queue,
            count,
            planned,
        });
    }

    /// The same without an event: for what is one event over many queues.
    pub(super) fn fire_silently(&mut self, count: u32) {
        let Some(requests) = self.requests.as_ref() else {
            return;
        };
        requests.signal_times(count);
        self.owed.serial += 1;
        self.counters.spurious += u64::from(count);
    }
}
