// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Which ids of requests are in flight, and which were completed before: what a
//! hostile device needs to name one that is long gone.

/// Completed ids that are remembered.
const REMEMBERED: usize = 16;

/// The ids of one queue.
#[derive(Debug)]
pub struct Past {
    /// A bit for each id that the device has.
    in_flight: Vec<u64>,
    /// The oldest of them is at `next`, once there are so many.
    completed: [u16; REMEMBERED],
    next: usize,
    count: usize,
}

impl Default for Past {
    fn default() -> Past {
        Past {
            in_flight: vec![0; (usize::from(u16::MAX) + 1) / 64],
            completed: [0; REMEMBERED],
            next: 0,
            count: 0,
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
        self.completed[self.next] = id;
        self.next = (self.next + 1) % REMEMBERED;
        self.count = REMEMBERED.min(self.count + 1);
    }

    /// The id that was completed longest ago, of those that are remembered and
    /// not in flight again.
    pub fn stale(&self) -> Option<u16> {
        let is_gone = |&&id: &&u16| {
            let (word, bit) = Past::word(id);
            self.in_flight.get(word).is_none_or(|word| word & bit == 0)
        };
        let (newer, older) = self.completed.split_at(self.next);
        let older = &older[..self.count - newer.len().min(self.count)];
        older.iter().chain(newer).find(is_gone).copied()
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
