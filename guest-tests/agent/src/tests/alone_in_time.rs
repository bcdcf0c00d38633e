// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Row 20: a tagged bio that completes alone, with nothing before or after it,
//! is ended well within a jiffy. What is asserted is the median, against the
//! length that this kernel's jiffy has.

use std::time::Duration;

use rustix::time::{ClockId, clock_getres};

use super::bench::tagged_in_task;
use super::{Bench, Stop, fail};
use crate::guest::probe::{Run, TAGGED};
use irqstorm_agent::protocol::figures;

/// Each a run of its own, which leaves long gaps.
const BIOS: u64 = 41;

pub(super) fn run(bench: &mut Bench) -> Result<(), Stop> {
    let disk = bench.prepare_hardirq()?;
    bench.scenario("latency = { fixed = '100us' }")?;
    let jiffy = jiffy()?;
    let mut times = Vec::new();
    for _ in 0..bench.param("bios", BIOS)?.max(1) {
        let mut run = Run::new(&disk, 1);
        run.tag_every = 1;
        run.depth = 1;
        let summary = bench.run(&mut run)?;
        tagged_in_task(&summary)?;
        times.push(Duration::from_nanos(summary.latency_ns_max));
        if summary.ended[TAGGED] != 1 {
            return fail("a run of one bio ended another number of them");
        }
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    bench.figure(figures::TAGGED, u64::try_from(times.len()).unwrap_or(0));
    bench.measure("bio_endio() to bi_end_io(), p50", us(median), "us");
    bench.measure("bio_endio() to bi_end_io(), worst", us(worst), "us");
    bench.measure("a jiffy", us(jiffy), "us");
    if median.is_zero() {
        return fail("the bios were not seen to be deferred");
    }
    if median > jiffy / 2 {
        return fail(format!(
            "half of the bios that came alone took {median:?} or more to end, and a jiffy is \
             {jiffy:?}"
        ));
    }
    Ok(())
}

/// The coarse clocks go on with each jiffy, and their resolution is one
/// (kernel/time/posix-timers.c, posix_get_coarse_res()).
pub(super) fn jiffy() -> Result<Duration, Stop> {
    let resolution = clock_getres(ClockId::MonotonicCoarse);
    let nanos = u64::try_from(resolution.tv_nsec).unwrap_or(0);
    if nanos == 0 {
        return fail("the kernel does not say how long a jiffy is");
    }
    Ok(Duration::from_nanos(nanos))
}
