// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What this machine takes at least: to wake a thread at a time, and to write
//! an interrupt, measured before there is anything else to do.
//!
//! No planned time can be kept better than a bare wake-up keeps it; what a
//! device adds to that is its own error. The measurement goes the way that the
//! loop goes: a timerfd, seen through epoll.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use irqstorm_core::clock::{Clock, Monotonic};
use irqstorm_core::event::Floor;
use irqstorm_core::units::Nanos;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};
use vmm_sys_util::timerfd::TimerFd;

/// Wake-ups measured.
const WAKEUPS: usize = 300;

/// The sleep before each: about as long as a fast disk takes.
const SLEEP: Duration = Duration::from_micros(100);

/// Eventfd writes measured.
const WRITES: usize = 500;

/// A busy machine has fewer wake-ups measured rather than a late start.
const LONGEST: Nanos = Nanos::from_millis(200);

/// Measures; takes 50 to 250 ms.
pub(crate) fn measure() -> io::Result<Floor> {
    let clock = Monotonic::start();
    let wakeups = wakeups(&clock)?;
    let writes = writes(&clock)?;
    Ok(Floor {
        wakeup_p50: quantile(&wakeups, 50),
        wakeup_p99: quantile(&wakeups, 99),
        write_p50: quantile(&writes, 50),
    })
}

/// How late each wake-up came, in order of lateness.
fn wakeups(clock: &Monotonic) -> io::Result<Vec<Nanos>> {
    let (epoll, mut timer) = (Epoll::new()?, TimerFd::new()?);
    let interest = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, 0);
    epoll.ctl(ControlOperation::Add, timer.as_raw_fd(), interest)?;
    let sleep = Nanos(u64::try_from(SLEEP.as_nanos()).unwrap_or(u64::MAX));
    let mut late = Vec::with_capacity(WAKEUPS);
    while late.len() < WAKEUPS && clock.now() < LONGEST {
        let due = clock.now() + sleep;
        timer.reset(SLEEP, None)?;
        match epoll.wait(-1, &mut [EpollEvent::default()]) {
            // A signal: this one counts for nothing.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            ready => drop(ready?),
        }
        late.push(clock.now().since(due));
    }
    late.sort_unstable();
    Ok(late)
}

/// How long each write of an eventfd took, in order.
fn writes(clock: &Monotonic) -> io::Result<Vec<Nanos>> {
    let fd = EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?;
    let mut took = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let before = clock.now();
        fd.write(1)?;
        took.push(clock.now().since(before));
    }
    took.sort_unstable();
    Ok(took)
}

/// The value that so many percent do not exceed.
fn quantile(sorted: &[Nanos], percent: usize) -> Nanos {
    let rank = (sorted.len() * percent).div_ceil(100);
    let value = sorted.get(rank.saturating_sub(1));
    value.copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let sorted: Vec<Nanos> = (1..=200).map(Nanos).collect();
        assert_eq!(quantile(&sorted, 50), Nanos(100));
        assert_eq!(quantile(&sorted, 99), Nanos(198));
        assert_eq!(quantile(&sorted[..1], 99), Nanos(1));
        assert_eq!(quantile(&[], 50), Nanos(0));
    }

    #[test]
    fn every_machine_takes_some_time_to_wake_and_to_write() {
        let floor = measure().unwrap();
        assert!(floor.wakeup_p50 > Nanos::ZERO && floor.write_p50 > Nanos::ZERO);
        assert!(floor.wakeup_p50 <= floor.wakeup_p99);
    }
}
