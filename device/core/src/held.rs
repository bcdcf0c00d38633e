// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Completions that wait for a release instead of a time.
//!
//! To hold one, to let one go, and to find the next that a selection names
//! cost the logarithm of how many are held; nothing that a selection's queues,
//! operations and sectors do not name is looked at. Where each is on the disk
//! is in an index of its own from the first selection by sector on: most are
//! held and let go without one, and it is the index in which nothing is next to
//! what came before it.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::iter::Peekable;

use crate::filter::{Filter, Span, Traits};
use crate::request::{Operation, QueueId, RequestId, Sector};
use crate::units::Nanos;

/// A held request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldRequest {
    /// What it is.
    pub traits: Traits,
    /// When it arrived.
    pub arrived: Nanos,
}

/// Which of the held ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pick {
    /// Those that it takes.
    pub filter: Filter,
    /// Only those that arrived by then.
    pub arrived_by: Option<Nanos>,
    /// The newest first, instead of the oldest.
    pub newest: bool,
    /// At most so many.
    pub most: usize,
}

/// Which requests are held.
#[derive(Debug, Default)]
pub struct Held {
    requests: BTreeMap<RequestId, HeldRequest>,
    classes: BTreeMap<(QueueId, Operation), BTreeSet<RequestId>>,
    places: OnceCell<BTreeSet<(Sector, RequestId)>>,
}

impl Held {
    /// Holds a request.
    pub fn insert(&mut self, request: RequestId, held: HeldRequest) {
        let Traits {
            queue,
            operation,
            sector,
            ..
        } = held.traits;
        self.requests.insert(request, held);
        let class = self.classes.entry((queue, operation)).or_default();
        class.insert(request);
        if let Some(places) = self.places.get_mut() {
            places.insert((sector, request));
        }
    }

    /// Lets one go.
    pub fn remove(&mut self, request: RequestId) -> Option<HeldRequest> {
        let held = self.requests.remove(&request)?;
        let class = (held.traits.queue, held.traits.operation);
        if let Some(requests) = self.classes.get_mut(&class) {
            requests.remove(&request);
            if requests.is_empty() {
                self.classes.remove(&class);
            }
        }
        if let Some(places) = self.places.get_mut() {
            places.remove(&(held.traits.sector, request));
        }
        Some(held)
    }

