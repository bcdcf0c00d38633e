// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Events on their way from the pump to the control plane, for the clients
//! that have subscribed.
//!
//! While nobody has, an event costs the pump one load. What somebody wants goes
//! through a bounded channel, and the plane is woken at most once for all that
//! it then finds there. What does not fit is counted, kind by kind, so that
//! only those are told of it who would have had it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};

use irqstorm_core::event::{Event, What};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

/// Events on their way.
pub(crate) const CAPACITY: usize = 8192;

const KINDS: usize = What::NAMES.len();
const _: () = assert!(KINDS <= 32, "a kind is a bit of Kinds");

/// Some kinds of event, each a bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u32);

impl Kinds {
    pub(crate) const NONE: Kinds = Kinds(0);

    /// Those of these names; `Err` is a name that no event has.
    pub(crate) fn named(names: &[String]) -> Result<Kinds, &str> {
        names.iter().try_fold(Kinds::NONE, |kinds, name| {
            let kind = index(name).ok_or(name.as_str())?;
            Ok(kinds.and(Kinds(1 << kind)))
        })
    }

    pub(crate) fn all() -> Kinds {
        Kinds(What::NAMES.iter().fold(0, |bits, _| bits << 1 | 1))
    }

    pub(crate) fn is_none(self) -> bool {
        self == Kinds::NONE
    }

    pub(crate) fn has(self, kind: usize) -> bool {
        self.0 >> kind & 1 == 1
    }

    pub(crate) fn and(self, others: Kinds) -> Kinds {
        Kinds(self.0 | others.0)
    }

    pub(crate) fn names(self) -> Vec<String> {
        let names = What::NAMES.iter().enumerate();
        let ours = names.filter(|&(kind, _)| self.has(kind));
        ours.map(|(_, name)| (*name).to_owned()).collect()
    }
}

/// A kind's place among all.
fn index(name: &str) -> Option<usize> {
    What::NAMES.iter().position(|known| *known == name)
}

/// What both ends look at.
struct Shared {
    /// The kinds that anybody wants.
    wanted: AtomicU32,
    /// Those that did not fit, of each kind.
    missed: [AtomicU64; KINDS],
    /// Whether the bell was rung and not yet heard.
    rung: AtomicBool,
    bell: EventFd,
}

/// The pump's end.
pub(crate) struct Tap {
    shared: Arc<Shared>,
    events: SyncSender<(usize, Event)>,
}

/// The plane's end.
pub(crate) struct Tapped {
    shared: Arc<Shared>,
    events: Receiver<(usize, Event)>,
}

/// The two ends.
pub(crate) fn tap() -> io::Result<(Tap, Tapped)> {
    let (sender, receiver) = mpsc::sync_channel(CAPACITY);
    let shared = Arc::new(Shared {
        wanted: AtomicU32::new(0),
        missed: [const { AtomicU64::new(0) }; KINDS],
        rung: AtomicBool::new(false),
        bell: EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?,
    });
    let tap = Tap {
        shared: Arc::clone(&shared),
        events: sender,
    };
    let events = receiver;
    Ok((tap, Tapped { shared, events }))
}

impl Tap {
    fn wanted(&self) -> Kinds {
        Kinds(self.shared.wanted.load(Ordering::Relaxed))
    }

    /// Whether anybody wants any.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.wanted().is_none()
    }

    /// Takes an event if somebody wants it; never waits.
    pub(crate) fn offer(&self, event: &Event) {
        let wanted = self.wanted();
        if wanted.is_none() {
            return;
        }
        let kind = index(event.what.name()).filter(|&kind| wanted.has(kind));
        let Some(kind) = kind else {
            return;
        };
        if self.events.try_send((kind, event.clone())).is_err() {
            self.shared.missed[kind].fetch_add(1, Ordering::Relaxed);
        }
        self.shared.ring();
    }
}

impl Shared {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // A counter that is full wakes as well as one more.
            let _ = self.bell.write(1);
        }
    }
}

impl Tapped {
    /// Readable when there are events.
    pub(crate) fn bell(&self) -> &EventFd {
        &self.shared.bell
    }

    /// Says what is wanted from now on.
    pub(crate) fn want(&self, kinds: Kinds) {
        self.shared.wanted.store(kinds.0, Ordering::Relaxed);
    }

    /// Has the bell readable although there may be nothing.
    pub(crate) fn ring(&self) {
        self.shared.ring();
    }

    /// Hears the bell: whatever comes from now on rings it again.
    pub(crate) fn hear(&self) {
        let _ = self.shared.bell.read();
        self.shared.rung.store(false, Ordering::SeqCst);
    }

    /// The events that there are, each with its kind: no more than fit at a
    /// time, so that a pump that goes on meanwhile does not keep the plane here.
    pub(crate) fn take(&self) -> impl Iterator<Item = (usize, Event)> {
        self.events.try_iter().take(CAPACITY)
    }

    /// How many of each kind did not fit since this was last asked; those of
    /// none are left out.
    pub(crate) fn missed(&self) -> impl Iterator<Item = (usize, u64)> {
        let missed = self.shared.missed.iter().enumerate();
        missed
            .map(|(kind, count)| (kind, count.swap(0, Ordering::Relaxed)))
            .filter(|&(_, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_core::units::Nanos;

    fn event(what: What) -> Event {
        Event { at: Nanos(1), what }
    }

    fn marked(count: u64) -> Event {
        let mark = "go".to_owned();
        event(What::Marked { mark, count })
    }

    fn gone() -> Event {
        event(What::Disconnected { abandoned: 0 })
    }

    fn named(names: &[&str]) -> Kinds {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Kinds::named(&names).unwrap()
    }

    #[test]
    fn kinds_come_back_from_their_names_and_unknown_ones_are_told() {
        assert_eq!(Kinds::all().names(), What::NAMES);
        let kinds = named(&["held", "marked"]);
        assert_eq!(kinds.names(), ["held", "marked"]);
        let names = ["held".to_owned(), "helt".to_owned()];
        assert_eq!(Kinds::named(&names), Err("helt"));
    }

    #[test]
    fn only_what_is_wanted_comes_and_the_bell_rings_once_for_all() {
        let (tap, tapped) = tap().unwrap();
        tap.offer(&marked(1));
        assert!(!tap.is_wanted());
        assert!(tapped.bell().read().is_err(), "rung for nothing");
        tapped.want(named(&["marked"]));
        tap.offer(&gone());
        assert!(tapped.bell().read().is_err(), "rung for nothing");
        (2..5).for_each(|count| tap.offer(&marked(count)));
        assert_eq!(tapped.bell().read().unwrap(), 1);
        tapped.hear();
        let events: Vec<Event> = tapped.take().map(|(_, event)| event).collect();
        assert_eq!(events, [2, 3, 4].map(marked));
        tap.offer(&marked(5));
        assert_eq!(tapped.bell().read().unwrap(), 1);
    }

    #[test]
    fn what_does_not_fit_is_counted_by_its_kind() {
        let (tap, tapped) = tap().unwrap();
        tapped.want(Kinds::all());
        for count in 0..CAPACITY as u64 {
            tap.offer(&marked(count));
        }
        tap.offer(&gone());
        (0..2).for_each(|_| tap.offer(&marked(0)));
        assert_eq!(tapped.take().count(), CAPACITY);
        let missed: Vec<(&str, u64)> = tapped.missed().map(|(k, n)| (What::NAMES[k], n)).collect();
        assert_eq!(missed, [("marked", 2), ("disconnected", 1)]);
        assert_eq!(tapped.missed().count(), 0);
    }
}
