// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The least that this machine needs for what every request needs: to write an
//! eventfd, and to wake who waits for it.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::{EventfdFlags, eventfd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use serde::Serialize;

/// In nanoseconds and per second.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Floor {
    /// Eventfd writes in a loop, a second.
    pub(crate) writes: f64,
    /// There and back between two threads that sleep: what a request takes
    /// whose device needs no time at all.
    pub(crate) round_trip: f64,
}

pub(crate) fn measure(time: Duration) -> anyhow::Result<Floor> {
    Ok(Floor {
        writes: writes(time)?,
        round_trip: round_trip(time)?,
    })
}

/// Eventfd writes in a loop, for each second that this thread has had of a CPU.
pub(crate) fn writes(time: Duration) -> anyhow::Result<f64> {
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let (begun, mut count) = (Instant::now(), 0.0);
    let before = on_a_cpu();
    while begun.elapsed() < time {
        for _ in 0..256 {
            rustix::io::write(&fd, &1u64.to_ne_bytes())?;
        }
        count += 256.0;
    }
    Ok(count / (on_a_cpu() - before))
}

/// Seconds that this thread has had of a CPU.
fn on_a_cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn round_trip(time: Duration) -> anyhow::Result<f64> {
    let there = eventfd(0, EventfdFlags::CLOEXEC)?;
    let back = eventfd(0, EventfdFlags::CLOEXEC)?;
    std::thread::scope(|scope| {
        scope.spawn(|| while take(&there).is_ok_and(|last| !last) && give(&back, 1).is_ok() {});
        let (begun, mut count) = (Instant::now(), 0.0);
        while begun.elapsed() < time {
            give(&there, 1)?;
            take(&back)?;
            count += 1.0;
        }
        let each = begun.elapsed().as_nanos() as f64 / count;
        give(&there, LAST)?;
        Ok(each)
    })
}

/// How late a bare timer wakes who sleeps for so long, in nanoseconds, while
/// another CPU is kept busy as by a client that looks at its rings: the longer a
/// CPU has slept, the longer it takes to be there again.
pub(crate) fn wakeups(sleep: Duration, time: Duration) -> anyhow::Result<Histogram<u64>> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let late = late_wakeups(sleep, time);
        over.store(true, Ordering::Relaxed);
        late
    })
}

fn late_wakeups(sleep: Duration, time: Duration) -> anyhow::Result<Histogram<u64>> {
    let mut late = Histogram::new_with_bounds(1, 10_000_000_000, 3)?;
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let once = Itimerspec {
        it_interval: Timespec::default(),
        it_value: Timespec::try_from(sleep)?,
    };
    let begun = Instant::now();
    while begun.elapsed() < time {
        let due = Instant::now() + sleep;
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
        take(&timer)?;
        let late_by = Instant::now().saturating_duration_since(due).as_nanos();
        late.saturating_record(u64::try_from(late_by)?);
    }
    Ok(late)
}

/// Tells the other thread to end.
const LAST: u64 = 1 << 32;

fn give(fd: &OwnedFd, count: u64) -> rustix::io::Result<()> {
    rustix::io::write(fd, &count.to_ne_bytes()).map(drop)
}

/// Waits; whether it was the last.
fn take(fd: &OwnedFd) -> rustix::io::Result<bool> {
    let mut count = [0; 8];
    rustix::io::read(fd, &mut count)?;
    Ok(u64::from_ne_bytes(count) >= LAST)
}
