// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where the pump's events go: to a file, to another file as decisions, to
//! clients that have subscribed. Nowhere, most of the time: then the pump makes
//! none.

use irqstorm_core::event::{Event, EventSink, What};
use irqstorm_core::pattern::Recorded;
use irqstorm_core::units::Nanos;
use serde::Serialize;

use crate::lines::{Line, LineSink};
use crate::tap::Tap;

/// A line of a recording.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Decision {
    /// What was decided about a request.
    Made(Recorded),
    /// So many decisions are missing here.
    Lost {
        /// How many.
        lost: u64,
    },
}

impl Decision {
    /// The decision that an event tells of, if it tells of one.
    fn of(event: &Event) -> Option<Decision> {
        let &What::Arrived {
            queue,
            nth,
            operation,
            sector,
            bytes,
            plan,
            ..
        } = &event.what
        else {
            return None;
        };
        Some(Decision::Made(Recorded {
            queue,
            nth,
            operation,
            sector,
            bytes,
            plan,
        }))
    }
}

impl Line for Decision {
    const NAME: &'static str = "decisions";
    const BEGINNING: &'static str = "{\"queue\":";
    type Place = ();

    fn place(&self) {}

    fn lost(lost: u64, (): ()) -> Decision {
        Decision::Lost { lost }
    }
}

impl Line for Event {
    const NAME: &'static str = "events";
    const BEGINNING: &'static str = "{\"at\":";
    type Place = Nanos;

    fn place(&self) -> Nanos {
        self.at
    }

    fn lost(events: u64, at: Nanos) -> Event {
        let what = What::Dropped { events };
        Event { at, what }
    }
}

/// All takers of events there are.
pub(crate) struct Sink {
    /// `--events`.
    pub(crate) events: Option<LineSink<Event>>,
    /// `--record`.
    pub(crate) decisions: Option<LineSink<Decision>>,
    /// Clients' subscriptions.
    pub(crate) tap: Tap,
}

impl EventSink for Sink {
    fn record(&mut self, event: Event) {
        self.tap.offer(&event);
        if let Some(decisions) = &mut self.decisions
            && let Some(decision) = Decision::of(&event)
        {
            decisions.send(decision);
        }
        if let Some(events) = &mut self.events {
            events.send(event);
        }
    }

    fn listens(&self) -> bool {
        self.events.is_some() || self.decisions.is_some() || self.tap.is_wanted()
    }

    fn dropped(&self) -> u64 {
        let events = self.events.as_ref().map_or(0, LineSink::lost);
        let decisions = self.decisions.as_ref().map_or(0, LineSink::lost);
        events + decisions
    }
}
