// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The guest's clock as against the device's, from requests that both have
//! seen.
//!
//! What causes comes before what it causes: a request is issued by the guest
//! before the device takes it, and its completion stands in the ring before the
//! guest finds it there. Each request so bounds, from both sides, by how much
//! the guest's clock is ahead:
//!
//! ```text
//! issued - taken  <=  ahead  <=  completed - written
//! ```
//!
//! Clocks drift, by so little that it is a straight line over a test: the
//! estimate is the line that stays furthest from all bounds. No line between
//! the bounds is further from it than the error that is stated; that it holds
//! needs no assumption about how long interrupts or requests take.

/// A request on both clocks, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    /// The guest's clock: it went to the driver.
    pub(super) issued: i64,
    /// The device's: it was taken from its queue.
    pub(super) taken: i64,
    /// The device's: its completion was in the ring, not visible yet.
    pub(super) written: i64,
    /// The guest's: it was found completed.
    pub(super) completed: i64,
}

/// The guest's clock, estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct GuestClock {
    /// From how many requests.
    pub(super) exchanges: usize,
    /// The time of the device's clock at which `ahead` holds, in ns.
    reference: i64,
    /// By how much the guest's clock is ahead then, in ns.
    pub(super) ahead: f64,
    /// By how much that grows in a nanosecond.
    pub(super) drift: f64,
    /// The drift is right to within this.
    pub(super) drift_error: f64,
    /// Times are right to within this, in ns.
    pub(super) error: f64,
    /// By how much the bounds contradict each other, in ns: 0 unless something
    /// is wrong with the clocks, or with who was paired with whom.
    pub(super) contradiction: f64,
}

/// The kernel prints microseconds, rounded to the nearest.
const ROUNDING: f64 = 500.0;

/// No clock is believed to drift by more.
const MOST_DRIFT: f64 = 0.01;

/// Halvings: enough for the last digit of what is searched for.
const STEPS: usize = 80;

/// Below or above a line, at a time from the reference on.
#[derive(Clone, Copy)]
struct Bound {
    at: f64,
    ahead: f64,
}

/// All bounds of all exchanges.
struct Bounds {
    lower: Vec<Bound>,
    upper: Vec<Bound>,
}

impl GuestClock {
    /// The estimate; `None` without any exchange.
    pub(super) fn estimate(exchanges: &[Exchange]) -> Option<GuestClock> {
        let reference = exchanges.iter().map(|one| one.taken).min()?;
        let last = exchanges.iter().map(|one| one.written).max()?;
        let bounds = Bounds::of(exchanges, reference);
        let drift = maximum(-MOST_DRIFT, MOST_DRIFT, |drift| bounds.room(drift));
        let room = bounds.room(drift);
        let mut clock = GuestClock {
            exchanges: exchanges.len(),
            reference,
            ahead: f64::midpoint(bounds.floor(drift, 0.0), bounds.ceiling(drift, 0.0)),
            drift,
            drift_error: 0.0,
            error: room.abs() / 2.0,
            contradiction: (-room).max(0.0),
        };
        if room >= 0.0 {
            let least = edge(&bounds, drift, -MOST_DRIFT);
            let most = edge(&bounds, drift, MOST_DRIFT);
            clock.drift_error = (most - drift).max(drift - least);
            for at in [0.0, nanos(last.saturating_sub(reference))] {
                let here = clock.ahead + drift * at;
                // Of all lines that are left, the furthest at this time.
                let high = maximum(least, most, |drift| bounds.ceiling(drift, at));
                let low = maximum(least, most, |drift| -bounds.floor(drift, at));
                let above = bounds.ceiling(high, at) - here;
                let below = here - bounds.floor(low, at);
                clock.error = clock.error.max(above).max(below);
            }
        }
        Some(clock)
    }

    /// A time of the guest's clock on the device's, in ns.
    pub(super) fn on_device(&self, guest: i64) -> i64 {
        let since = nanos(guest.saturating_sub(self.reference)) - self.ahead;
        let passed = since / (1.0 + self.drift);
        self.reference.saturating_add(whole(passed))
    }
}

impl Bounds {
    fn of(exchanges: &[Exchange], reference: i64) -> Bounds {
        let bound = |guest: i64, device: i64, rounding: f64| Bound {
            at: nanos(device.saturating_sub(reference)),
            ahead: nanos(guest.saturating_sub(device)) + rounding,
        };
        let lower = exchanges
            .iter()
            .map(|one| bound(one.issued, one.taken, -ROUNDING));
        let upper = exchanges
            .iter()
            .map(|one| bound(one.completed, one.written, ROUNDING));
        Bounds {
            lower: lower.collect(),
            upper: upper.collect(),
        }
    }

    /// How low a line of this drift may be at a time.
    fn floor(&self, drift: f64, at: f64) -> f64 {
        let lines = self.lower.iter();
        let lines = lines.map(|bound| bound.ahead + drift * (at - bound.at));
        lines.fold(f64::NEG_INFINITY, f64::max)
    }

