// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Whether requests are looked for, or waited for until the driver kicks.
//!
//! To look in vain costs a CPU, perhaps the very one that the driver needs to
//! make its next request: who looks on it keeps it from coming. So where
//! looking finds nothing some times in a row, it is left out for a while.

use std::str::FromStr;

use irqstorm_core::units::Nanos;

/// The longest time that can be asked for: a CPU is taken meanwhile.
const LONGEST: Nanos = Nanos::from_millis(1000);

/// So many times in vain, and it is left out after that many kicks...
const IN_VAIN: u32 = 3;

/// ...twice as many after each more, up to two to the power of this.
const LONGEST_REST: u32 = 10;

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
    /// Whether any were found since it began.
    found: bool,
    /// How often in a row none were.
    in_vain: u32,
    /// For how many kicks more it is left out.
    rest: u32,
}

impl Polling {
    /// Nothing is looked for before the first kick.
    pub(crate) fn new(poll: Poll) -> Polling {
        Polling {
            poll,
            until: None,
            found: false,
            in_vain: 0,
            rest: 0,
        }
    }

    /// Whether it is asked for at all.
    pub(crate) fn is_used(&self) -> bool {
        self.poll != Poll::Off
    }

    /// Whether requests are looked for.
    pub(crate) fn is_on(&self) -> bool {
        self.until.is_some()
    }

    /// A driver has kicked; whether that begins it.
    pub(crate) fn begin(&mut self, now: Nanos) -> bool {
        let was_on = self.is_on();
        if !was_on && self.rest > 0 {
            self.rest -= 1;
            return false;
        }
        self.look_from(now);
        self.is_on() && !was_on
    }

    /// Requests were found.
    pub(crate) fn extend(&mut self, now: Nanos) {
        self.found = true;
        self.look_from(now);
    }

    fn look_from(&mut self, now: Nanos) {
        if let Poll::For(time) = self.poll {
            self.until = Some(now + time);
        }
    }

    /// Whether none have come for long enough; they are waited for then.
    pub(crate) fn is_over(&mut self, now: Nanos) -> bool {
        let over = self.until.take_if(|until| now >= *until).is_some();
        if over {
            self.in_vain = if self.found { 0 } else { self.in_vain + 1 };
            let beyond = self.in_vain.checked_sub(IN_VAIN);
            self.rest = beyond.map_or(0, |beyond| IN_VAIN << beyond.min(LONGEST_REST));
            self.found = false;
        }
        over
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

    /// Begins, and finds something or not; whether it began.
    fn look(polling: &mut Polling, finds: bool) -> bool {
        let begun = polling.begin(Nanos(0));
        if begun {
            if finds {
                polling.extend(Nanos(5));
            }
            assert!(polling.is_over(Nanos(99)));
        }
        begun
    }

    #[test]
    fn where_it_finds_nothing_it_is_left_out_for_longer_and_longer() {
        let mut polling = Polling::new(Poll::For(Nanos(10)));
        let looks: Vec<bool> = (0..16).map(|_| look(&mut polling, false)).collect();
        let begun = looks.iter().enumerate().filter(|&(_, &begun)| begun);
        let kicks: Vec<usize> = begun.map(|(kick, _)| kick).collect();
        assert_eq!(kicks, [0, 1, 2, 6, 13]);
    }

    #[test]
    fn where_it_finds_something_again_it_is_not_left_out_any_more() {
        let mut polling = Polling::new(Poll::For(Nanos(10)));
        assert!((0..3).all(|_| look(&mut polling, false)));
        assert!((0..3).all(|_| !look(&mut polling, true)));
        assert!((0..9).all(|_| look(&mut polling, true)));
    }

    #[test]
    fn it_never_begins_where_it_is_off() {
        let mut polling = Polling::new(Poll::Off);
        assert!(!polling.begin(Nanos(5)));
        assert!(!polling.is_on());
    }
}
