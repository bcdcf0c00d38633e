// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A timeline: rows, what was on each and when, and the way of each request
//! through them. All times are the device's, in nanoseconds.

use std::collections::BTreeMap;

use irqstorm_core::request::Operation;

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Row {
    /// A queue of the device's.
    Queue(u16),
    /// An interrupt of the guest's.
    Vector(u32),
    /// A CPU of the guest's.
    Cpu(u32),
    /// A task of the guest's that handles completions, by its pid.
    Task(u32),
}

impl Row {
    /// Its group's place among the groups, and its own number within.
    pub(super) fn place(self) -> (u8, u32) {
        match self {
            Row::Queue(queue) => (0, queue.into()),
            Row::Vector(irq) => (1, irq),
            Row::Cpu(cpu) => (2, cpu),
            Row::Task(pid) => (3, pid),
        }
    }
}

/// What the groups of rows are called, in their order.
pub(super) const GROUPS: [&str; 4] = [
    "device: queues",
    "guest: interrupts",
    "guest: CPUs",
    "guest: workers",
];

/// The kinds of what is on rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The device took a request.
    Take,
    /// Completions were written into the ring and made visible.
    Publish,
    /// An interrupt was written for completions.
    Signal,
    /// Interrupts were written with nothing behind them.
    Spurious,
    /// A handler found something to do.
    Handler,
    /// A handler found nothing.
    Unclaimed,
    /// The guest gave a request to its driver.
    Issue,
    /// The guest found a request completed.
    Complete,
    /// A work was queued.
    Queued,
    /// A CPU ran a task that handles completions.
    Run,
    /// A worker was at a work.
    Work,
    /// Within a work: the worker did not have a CPU.
    Off,
    /// A bio ended.
    End,
}

impl Kind {
    /// Every kind, in the order of the rows that they are on.
    pub(super) const ALL: [Kind; 13] = [
        Kind::Take,
        Kind::Publish,
        Kind::Signal,
        Kind::Spurious,
        Kind::Handler,
        Kind::Unclaimed,
        Kind::Issue,
        Kind::Complete,
        Kind::Queued,
        Kind::Run,
        Kind::Work,
        Kind::Off,
        Kind::End,
    ];

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Take => "take",
            Kind::Publish => "publish",
            Kind::Signal => "interrupt",
            Kind::Spurious => "spurious interrupt",
            Kind::Handler => "handler",
            Kind::Unclaimed => "handler, nothing found",
            Kind::Issue => "issue",
            Kind::Complete => "complete",
            Kind::Queued => "queue work",
            Kind::Run => "runs",
            Kind::Work => "work",
            Kind::Off => "off CPU",
            Kind::End => "bio ends",
        }
    }
}

/// Something on a row, from a time to a time; they may be the same. Those of one
/// row lie within each other or apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) row: Row,
    pub(super) begin: i64,
    pub(super) end: i64,
    pub(super) kind: Kind,
    pub(super) name: String,
    /// The request that it is about.
    pub(super) request: Option<usize>,
}

/// A request that both sides saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The device's number for it.
    pub(super) number: u64,
    pub(super) operation: Operation,
    /// In sectors of 512 bytes.
    pub(super) sector: u64,
    pub(super) bytes: u64,
    /// Whether its bio was tagged, where the probe saw it end.
    pub(super) tagged: Option<bool>,
    /// Its way: each step a slice and a time within it.
    pub(super) way: Vec<(usize, i64)>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline {
    /// The rows and what they are called.
    pub(super) rows: BTreeMap<Row, String>,
    /// What is on them, in the order of `begin`; of two that begin together, the
    /// one that has the other within it first.
    pub(super) slices: Vec<Slice>,
    /// The requests that have a way.
    pub(super) requests: Vec<Request>,
    /// Changes of how many requests a queue has in flight: when, which, by what.
    pub(super) in_flight: Vec<(i64, u16, i64)>,
}

