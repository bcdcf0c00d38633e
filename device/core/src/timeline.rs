// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is due when: a queue of things ordered by their time, and among equal
//! times by who was put in first.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::units::Nanos;

/// Things ordered by when they are due. Putting in and taking out cost the
/// logarithm of how many there are; nothing is ever scanned.
#[derive(Debug)]
pub struct Timeline<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    next_order: u64,
}

#[derive(Debug)]
struct Entry<T> {
    due: Nanos,
    order: u64,
    item: T,
}

impl<T> Entry<T> {
    fn key(&self) -> (Nanos, u64) {
        (self.due, self.order)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Entry<T>) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Entry<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Entry<T>) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl<T> Default for Timeline<T> {
    fn default() -> Timeline<T> {
        Timeline {
            heap: BinaryHeap::new(),
            next_order: 0,
        }
    }
}

impl<T> Timeline<T> {
    /// Puts a thing in.
    pub fn insert(&mut self, due: Nanos, item: T) {
        let order = self.next_order;
        self.next_order += 1;
        self.heap.push(Reverse(Entry { due, order, item }));
    }

    /// When the first of them is due.
    pub fn next_due(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse(entry)| entry.due)
    }

    /// Takes the first thing that is due at `now` or before, with its time.
    pub fn pop_due(&mut self, now: Nanos) -> Option<(Nanos, T)> {
        self.next_due().filter(|&due| due <= now)?;
        self.heap
            .pop()
            .map(|Reverse(entry)| (entry.due, entry.item))
    }

    /// How many things there are.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.heap.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_out_by_time_then_by_arrival() {
        let mut timeline = Timeline::default();
        for (due, name) in [(5, "b"), (3, "a"), (5, "c"), (9, "d")] {
            timeline.insert(Nanos(due), name);
        }
        assert_eq!(timeline.next_due(), Some(Nanos(3)));
        let mut out = Vec::new();
        while let Some((_, name)) = timeline.pop_due(Nanos(5)) {
            out.push(name);
        }
        assert_eq!(out, ["a", "b", "c"]);
        assert_eq!(timeline.next_due(), Some(Nanos(9)));
    }
}
