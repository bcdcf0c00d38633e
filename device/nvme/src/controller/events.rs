// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Asynchronous events: what the controller has to say unasked, and the
//! requests that it says it with (5.2).

use std::collections::VecDeque;

/// Requests that can wait at once (5.17.2.1, AERL counts from 0).
pub(super) const MAX_REQUESTS: u8 = 4;

/// An event: all there are here are errors of a driver's doorbells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A doorbell of no queue was written.
    InvalidDoorbell,
    /// A doorbell was written with what its queue does not have.
    InvalidDoorbellValue,
}

impl Event {
    /// Dword 0 of the completion: type 0 (error), what it is, and the log page
    /// that tells more (Figures 145 and 146).
    fn result(self) -> u32 {
        let information = match self {
            Event::InvalidDoorbell => 0x00,
            Event::InvalidDoorbellValue => 0x01,
        };
        u32::from(super::logs::ERRORS) << 16 | information << 8
    }
}

/// Requests that wait, or an event that does.
#[derive(Debug, Default)]
pub(super) struct AsyncEvents {
    requests: VecDeque<u16>,
    event: Option<Event>,
    /// Events of this type wait until their log page was read.
    masked: bool,
}

impl AsyncEvents {
    /// Takes a request; false if there are too many.
    pub(super) fn request(&mut self, command_id: u16) -> bool {
        let room = self.requests.len() < usize::from(MAX_REQUESTS);
        if room {
            self.requests.push_back(command_id);
        }
        room
    }

    /// Gives a request up; false if there is none of this id.
    pub(super) fn take_back(&mut self, command_id: u16) -> bool {
        let before = self.requests.len();
        self.requests.retain(|&waiting| waiting != command_id);
        self.requests.len() < before
    }

    /// Something has happened. What happens before it was told is the same.
    pub(super) fn happened(&mut self, event: Event) {
        self.event.get_or_insert(event);
    }

    /// The log page was read.
    pub(super) fn unmask(&mut self) {
        self.masked = false;
    }

    /// The request to be completed now, if there is one, and its result.
    pub(super) fn due(&mut self) -> Option<(u16, u32)> {
        if self.masked || self.event.is_none() {
            return None;
        }
        let command_id = self.requests.pop_front()?;
        let event = self.event.take()?;
        self.masked = true;
        Some((command_id, event.result()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_once_and_the_next_when_its_log_was_read() {
        let mut events = AsyncEvents::default();
        events.happened(Event::InvalidDoorbellValue);
        assert_eq!(events.due(), None, "nobody has asked");
        for id in 0..4 {
            assert!(events.request(id));
        }
        assert!(!events.request(4));
        assert_eq!(events.due(), Some((0, 0x01_0100)));
        events.happened(Event::InvalidDoorbell);
        assert_eq!(events.due(), None);
        events.unmask();
        assert_eq!(events.due(), Some((1, 0x01_0000)));
    }
}
