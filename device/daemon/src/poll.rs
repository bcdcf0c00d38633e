// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Whether requests are looked for, or waited for until the driver kicks.

use std::str::FromStr;

use irqstorm_core::units::Nanos;

/// The longest time that can be asked for: a CPU is taken meanwhile.
const LONGEST: Nanos = Nanos::from_millis(1000);

/// What `--poll` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poll {
    /// They are waited for.
    Off,
    /// For so long after each.
    For(Nanos),
}

/// A text that is neither.
#[derive(Debug, thiserror::Error)]
#[error("write off, or a time above 0 and at most {LONGEST}, as in 50us")]
pub(crate) struct PollError;

impl FromStr for Poll {
    type Err = PollError;

    fn from_str(text: &str) -> Result<Poll, PollError> {
        if text == "off" {
            return Ok(Poll::Off);
        }
        match text.parse::<Nanos>() {
            Ok(time) if time > Nanos::ZERO && time <= LONGEST => Ok(Poll::For(time)),
            _ => Err(PollError),
        }
    }
}

/// What is made of it as requests come.
pub(crate) struct Polling {
    poll: Poll,
    /// Until when, if they are looked for at present.
    until: Option<Nanos>,
}

impl Polling {
    /// Nothing is looked for before the first kick.
    pub(crate) fn new(poll: Poll) -> Polling {
        Polling { poll, until: None }
    }

    /// Whether requests are looked for.
    pub(crate) fn is_on(&self) -> bool {
        self.until.is_some()
    }

    /// A driver has kicked; whether that begins it.
    pub(crate) fn begin(&mut self, now: Nanos) -> bool {
        let was_on = self.is_on();
        self.extend(now);
        self.is_on() && !was_on
    }

    /// Requests have come.
    pub(crate) fn extend(&mut self, now: Nanos) {
        if let Poll::For(time) = self.poll {
            self.until = Some(now + time);
        }
    }

    /// Whether none have come for long enough; they are waited for then.
    pub(crate) fn is_over(&mut self, now: Nanos) -> bool {
        self.until.take_if(|until| now >= *until).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_say_how_long_are_read_and_others_refused() {
        assert_eq!("off".parse::<Poll>().unwrap(), Poll::Off);
        let time = Poll::For(Nanos::from_micros(50));
        assert_eq!("50us".parse::<Poll>().unwrap(), time);
        for text in ["", "on", "auto", "0us", "2s", "50"] {
            assert!(text.parse::<Poll>().is_err(), "{text}");
        }
    }

    #[test]
    fn it_lasts_from_a_kick_to_so_long_after_the_last_request() {
        let mut polling = Polling::new(Poll::For(Nanos(10)));
        assert!(!polling.is_on());
        assert!(polling.begin(Nanos(5)));
        assert!(!polling.begin(Nanos(6)), "it has begun already");
        assert!(!polling.is_over(Nanos(15)));
        polling.extend(Nanos(15));
        assert!(!polling.is_over(Nanos(24)));
        assert!(polling.is_over(Nanos(25)));
        assert!(!polling.is_on());
    }

    #[test]
    fn it_never_begins_where_it_is_off() {
        let mut polling = Polling::new(Poll::Off);
        assert!(!polling.begin(Nanos(5)));
        assert!(!polling.is_on());
    }
}