impl Timeline {
    /// Puts the slices in their order and within each other, and leaves out rows
    /// without any.
    pub(super) fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.slices.len()).collect();
        order.sort_by_key(|&index| {
            let span = self.slices.get(index).map(|slice| (slice.begin, slice.end));
            span.map(|(begin, end)| (begin, std::cmp::Reverse(end)))
        });
        let mut places = vec![0; order.len()];
        for (place, &index) in order.iter().enumerate() {
            if let Some(entry) = places.get_mut(index) {
                *entry = place;
            }
        }
        let mut slices: Vec<Option<Slice>> = self.slices.drain(..).map(Some).collect();
        self.slices = order
            .iter()
            .filter_map(|&index| slices.get_mut(index)?.take())
            .collect();
        for request in &mut self.requests {
            for (slice, _) in &mut request.way {
                *slice = places.get(*slice).copied().unwrap_or_default();
            }
        }
        self.in_flight.sort_unstable();
        let used = self.nest();
        self.rows.retain(|row, _| used.contains_key(row));
        let slices = &self.slices;
        self.requests
            .iter_mut()
            .for_each(|request| straighten(&mut request.way, slices));
    }

    /// Has no slice end after the one that it began in: clocks that are joined,
    /// and records that are missing, may have said so. Returns the rows.
    fn nest(&mut self) -> BTreeMap<Row, Vec<i64>> {
        let mut open: BTreeMap<Row, Vec<i64>> = BTreeMap::new();
        for slice in &mut self.slices {
            let ends = open.entry(slice.row).or_default();
            while ends.last().is_some_and(|end| *end <= slice.begin) {
                ends.pop();
            }
            let around = ends.last().copied().unwrap_or(i64::MAX);
            slice.end = slice.end.clamp(slice.begin, around.max(slice.begin));
            ends.push(slice.end);
        }
        open
    }

    /// When it begins and ends.
    pub(super) fn span(&self) -> (i64, i64) {
        let begin = self.slices.first().map_or(0, |slice| slice.begin);
        let end = self.slices.iter().map(|slice| slice.end).max();
        (begin, end.unwrap_or(begin))
    }
}

/// Has a way go forward, each step within its slice, as far as it can: a handler
/// may have begun before what it finds was there.
fn straighten(way: &mut Vec<(usize, i64)>, slices: &[Slice]) {
    let mut from = i64::MIN;
    let mut steps = 0;
    for (slice, at) in way.iter_mut() {
        let Some(slice) = slices.get(*slice) else {
            break;
        };
        *at = (*at).max(from).max(slice.begin);
        if *at > slice.end {
            break;
        }
        from = *at;
        steps += 1;
    }
    way.truncate(steps);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(begin: i64, end: i64) -> Slice {
        Slice {
            row: Row::Cpu(0),
            begin,
            end,
            kind: Kind::Run,
            name: String::new(),
            request: None,
        }
    }

    #[test]
    fn slices_are_put_within_each_other_and_ways_follow_them() {
        let mut timeline = Timeline {
            rows: [(Row::Cpu(0), "CPU 0"), (Row::Cpu(1), "CPU 1")]
                .map(|(row, name)| (row, name.to_owned()))
                .into(),
            slices: vec![slice(50, 70), slice(10, 20), slice(15, 40), slice(10, 60)],
            requests: vec![Request {
                number: 1,
                operation: Operation::Read,
                sector: 0,
                bytes: 512,
                tagged: None,
                way: vec![(3, 12), (1, 11), (2, 18), (0, 5)],
            }],
            in_flight: Vec::new(),
        };
        timeline.sort();
        let spans: Vec<(i64, i64)> = timeline
            .slices
            .iter()
            .map(|slice| (slice.begin, slice.end))
            .collect();
        assert_eq!(spans, [(10, 60), (10, 20), (15, 20), (50, 60)]);
        // No step goes back, and each is within its slice.
        let way = &timeline.requests[0].way;
        assert_eq!(*way, [(0, 12), (1, 12), (2, 18), (3, 50)]);
        assert_eq!(timeline.rows.len(), 1);
        assert_eq!(timeline.span(), (10, 60));
    }

    #[test]
    fn a_way_ends_where_it_would_go_back() {
        let slices = [slice(10, 20), slice(5, 8)];
        let mut way = vec![(0, 12), (1, 6)];
        straighten(&mut way, &slices);
        assert_eq!(way, [(0, 12)]);
    }

    #[test]
    fn every_kind_has_its_place() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }
}
