// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The guest's records and the device's events on the device's clock.
//!
//! Both sides are known without a gap from the test's begin on, so the n-th
//! request of a kind at a place is the same one on both. From those the guest's
//! clock is estimated, and with it everything of the guest's gets its time.

use std::collections::{HashMap, VecDeque};

use irqstorm_core::event::{Cause, Event, What};
use irqstorm_core::request::Operation;
use irqstorm_core::steps::{Journey, Steps};

use super::clock::{Exchange, GuestClock};
use super::guest::{Guest, Issued, nanos};
use super::text::Place;
use super::timeline::{Kind, Request, Row, Slice, Timeline};

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// Nothing of the guest is in it if its clock is not known.
    pub(super) timeline: Timeline,
    /// `None` if no request was seen from both sides.
    pub(super) clock: Option<GuestClock>,
}

/// Joins what the guest did with the device's events meanwhile.
pub(super) fn join(guest: Guest, events: &[Event]) -> Joined {
    let events = whole(events);
    let journeys = journeys(events);
    let pairs = pair(&guest.requests, &journeys);
    let exchanges: Vec<Exchange> = pairs
        .iter()
        .filter_map(|&(issued, journey)| exchange(issued, journey))
        .collect();
    let clock = GuestClock::estimate(&exchanges);
    let mut timeline = Timeline::default();
    // The guest's slices first: its requests know them by their places.
    let until = clock.map_or(i64::MAX, |clock| add_guest(&mut timeline, &guest, &clock));
    let places = draw_device(&mut timeline, events, &journeys, until);
    for (issued, journey) in pairs {
        if let Some(clock) = &clock {
            add_request(&mut timeline, &places, issued, journey, clock);
        }
    }
    timeline.sort();
    Joined { timeline, clock }
}

/// What is known without a gap: until the device could not write an event down.
fn whole(events: &[Event]) -> &[Event] {
    let gap = events
        .iter()
        .position(|event| matches!(event.what, What::Dropped { .. }));
    events.get(..gap.unwrap_or(events.len())).unwrap_or(events)
}

/// In the order of arrival.
fn journeys(events: &[Event]) -> Vec<Journey> {
    let mut steps = Steps::default();
    events.iter().for_each(|event| steps.take(event));
    let mut journeys = steps.end();
    journeys.sort_by_key(|journey| journey.request);
    journeys
}

/// A kind of request at a place: who has the same are told apart by their order.
type Key = (Place, u64);

fn key_of(journey: &Journey) -> Option<Key> {
    let write = match journey.operation {
        Operation::Read => false,
        Operation::Write => true,
        _ => return None,
    };
    let place = Place {
        write: Some(write),
        sector: journey.sector.0,
    };
    Some((place, journey.bytes))
}

/// The requests that both sides saw.
fn pair<'a>(issued: &'a [Issued], journeys: &'a [Journey]) -> Vec<(&'a Issued, &'a Journey)> {
    let mut arrived: HashMap<Key, VecDeque<&Journey>> = HashMap::new();
    for journey in journeys {
        if let Some(key) = key_of(journey) {
            arrived.entry(key).or_default().push_back(journey);
        }
    }
    let pairs = issued.iter().filter_map(|request| {
        let same = arrived.get_mut(&(request.place, request.bytes))?;
        Some((request, same.pop_front()?))
    });
    pairs.collect()
}

fn exchange(issued: &Issued, journey: &Journey) -> Option<Exchange> {
    Some(Exchange {
        issued: issued.at,
        taken: nanos(journey.arrived.0),
        written: nanos(journey.written?.at.0),
        completed: issued.completed?.0,
    })
}

/// Adds the guest's rows; returns when they end.
fn add_guest(timeline: &mut Timeline, guest: &Guest, clock: &GuestClock) -> i64 {
    timeline.rows.extend(guest.rows.clone());
    timeline.slices.extend(guest.slices.iter().map(|slice| {
        let (begin, end) = (clock.on_device(slice.begin), clock.on_device(slice.end));
        Slice {
            begin,
            end: end.max(begin),
            ..slice.clone()
        }
    }));
    let ends = timeline.slices.iter().map(|slice| slice.end);
    ends.max().unwrap_or(i64::MAX)
}

/// Where a request's steps are on the device's rows: by its number, its taking
/// and its publication.
type Places = HashMap<u64, (usize, Option<usize>)>;

/// Adds the device's rows.
fn draw_device(
    timeline: &mut Timeline,
    events: &[Event],
    journeys: &[Journey],
    until: i64,
) -> Places {
    let mut places = Places::default();
    let mut publications: HashMap<(u16, i64), usize> = HashMap::new();
    for journey in journeys {
        let (queue, arrived) = (journey.queue.0, nanos(journey.arrived.0));
        if arrived > until {
            continue;
        }
        let name = format!("take {}", journey.operation.name());
        let taken = add(timeline, queue, (arrived, arrived), Kind::Take, name);
        timeline.in_flight.push((arrived, queue, 1));
        let written = journey.written.map(|step| nanos(step.at.0));
        let published = journey.published.map(|step| nanos(step.at.0));
        let publication = written.zip(published).map(|(written, published)| {
            timeline.in_flight.push((published, queue, -1));
            // One slice for all that became visible together.
            let slice = *publications.entry((queue, published)).or_insert_with(|| {
                let name = Kind::Publish.name().to_owned();
                add(timeline, queue, (written, published), Kind::Publish, name)
            });
            if let Some(slice) = timeline.slices.get_mut(slice) {
                slice.begin = slice.begin.min(written);
            }
            slice
        });
        places.insert(journey.request.0, (taken, publication));
    }
    let meanwhile = events.iter().filter(|event| nanos(event.at.0) <= until);
    meanwhile.for_each(|event| draw_interrupt(timeline, event));
    places
}

