// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Which ids of requests are in flight, and which were completed before: what a
//! hostile device needs to name one that is long gone.

use std::collections::VecDeque;

/// Completed ids that are remembered.
const REMEMBERED: usize = 16;

/// The ids of one queue.
#[derive(Debug)]
pub struct Past {
    /// A bit for each id that the device has.
    in_flight: Vec<u64>,
    completed: VecDeque<u16>,
}

impl Default for Past {
    fn default() -> Past {
        Past {
            in_flight: vec![0; (usize::from(u16::MAX) + 1) / 64],
            completed: VecDeque::with_capacity(REMEMBERED),
        }
    }
}

impl Past {
    fn word(id: u16) -> (usize, u64) {
        (usize::from(id / 64), 1 << (id % 64))
    }

    /// The device has a request of this id.
    pub fn taken(&mut self, id: u16) {
        let (word, bit) = Past::word(id);
        if let Some(word) = self.in_flight.get_mut(word) {
            *word |= bit;
        }
    }

    /// It has it no more.
    pub fn completed(&mut self, id: u16) {
        let (word, bit) = Past::word(id);
        if let Some(word) = self.in_flight.get_mut(word) {
            *word &= !bit;
        }
        if self.completed.len() == REMEMBERED {
            self.completed.pop_front();
        }
        self.completed.push_back(id);
    }

    /// The id that was completed longest ago, of those that are remembered and
    /// not in flight again.
    pub fn stale(&self) -> Option<u16> {
        let is_gone = |&&id: &&u16| {
            let (word, bit) = Past::word(id);
            self.in_flight.get(word).is_none_or(|word| word & bit == 0)
        };
        self.completed.iter().find(is_gone).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_is_not_in_flight_again_is_named() {
        let mut past = Past::default();
        assert_eq!(past.stale(), None);
        past.taken(7);
        assert_eq!(past.stale(), None, "in flight for the first time");
        past.completed(7);
        past.taken(u16::MAX);
        past.completed(u16::MAX);
        assert_eq!(past.stale(), Some(7));
        past.taken(7);
        assert_eq!(past.stale(), Some(u16::MAX), "7 is in flight again");
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let mut past = Past::default();
        for id in 0..20 {
            past.taken(id);
            past.completed(id);
        }
        assert_eq!(past.stale(), Some(4));
    }
}
