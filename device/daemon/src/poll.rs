// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Whether requests are looked for, or waited for until the driver kicks.
//!
//! After a request the next is often near, and has to be waited for as long as
//! the driver takes to wake up and ask for it: to look for it meanwhile spares
//! the device a wake-up of its own, and the driver its kick. To look in vain
//! costs a CPU, perhaps the very one that the driver needs to make its next
//! request: who looks on it keeps it from coming. So where looking finds nothing
//! some times in a row, it is left out for a while.
//!
//! Left out, or off, there still is one look at all queues after each request,
//! before drivers are asked to kick again: who has come while others were served
//! is found by it, and need not.
//!
//! A driver whose doorbells are mapped kicks nobody. Its queues are looked into
//! all the time while there is work, and at a slow tick when there was none for
//! a while. Where others want the CPU, which shows in looks that come late, it
//! is left to them between two looks. Where a look finds many requests at once
//! the loop even sleeps a little before the next: so many are in flight then
//! that none is missed, and the driver has a CPU to make them on.

use std::str::FromStr;

use irqstorm_core::event::Floor;
use irqstorm_core::units::Nanos;

/// The longest time that can be asked for: a CPU is taken meanwhile.
const LONGEST: Nanos = Nanos::from_millis(1000);

/// So many times in vain, and it is left out after that many kicks...
const IN_VAIN: u32 = 3;

/// ...twice as many after each more, up to two to the power of this.
const LONGEST_REST: u32 = 10;

/// For as many wake-ups is looked for requests of a driver that kicks, unless it
/// was said: its own, before it can ask again, what it does then, and the one
/// that the device is spared.
const WAKEUPS: u64 = 4;

/// The longest time for it.
const LONGEST_CHOSEN: Nanos = Nanos::from_micros(50);

/// How long is looked for requests of a driver that does not kick, unless it
/// was said: longer than most pauses within a load, and shorter than a tick.
const CHOSEN: Nanos = Nanos::from_micros(500);

/// From one look to the next for requests of a driver that does not kick, when
/// there were none for so long: what a request then waits at most, and some
/// thousand wake-ups a second of an idle device.
const TICK: Nanos = Nanos::from_millis(1);

/// From one look to the next where the CPU is shared and requests are many. The
/// wake-up's own time comes on top.
const NAP: Nanos = Nanos::from_micros(20);

/// So many requests found by one look are.
const MANY: u64 = 8;

/// A look that comes so long after the one before shows that the CPU is shared:
/// nothing but looks is in between.
const LATE: Nanos = Nanos::from_micros(200);

/// For how long it is taken as shared.
const SHARED: Nanos = Nanos::from_millis(200);

/// What `--poll` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poll {
    /// For as long as a few wake-ups take after each, or longer where the driver
    /// does not kick.
    Auto,
    /// They are waited for, after one look.
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
    /// How long after a request, if for longer than once.
    time: Option<Nanos>,
    kicks: Kicks,
    /// Whether it makes room for others: it was not told how long to look.
    makes_room: bool,
    /// Until when, if they are looked for at present.
    until: Option<Nanos>,
    /// Whether for so long then, or once after each.
    long: bool,
    /// When there was a look that found none, if nothing was done since.
    looked: Option<Nanos>,
    /// Whether any were found since it began.
    found: bool,
    /// How often in a row none were.
    in_vain: u32,
    /// For how many kicks more it is left out.
    rest: u32,
    /// When there is to be a look although nobody has kicked, if ever.
    next_look: Option<Nanos>,
    /// Until when looks are a nap apart rather than a tick.
    napping_until: Nanos,
    /// Until when others are taken to want the CPU.
    shared_until: Nanos,
}

