// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Whether requests are looked for, or waited for until the driver kicks.
//!
//! To look in vain costs a CPU, perhaps the very one that the driver needs to
//! make its next request: who looks on it keeps it from coming. So where
//! looking finds nothing some times in a row, it is left out for a while.
//!
//! A driver whose doorbells are mapped kicks nobody. Its queues are looked into
//! all the time while there is work, and at a slow tick when there was none for
//! a while.

use std::str::FromStr;

use irqstorm_core::units::Nanos;

/// The longest time that can be asked for: a CPU is taken meanwhile.
const LONGEST: Nanos = Nanos::from_millis(1000);

/// So many times in vain, and it is left out after that many kicks...
const IN_VAIN: u32 = 3;

/// ...twice as many after each more, up to two to the power of this.
const LONGEST_REST: u32 = 10;
/// How long is looked for requests of a driver that does not kick, unless it
/// was said: longer than most pauses within a load, and shorter than a tick.
const CHOSEN: Nanos = Nanos::from_micros(500);

/// From one look to the next for requests of a driver that does not kick, when
/// there were none for so long: what a request then waits at most, and some
/// thousand wake-ups a second of an idle device.
const TICK: Nanos = Nanos::from_millis(1);

/// What `--poll` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poll {
    /// Where the driver does not kick.
    Auto,
    /// They are waited for.
    Off,
    /// For so long after each.
    For(Nanos),
}

/// A text that is neither.
#[derive(Debug, thiserror::Error)]
#[error("write auto, off, or a time above 0 and at most {LONGEST}, as in 50us")]
pub(crate) struct PollError;

impl FromStr for Poll {
    type Err = PollError;

    fn from_str(text: &str) -> Result<Poll, PollError> {
        match text {
            "auto" => return Ok(Poll::Auto),
            "off" => return Ok(Poll::Off),
            _ => {}
        }
        match text.parse::<Nanos>() {
            Ok(time) if time > Nanos::ZERO && time <= LONGEST => Ok(Poll::For(time)),
            _ => Err(PollError),
        }
    }
}

/// Whether a driver says that there are requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kicks {
    /// It does.
    Come,
    /// It says so where nobody is told.
    Never,
}

/// What is made of it as requests come.
pub(crate) struct Polling {
    /// How long after a request, if at all.
    time: Option<Nanos>,
    /// Until when, if they are looked for at present.
    until: Option<Nanos>,
    /// Whether any were found since it began.
    found: bool,
    /// How often in a row none were.
    in_vain: u32,
    /// For how many kicks more it is left out.
    rest: u32,
    /// When there is to be a look although nobody has kicked, if ever.
    next_look: Option<Nanos>,
}

impl Polling {
    /// Nothing is looked for before the first kick, or tick.
    pub(crate) fn new(poll: Poll, kicks: Kicks) -> Polling {
        let ticks = kicks == Kicks::Never;
        Polling {
            time: match poll {
                Poll::For(time) => Some(time),
                Poll::Auto => ticks.then_some(CHOSEN),
                Poll::Off => None,
            },
            until: None,
            found: false,
            in_vain: 0,
            rest: 0,
            next_look: ticks.then_some(Nanos::ZERO),
        }
    }

    /// Whether it is asked for at all.
    pub(crate) fn is_used(&self) -> bool {
        self.time.is_some()
    }

    /// When the next tick is, unless requests are looked for anyway.
    pub(crate) fn next_look(&self) -> Option<Nanos> {
        self.next_look.filter(|_| !self.is_on())
    }

    /// Whether it is time for one; the next is a tick later.
    pub(crate) fn is_time_to_look(&mut self, now: Nanos) -> bool {
        let is_time = self.next_look().is_some_and(|at| now >= at);
        if is_time {
            self.next_look = Some(now + TICK);
        }
        is_time
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
        if let Some(time) = self.time {
            self.until = Some(now + time);
        }
    }

    /// Whether none have come for long enough; they are waited for then.
    pub(crate) fn is_over(&mut self, now: Nanos) -> bool {
        let is_over = self.until.take_if(|until| now >= *until).is_some();
        if is_over {
            self.next_look = self.next_look.map(|_| now + TICK);
            self.count_vain();
        }
        is_over
    }

    /// Leaves the looking out for a while if it has been in vain too often. A
    /// driver that does not kick would wait for ticks meanwhile.
    fn count_vain(&mut self) {
        self.in_vain = match self.found || self.next_look.is_some() {
            true => 0,
            false => self.in_vain + 1,
        };
        let beyond = self.in_vain.checked_sub(IN_VAIN);
        self.rest = beyond.map_or(0, |beyond| IN_VAIN << beyond.min(LONGEST_REST));
        self.found = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_say_how_long_are_read_and_others_refused() {
        assert_eq!("off".parse::<Poll>().unwrap(), Poll::Off);
        assert_eq!("auto".parse::<Poll>().unwrap(), Poll::Auto);
        let time = Poll::For(Nanos::from_micros(50));
        assert_eq!("50us".parse::<Poll>().unwrap(), time);
        for text in ["", "on", "0us", "2s", "50"] {
            assert!(text.parse::<Poll>().is_err(), "{text}");
        }
    }

    #[test]
    fn it_lasts_from_a_kick_to_so_long_after_the_last_request() {
        let mut polling = Polling::new(Poll::For(Nanos(10)), Kicks::Come);
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
        let mut polling = Polling::new(Poll::For(Nanos(10)), Kicks::Come);
        let looks: Vec<bool> = (0..16).map(|_| look(&mut polling, false)).collect();
        let begun = looks.iter().enumerate().filter(|&(_, &begun)| begun);
        let kicks: Vec<usize> = begun.map(|(kick, _)| kick).collect();
        assert_eq!(kicks, [0, 1, 2, 6, 13]);
    }

    #[test]
    fn where_it_finds_something_again_it_is_not_left_out_any_more() {
        let mut polling = Polling::new(Poll::For(Nanos(10)), Kicks::Come);
        assert!((0..3).all(|_| look(&mut polling, false)));
        assert!((0..3).all(|_| !look(&mut polling, true)));
        assert!((0..9).all(|_| look(&mut polling, true)));
    }

    #[test]
    fn it_never_begins_where_it_is_off() {
        for poll in [Poll::Off, Poll::Auto] {
            let mut polling = Polling::new(poll, Kicks::Come);
            assert!(!polling.begin(Nanos(5)));
            assert!(!polling.is_on());
            assert_eq!(polling.next_look(), None);
        }
    }

    #[test]
    fn a_driver_that_does_not_kick_is_looked_at_every_tick_and_after_its_requests_always() {
        let mut polling = Polling::new(Poll::Auto, Kicks::Never);
        assert!(polling.is_time_to_look(Nanos(7)));
        assert!(!polling.is_time_to_look(TICK));
        let now = TICK + Nanos(7);
        assert!(polling.is_time_to_look(now));
        assert!(polling.begin(now));
        assert_eq!(polling.next_look(), None, "it is looked at anyway");
        let over = now + CHOSEN;
        assert!(polling.is_over(over));
        assert_eq!(polling.next_look(), Some(over + TICK));
        let mut ticking = Polling::new(Poll::Off, Kicks::Never);
        assert!(ticking.is_time_to_look(Nanos(7)));
        assert!(!ticking.begin(Nanos(7)));
        assert_eq!(ticking.next_look(), Some(Nanos(7) + TICK));
    }
}
