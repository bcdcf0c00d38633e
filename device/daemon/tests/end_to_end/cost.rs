// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Measurements, not tests: what the event stream costs, and how well planned
//! times are kept.
//!
//! ```text
//! cargo test --release -p irqstorm-device --test end_to_end -- --ignored --nocapture cost
//! ```

use std::time::Instant;

use crate::support::{Daemon, Driver, Scratch};

/// Requests a measurement, in batches of so many.
const REQUESTS: usize = 100_000;
const BATCH: usize = 32;

/// Measurements of each kind, taken by turns: whatever else the machine does
/// meets both.
const ROUNDS: usize = 7;

/// A device, with an event file or without, and a driver.
fn start(arg: Option<&str>) -> (Daemon, Driver) {
    let scratch = Scratch::new();
    let file = scratch.path("lines");
    let mut args = vec!["--null", "1G"];
    if let Some(arg) = arg {
        args.extend([arg, file.to_str().unwrap()]);
    }
    let daemon = Daemon::start_in(scratch, &args);
    let driver = daemon.driver(1);
    (daemon, driver)
}

/// Requests a second.
fn rate(driver: &mut Driver) -> f64 {
    let start = Instant::now();
    for _ in 0..REQUESTS / BATCH {
        for tag in 0..BATCH {
            driver.read(0, tag, tag as u64 * 4096, 4096);
        }
        driver.kick(0);
        let mut ended = 0;
        while ended < BATCH {
            ended += driver.completions(0).len();
        }
    }
    REQUESTS as f64 / start.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a measurement"]
fn the_cost_of_waiting_asleep_and_spinning() {
    for spin in ["off", "auto", "100us"] {
        let scenario = "latency = { fixed = '300us' }";
        let daemon = Daemon::follow(scenario, &["--spin", spin]);
        let mut driver = daemon.driver(1);
        for _ in 0..3_000 {
            driver.flush(0, 0);
            driver.kick(0);
            driver.wait_ok(0, [0]);
        }
        let precision = daemon.control().status().precision;
        let (late, floor) = (precision.published, precision.floor);
        println!(
            "--spin {spin}: visible {} late (p99 {}, p99.9 {}); a bare wake-up {} (p99 {})",
            late.p50, late.p99, late.p999, floor.wakeup_p50, floor.wakeup_p99
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
#[ignore = "a measurement"]
fn the_cost_of_the_event_stream() {
    for arg in ["--events", "--record"] {
        let (plain, mut driver) = start(None);
        let (telling, mut told) = start(Some(arg));
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            without.push(rate(&mut driver));
            with.push(rate(&mut told));
        }
        let dropped = telling.control().status().events_dropped;
        let ratios = with
            .iter()
            .zip(&without)
            .map(|(with, without)| with / without);
        println!(
            "{arg}: {:.0} requests/s with, {:.0} without: {:.3} of it (median of {ROUNDS} pairs); \
             {dropped} lines dropped",
            median(with.clone()),
            median(without.clone()),
            median(ratios.collect())
        );
        drop((driver, told));
        plain.terminate();
        telling.terminate();
    }
}