impl Polling {
    /// Nothing is looked for before the first kick, or tick.
    pub(crate) fn new(poll: Poll, kicks: Kicks, floor: Floor) -> Polling {
        let chosen = match kicks {
            Kicks::Come => Nanos(floor.wakeup_p50.0.saturating_mul(WAKEUPS)).min(LONGEST_CHOSEN),
            Kicks::Never => CHOSEN,
        };
        Polling {
            time: match poll {
                Poll::For(time) => Some(time),
                Poll::Auto => Some(chosen).filter(|&time| time > Nanos::ZERO),
                Poll::Off => None,
            },
            kicks,
            makes_room: poll == Poll::Auto,
            until: None,
            long: false,
            looked: None,
            found: false,
            in_vain: 0,
            rest: 0,
            next_look: (kicks == Kicks::Never).then_some(Nanos::ZERO),
            napping_until: Nanos::ZERO,
            shared_until: Nanos::ZERO,
        }
    }

    /// When the next tick is, unless requests are looked for anyway.
    pub(crate) fn next_look(&self) -> Option<Nanos> {
        self.next_look.filter(|_| !self.is_on())
    }

    /// Whether it is time for one; the next is a tick later, or a nap.
    pub(crate) fn is_time_to_look(&mut self, now: Nanos) -> bool {
        let is_time = self.next_look().is_some_and(|at| now >= at);
        if is_time {
            self.plan_look(now);
        }
        is_time
    }

    fn plan_look(&mut self, now: Nanos) {
        let gap = match now < self.napping_until {
            true => NAP,
            false => TICK,
        };
        self.next_look = self.next_look.map(|_| now + gap);
    }

    /// Whether requests are looked for.
    pub(crate) fn is_on(&self) -> bool {
        self.until.is_some()
    }

    /// A driver has kicked, or a look has found something; whether that begins
    /// it.
    pub(crate) fn begin(&mut self, now: Nanos, found: u64) -> bool {
        let was_on = self.is_on();
        if !was_on {
            self.long = self.time.is_some() && self.rest == 0;
            self.rest = self.rest.saturating_sub(1);
            self.found = false;
        }
        self.look_from(now, found);
        self.is_on() && !was_on
    }

    /// So many requests were found.
    pub(crate) fn extend(&mut self, now: Nanos, found: u64) {
        self.found = true;
        self.look_from(now, found);
    }

    /// Whether others are to have the CPU between two looks, if they want it.
    pub(crate) fn is_shared(&self, now: Nanos) -> bool {
        self.kicks == Kicks::Never && now < self.shared_until
    }

    /// Looks follow each other from now on: something else was done before.
    pub(crate) fn look_afresh(&mut self) {
        self.looked = None;
    }

    fn look_from(&mut self, now: Nanos, found: u64) {
        match self.is_shared(now) && found >= MANY {
            true => self.nap_from(now),
            false => self.until = Some(now + self.lasts()),
        }
    }

    fn lasts(&self) -> Nanos {
        self.time.filter(|_| self.long).unwrap_or(Nanos::ZERO)
    }

    fn nap_from(&mut self, now: Nanos) {
        self.until = None;
        self.napping_until = now + self.lasts();
        self.plan_look(now);
    }