/// Interrupts that the device wrote are moments.
fn draw_interrupt(timeline: &mut Timeline, event: &Event) {
    let at = nanos(event.at.0);
    let (queue, kind, name) = match &event.what {
        What::Signalled { queue, cause, .. } => {
            let name = match cause {
                Cause::Completion => "interrupt",
                Cause::Early => "interrupt, early",
                Cause::Rescue => "interrupt, rescue",
                Cause::Duplicate => "interrupt, duplicate",
            };
            (queue, Kind::Signal, name.to_owned())
        }
        What::Spurious { queue, count, .. } => (queue, Kind::Spurious, format!("{count} spurious")),
        _ => return,
    };
    add(timeline, queue.0, (at, at), kind, name);
}

/// Adds a slice to a queue's row.
fn add(timeline: &mut Timeline, queue: u16, span: (i64, i64), kind: Kind, name: String) -> usize {
    let row = Row::Queue(queue);
    let rows = &mut timeline.rows;
    rows.entry(row).or_insert_with(|| format!("queue {queue}"));
    timeline.slices.push(Slice {
        row,
        begin: span.0,
        end: span.1,
        kind,
        name,
        request: None,
    });
    timeline.slices.len() - 1
}

/// Adds a request with its way over the rows.
fn add_request(
    timeline: &mut Timeline,
    places: &Places,
    issued: &Issued,
    journey: &Journey,
    clock: &GuestClock,
) {
    let Some(&(taken, published)) = places.get(&journey.request.0) else {
        return;
    };
    let written = journey.written.map_or(0, |step| nanos(step.at.0));
    let steps = [
        Some((issued.slice, clock.on_device(issued.at))),
        Some((taken, nanos(journey.arrived.0))),
        published.map(|slice| (slice, written)),
        // Within its handler no sooner than it could be found.
        issued.completed.map(|(_, slice)| (slice, written)),
        issued
            .ended
            .map(|(at, slice, _)| (slice, clock.on_device(at))),
    ];
    let number = timeline.requests.len();
    for (slice, _) in [steps.first(), steps.get(1), steps.last()]
        .into_iter()
        .filter_map(|step| *step?)
    {
        if let Some(slice) = timeline.slices.get_mut(slice) {
            slice.request = Some(number);
        }
    }
    timeline.requests.push(Request {
        number: journey.request.0,
        operation: journey.operation,
        sector: journey.sector.0,
        bytes: journey.bytes,
        tagged: issued.ended.map(|(_, _, tagged)| tagged),
        way: steps.into_iter().flatten().collect(),
    });
}

#[cfg(test)]
mod tests {
    use super::super::{guest, samples};
    use super::*;

    fn joined() -> Joined {
        join(guest::follow(&samples::records()), &samples::events())
    }

    #[test]
    fn requests_go_from_their_issue_over_all_rows_to_their_bios_end() {
        let joined = joined();
        let ways: Vec<Vec<Kind>> = joined
            .timeline
            .requests
            .iter()
            .map(|request| {
                let slices = request.way.iter();
                slices
                    .map(|&(slice, _)| joined.timeline.slices[slice].kind)
                    .collect()
            })
            .collect();
        let way = [
            Kind::Issue,
            Kind::Take,
            Kind::Publish,
            Kind::Handler,
            Kind::End,
        ];
        assert_eq!(ways, [way, way]);
        assert_eq!(joined.timeline.requests[0].tagged, Some(true));
    }

    #[test]
    fn the_guests_times_are_the_devices_then() {
        let joined = joined();
        let clock = joined.clock.unwrap();
        assert_eq!((clock.exchanges, clock.contradiction), (2, 0.0));
        // The samples' guest is 12 s less 1 ms ahead.
        assert!(
            (clock.ahead - 11_999_000_000.0).abs() <= clock.error,
            "{clock:?}"
        );
        let (begin, end) = joined.timeline.span();
        assert!((900_000..1_100_000).contains(&begin) && end < 2_100_000);
    }

    #[test]
    fn without_a_request_in_common_the_device_is_alone() {
        let mut guest = guest::follow(&samples::records());
        guest.requests.clear();
        let joined = join(guest, &samples::events());
        assert_eq!(joined.clock, None);
        let rows: Vec<&Row> = joined.timeline.rows.keys().collect();
        assert_eq!(rows, [&Row::Queue(1)]);
    }

    #[test]
    fn nothing_is_paired_beyond_a_gap_of_the_devices() {
        let mut events = samples::events();
        events.insert(
            0,
            Event {
                at: events[0].at,
                what: What::Dropped { events: 3 },
            },
        );
        assert_eq!(
            join(guest::follow(&samples::records()), &events).clock,
            None
        );
    }
}