    /// How high.
    fn ceiling(&self, drift: f64, at: f64) -> f64 {
        let lines = self.upper.iter();
        let lines = lines.map(|bound| bound.ahead + drift * (at - bound.at));
        lines.fold(f64::INFINITY, f64::min)
    }

    /// The room between these, at any time. It grows and then shrinks with the
    /// drift, being the least of straight lines.
    fn room(&self, drift: f64) -> f64 {
        self.ceiling(drift, 0.0) - self.floor(drift, 0.0)
    }
}

/// Where a function that grows and then shrinks is greatest.
fn maximum(mut low: f64, mut high: f64, value: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..STEPS {
        let third = (high - low) / 3.0;
        match value(low + third) < value(high - third) {
            true => low += third,
            false => high -= third,
        }
    }
    f64::midpoint(low, high)
}

/// The drift furthest from `inside` towards `outside` that has room.
fn edge(bounds: &Bounds, mut inside: f64, mut outside: f64) -> f64 {
    if bounds.room(outside) >= 0.0 {
        return outside;
    }
    for _ in 0..STEPS {
        let middle = f64::midpoint(inside, outside);
        match bounds.room(middle) >= 0.0 {
            true => inside = middle,
            false => outside = middle,
        }
    }
    inside
}

/// To the nearest; what is too large for it is cut to what fits.
#[expect(clippy::cast_possible_truncation, reason = "which is what this is for")]
fn whole(value: f64) -> i64 {
    value.round() as i64
}

fn nanos(value: i64) -> f64 {
    // Differences within a run are exact: they stay far below 2^53 ns.
    #[expect(clippy::cast_precision_loss, reason = "104 days fit")]
    let value = value as f64;
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What requests of these ways there and back look like on a clock that is
    /// ahead by `ahead` at 0 and drifts.
    fn exchanges(ahead: f64, drift: f64, ways: &[(u32, u32)]) -> Vec<Exchange> {
        let guest = |device: f64| {
            let time = device + ahead + drift * device;
            whole(time / 1e3) * 1_000
        };
        let each = ways.iter().zip(0_i64..);
        let each = each.map(|(&(there, back), number)| {
            let taken = 5_000_000 + number * 250_000;
            let written = taken + 60_000;
            Exchange {
                issued: guest(nanos(taken) - f64::from(there)),
                taken,
                written,
                completed: guest(nanos(written) + f64::from(back)),
            }
        });
        each.collect()
    }

    fn truth(ahead: f64, drift: f64, device: i64) -> i64 {
        whole(nanos(device) + ahead + drift * nanos(device))
    }

    #[test]
    fn nothing_is_known_of_a_clock_without_requests() {
        assert_eq!(GuestClock::estimate(&[]), None);
    }

    #[test]
    fn one_request_tells_as_much_as_it_took() {
        let clock = GuestClock::estimate(&exchanges(1e9, 0.0, &[(40_000, 20_000)])).unwrap();
        assert!(
            clock.error >= 30_000.0 && clock.contradiction == 0.0,
            "{clock:?}"
        );
        let off = clock.on_device(truth(1e9, 0.0, 5_000_000)) - 5_000_000;
        assert!(nanos(off).abs() <= clock.error, "{off}");
    }

    #[test]
    fn slow_requests_do_not_move_what_fast_ones_tell() {
        let mut ways = vec![(3_000, 4_000); 200];
        for slow in ways.iter_mut().step_by(3) {
            *slow = (9_000_000, 30_000);
        }
        let clock = GuestClock::estimate(&exchanges(-7e8, 40e-6, &ways)).unwrap();
        assert!(clock.error < 8_000.0, "{clock:?}");
        assert!(
            (clock.drift - 40e-6).abs() <= clock.drift_error,
            "{clock:?}"
        );
    }

    #[test]
    fn bounds_that_contradict_are_said_to() {
        let mut all = exchanges(0.0, 0.0, &[(1_000, 1_000), (1_000, 1_000)]);
        all[1].completed -= 5_000_000;
        let clock = GuestClock::estimate(&all).unwrap();
        assert!(clock.contradiction > 0.0 && clock.error > 0.0, "{clock:?}");
    }

    proptest! {
        #[test]
        fn the_error_that_is_stated_is_kept(
            ahead in -1e12..1e12_f64,
            drift in -300e-6..300e-6_f64,
            ways in prop::collection::vec((0..400_000_u32, 0..400_000_u32), 1..60),
        ) {
            let all = exchanges(ahead, drift, &ways);
            let clock = GuestClock::estimate(&all).unwrap();
            prop_assert_eq!(clock.contradiction, 0.0);
            for one in &all {
                for device in [one.taken, one.written] {
                    let off = clock.on_device(truth(ahead, drift, device)) - device;
                    // A drift of this size moves an error by less than a nanosecond.
                    let bound = clock.error * (1.0 + MOST_DRIFT) + 2.0;
                    prop_assert!(nanos(off).abs() <= bound, "{off} over {}", clock.error);
                }
            }
        }
    }
}