    /// One of them.
    pub fn get(&self, request: RequestId) -> Option<&HeldRequest> {
        self.requests.get(&request)
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Those that are picked, in the order that was asked for.
    pub fn pick(&self, pick: &Pick) -> Vec<(RequestId, HeldRequest)> {
        let good = |request: RequestId| {
            let held = *self.requests.get(&request)?;
            let by = pick.arrived_by.is_none_or(|by| held.arrived <= by);
            (by && pick.filter.takes(&held.traits)).then_some((request, held))
        };
        if let Some(lba) = pick.filter.lba {
            let mut found: Vec<_> = self.placed(lba.0).filter_map(good).collect();
            found.sort_unstable_by_key(|&(request, _)| request);
            if pick.newest {
                found.reverse();
            }
            found.truncate(pick.most);
            return found;
        }
        let classes = self.classes.iter().filter(|((queue, operation), _)| {
            pick.filter.queue.takes(queue) && pick.filter.operation.takes(operation)
        });
        let sets = classes.map(|(_, requests)| requests.iter().copied());
        match pick.newest {
            true => {
                let newest = sets.map(|set| set.rev().map(Reverse));
                let merged = Merged::new(newest).map(|Reverse(request)| request);
                merged.filter_map(good).take(pick.most).collect()
            }
            false => Merged::new(sets).filter_map(good).take(pick.most).collect(),
        }
    }

    /// Those that begin within a range.
    fn placed(&self, lba: Span) -> impl Iterator<Item = RequestId> {
        let from = (Sector(lba.from), RequestId(0));
        let within = move |&&(sector, _): &&(Sector, RequestId)| lba.has(sector.0);
        let all = self.places.get_or_init(|| {
            let all = self.requests.iter();
            all.map(|(&request, held)| (held.traits.sector, request))
                .collect()
        });
        let places = all.range(from..).take_while(within);
        places.map(|&(_, request)| request)
    }

    /// Forgets those of a queue.
    pub fn forget(&mut self, queue: QueueId) {
        let classes = self.classes.range((queue, Operation::ALL[0])..);
        let of_queue = classes.take_while(|((of, _), _)| *of == queue);
        let requests: Vec<RequestId> = of_queue.flat_map(|(_, set)| set).copied().collect();
        for request in requests {
            self.remove(request);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Held::default();
    }
}

/// Sorted sequences as one, of which only what is taken is looked at.
struct Merged<T: Ord, I: Iterator<Item = T>> {
    sources: Vec<Peekable<I>>,
    next: BinaryHeap<Reverse<(T, usize)>>,
}

impl<T: Ord, I: Iterator<Item = T>> Merged<T, I> {
    fn new(sources: impl Iterator<Item = I>) -> Merged<T, I> {
        let mut sources: Vec<Peekable<I>> = sources.map(Iterator::peekable).collect();
        let firsts = sources.iter_mut().enumerate();
        let next = firsts
            .filter_map(|(index, source)| Some(Reverse((source.next()?, index))))
            .collect();
        Merged { sources, next }
    }
}

impl<T: Ord, I: Iterator<Item = T>> Iterator for Merged<T, I> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let Reverse((item, index)) = self.next.pop()?;
        if let Some(following) = self.sources.get_mut(index).and_then(Iterator::next) {
            self.next.push(Reverse((following, index)));
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Choice;

    fn held(queue: u16, operation: Operation, sector: u64) -> HeldRequest {
        HeldRequest {
            traits: Traits {
                queue: QueueId(queue),
                operation,
                sector: Sector(sector),
                bytes: 512,
            },
            arrived: Nanos(sector),
        }
    }

    /// Requests 1 to 12 over three queues, reads and writes by turns, request
    /// n at sector 100 - n and at time 100 - n.
    fn twelve() -> Held {
        let mut all = Held::default();
        for number in 1..=12u64 {
            let operation = match number % 2 {
                0 => Operation::Read,
                _ => Operation::Write,
            };
            let queue = u16::try_from(number % 3).unwrap();
            all.insert(RequestId(number), held(queue, operation, 100 - number));
        }
        all
    }

    fn numbers(all: &Held, pick: Pick) -> Vec<u64> {
        let most = if pick.most == 0 {
            usize::MAX
        } else {
            pick.most
        };
        let picked = all.pick(&Pick { most, ..pick });
        picked.into_iter().map(|(request, _)| request.0).collect()
    }

    fn by(filter: Filter) -> Pick {
        Pick {
            filter,
            ..Pick::default()
        }
    }

    #[test]
    fn all_are_picked_oldest_first_or_newest_first() {
        let all = twelve();
        assert_eq!(numbers(&all, Pick::default()), (1..=12).collect::<Vec<_>>());
        let newest = Pick {
            newest: true,
            most: 3,
            ..Pick::default()
        };
        assert_eq!(numbers(&all, newest), [12, 11, 10]);
    }

    #[test]
    fn queues_operations_places_and_ages_pick_theirs() {
        let all = twelve();
        let queue = Choice::one(QueueId(1));
        let operation = Choice::one(Operation::Read);
        let reads_of_1 = Filter {
            queue,
            operation,
            ..Filter::default()
        };
        assert_eq!(numbers(&all, by(reads_of_1)), [4, 10]);
        let low = Filter {
            lba: Some("88..92".parse().unwrap()),
            ..Filter::default()
        };
        assert_eq!(numbers(&all, by(low.clone())), [9, 10, 11, 12]);
        let newest_low = Pick {
            newest: true,
            most: 2,
            ..by(low)
        };
        assert_eq!(numbers(&all, newest_low), [12, 11]);
        let old = Pick {
            arrived_by: Some(Nanos(90)),
            ..Pick::default()
        };
        assert_eq!(numbers(&all, old), [10, 11, 12]);
    }

    #[test]
    fn what_comes_and_goes_after_a_selection_by_sector_is_known_to_the_next() {
        let everywhere = || {
            by(Filter {
                lba: Some("0..1000000".parse().unwrap()),
                ..Filter::default()
            })
        };
        let mut all = twelve();
        assert_eq!(numbers(&all, everywhere()).len(), 12);
        all.remove(RequestId(3));
        all.insert(RequestId(13), held(1, Operation::Read, 77));
        let expected: Vec<u64> = (1..=13).filter(|&n| n != 3).collect();
        assert_eq!(numbers(&all, everywhere()), expected);
    }

    #[test]
    fn what_is_let_go_or_forgotten_is_in_no_index() {
        let mut all = twelve();
        all.pick(&by(Filter {
            lba: Some("0..1".parse().unwrap()),
            ..Filter::default()
        }));
        assert!(all.remove(RequestId(4)).is_some());
        assert!(all.remove(RequestId(4)).is_none());
        all.forget(QueueId(0));
        assert_eq!(numbers(&all, Pick::default()), [1, 2, 5, 7, 8, 10, 11]);
        all.forget(QueueId(1));
        all.forget(QueueId(2));
        assert!(all.is_empty() && all.classes.is_empty());
        assert!(all.places.get().is_some_and(BTreeSet::is_empty));
    }
}