    /// There was another look that found nothing. Whether none have come for
    /// long enough, or a driver that kicks wants the CPU: they are waited for
    /// then.
    pub(crate) fn is_over(&mut self, now: Nanos) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        let before = self.looked.replace(now);
        let is_late = before.is_some_and(|before| now.since(before) > LATE) && self.makes_room;
        if is_late {
            self.shared_until = now + SHARED;
        }
        if now < until && !(is_late && self.kicks == Kicks::Come) {
            return false;
        }
        self.until = None;
        match self.kicks {
            Kicks::Come if self.long => self.count_vain(is_late),
            Kicks::Come => {}
            Kicks::Never if self.is_shared(now) => self.nap_from(now),
            Kicks::Never => self.plan_look(now),
        }
        true
    }

    /// Leaves the looking out for a while if it has been in vain too often.
    fn count_vain(&mut self, is_late: bool) {
        self.in_vain = match self.found && !is_late {
            true => 0,
            false => self.in_vain + 1,
        };
        let beyond = self.in_vain.checked_sub(IN_VAIN);
        self.rest = beyond.map_or(0, |beyond| IN_VAIN << beyond.min(LONGEST_REST));
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

    fn of(poll: Poll, kicks: Kicks, wakeup: Nanos) -> Polling {
        let floor = Floor {
            wakeup_p50: wakeup,
            ..Floor::default()
        };
        Polling::new(poll, kicks, floor)
    }

    fn kicked(poll: Poll) -> Polling {
        of(poll, Kicks::Come, Nanos(7))
    }

    fn unkicked(poll: Poll) -> Polling {
        of(poll, Kicks::Never, Nanos(7))
    }

    #[test]
    fn unless_told_otherwise_it_lasts_as_long_as_a_few_wake_ups() {
        for (wakeup, lasts) in [(Nanos(7), Nanos(28)), (LONGEST, LONGEST_CHOSEN)] {
            let mut polling = of(Poll::Auto, Kicks::Come, wakeup);
            assert!(polling.begin(Nanos(0), 1));
            assert!(!polling.is_over(lasts - Nanos(1)));
            assert!(polling.is_over(lasts));
        }
        let mut unknown = of(Poll::Auto, Kicks::Come, Nanos::ZERO);
        assert!(unknown.begin(Nanos(0), 1));
        assert!(unknown.is_over(Nanos(0)), "no wake-up was measured");
    }

    #[test]
    fn it_lasts_from_a_kick_to_so_long_after_the_last_request() {
        let mut polling = kicked(Poll::For(Nanos(10)));
        assert!(!polling.is_on());
        assert!(polling.begin(Nanos(5), 1));
        assert!(!polling.begin(Nanos(6), 1), "it has begun already");
        assert!(!polling.is_over(Nanos(15)));
        polling.extend(Nanos(15), 1);
        assert!(!polling.is_over(Nanos(24)));
        assert!(polling.is_over(Nanos(25)));
        assert!(!polling.is_on());
    }

    /// Begins, and finds something or not; whether for longer than one look.
    fn look(polling: &mut Polling, finds: bool) -> bool {
        assert!(polling.begin(Nanos(0), 1));
        let long = !polling.is_over(Nanos(0));
        if long {
            if finds {
                polling.extend(Nanos(5), 1);
            }
            assert!(polling.is_over(Nanos(99)));
        }
        long
    }

    #[test]
    fn where_it_finds_nothing_it_is_left_out_for_longer_and_longer() {
        let mut polling = kicked(Poll::For(Nanos(10)));
        let looks: Vec<bool> = (0..16).map(|_| look(&mut polling, false)).collect();
        let long = looks.iter().enumerate().filter(|&(_, &long)| long);
        let kicks: Vec<usize> = long.map(|(kick, _)| kick).collect();
        assert_eq!(kicks, [0, 1, 2, 6, 13]);
    }

    #[test]
    fn where_it_finds_something_again_it_is_not_left_out_any_more() {
        let mut polling = kicked(Poll::For(Nanos(10)));
        assert!((0..3).all(|_| look(&mut polling, false)));
        assert!((0..3).all(|_| !look(&mut polling, true)));
        assert!((0..9).all(|_| look(&mut polling, true)));
    }

    #[test]
    fn what_one_look_finds_says_nothing_of_longer_ones() {
        let mut polling = kicked(Poll::For(Nanos(10)));
        assert!((0..3).all(|_| look(&mut polling, false)));
        for _ in 0..3 {
            assert!(polling.begin(Nanos(0), 1));
            polling.extend(Nanos(0), 1);
            assert!(polling.is_over(Nanos(0)));
        }
        assert!(look(&mut polling, false), "it has rested");
        assert!(!look(&mut polling, false), "and was in vain once more");
    }

    #[test]
    fn where_it_is_off_there_is_one_look_after_each_request_and_always() {
        let mut polling = kicked(Poll::Off);
        for _ in 0..9 {
            assert!(polling.begin(Nanos(5), 1));
            polling.extend(Nanos(6), 1);
            assert!(polling.is_over(Nanos(6)));
            assert!(!polling.is_on());
            assert_eq!(polling.next_look(), None);
        }
    }

    #[test]
    fn where_looks_come_late_kicks_are_waited_for_although_some_found_something() {
        let mut polling = of(Poll::Auto, Kicks::Come, LONGEST);
        let late = |polling: &mut Polling| {
            polling.extend(Nanos(0), 1);
            polling.look_afresh();
            assert!(!polling.is_over(Nanos(1)));
            assert!(polling.is_over(LATE + Nanos(2)));
        };
        for _ in 0..IN_VAIN {
            assert!(polling.begin(Nanos(0), 1));
            late(&mut polling);
        }
        assert!(!look(&mut polling, true));
        let mut told = kicked(Poll::For(LATE + LATE + LATE));
        assert!(told.begin(Nanos(0), 1));
        assert!(!told.is_over(Nanos(1)));
        assert!(!told.is_over(LATE + Nanos(2)), "it was told how long");
    }

    #[test]
    fn where_looks_come_late_others_have_the_cpu_between_them_for_a_while() {
        let mut polling = unkicked(Poll::Auto);
        assert!(polling.begin(Nanos(0), 1));
        assert!(!polling.is_over(Nanos(5)) && !polling.is_shared(Nanos(5)));
        let late = LATE + Nanos(6);
        assert!(!polling.is_over(late), "it looks on");
        assert!(polling.is_shared(late));
        polling.extend(late, MANY - 1);
        assert!(polling.is_on() && polling.is_shared(late + CHOSEN));
        assert!(
            !polling.is_shared(late + SHARED),
            "the CPU may be free again"
        );
    }

    #[test]
    fn where_looks_come_late_and_find_many_they_are_a_nap_apart() {
        let mut polling = unkicked(Poll::Auto);
        assert!(polling.begin(Nanos(0), 1));
        polling.extend(Nanos(0), MANY);
        assert!(polling.is_on(), "none has come late");
        assert!(!polling.is_over(Nanos(5)));
        let late = LATE + Nanos(6);
        assert!(!polling.is_over(late));
        polling.extend(late, MANY);
        assert_eq!(polling.next_look(), Some(late + NAP));
        assert!(polling.is_time_to_look(late + NAP));
        assert!(!polling.begin(late + NAP, MANY), "it naps on");
        assert!(polling.begin(late + NAP + NAP, 1), "for one it looks");
    }

    #[test]
    fn a_shared_cpu_is_looked_on_in_naps_once_nothing_comes_and_then_in_ticks() {
        let mut polling = unkicked(Poll::Auto);
        assert!(polling.begin(Nanos(0), 1));
        assert!(!polling.is_over(Nanos(5)));
        let over = CHOSEN + Nanos(5);
        assert!(polling.is_over(over));
        assert_eq!(polling.next_look(), Some(over + NAP));
        let idle = over + CHOSEN;
        assert!(polling.is_time_to_look(idle));
        assert_eq!(polling.next_look(), Some(idle + TICK));
    }

    #[test]
    fn what_is_done_between_two_looks_makes_neither_late() {
        let mut polling = unkicked(Poll::Auto);
        assert!(polling.begin(Nanos(0), 1));
        assert!(!polling.is_over(Nanos(5)));
        polling.look_afresh();
        assert!(!polling.is_over(LATE + Nanos(6)));
    }

    #[test]
    fn a_driver_that_does_not_kick_is_looked_at_every_tick_and_after_its_requests_always() {
        let mut polling = unkicked(Poll::Auto);
        assert!(polling.is_time_to_look(Nanos(7)));
        assert!(!polling.is_time_to_look(TICK));
        let now = TICK + Nanos(7);
        assert!(polling.is_time_to_look(now));
        assert!(polling.begin(now, 1));
        assert_eq!(polling.next_look(), None, "it is looked at anyway");
        let over = now + CHOSEN;
        assert!(polling.is_over(over));
        assert_eq!(polling.next_look(), Some(over + TICK));
        let mut ticking = unkicked(Poll::Off);
        assert!(ticking.is_time_to_look(Nanos(7)));
        assert!(ticking.begin(Nanos(7), 1));
        assert!(ticking.is_over(Nanos(7)));
        assert_eq!(ticking.next_look(), Some(Nanos(7) + TICK));
    }
}
