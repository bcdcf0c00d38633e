// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How the device waits, and what it says of how well it does.

use irqstorm_core::event::What;
use irqstorm_core::units::Nanos;

use crate::support::{Daemon, Scratch};

#[test]
fn the_floor_is_measured_before_anything_is_served_and_told_everywhere() {
    let scratch = Scratch::new();
    let events = scratch.path("events");
    let args = ["--ram", "8M", "--events", events.to_str().unwrap()];
    let daemon = Daemon::start_in(scratch, &args);
    daemon.driver(1).write_now(0, 0, 0, &[1; 512]);
    let precision = daemon.control().status().precision;
    let floor = precision.floor;
    assert!(floor.wakeup_p50 > Nanos::ZERO && floor.write_p50 > Nanos::ZERO);
    assert!(floor.wakeup_p50 <= floor.wakeup_p99);
    assert_eq!(precision.published.count, 1);
    assert!(daemon.log().contains("a bare wake-up comes"));
    let scratch = daemon.terminate();
    let log = std::fs::read_to_string(scratch.path("log")).unwrap();
    assert!(log.contains("1 completions became visible"), "{log}");
    let first = scratch.events("events").remove(0);
    assert_eq!(first.what, What::Floor(floor));
}

#[test]
fn a_loop_that_spins_hears_kicks_and_commands_as_one_that_sleeps() {
    let scenario = "latency = { uniform = { min = '0us', max = '5ms' } }\n
        [[rule]]\nqueue = 1\nlatency = { fixed = '0us' }";
    for (spin, said) in [
        ("10ms", "spins for the last 10ms"),
        ("off", "sleeps through each wait: --spin off"),
        ("auto", "of each wait"),
    ] {
        let daemon = Daemon::follow(scenario, &["--spin", spin]);
        let (mut control, mut driver) = (daemon.control(), daemon.driver(2));
        for _ in 0..10 {
            for tag in 0..8 {
                driver.flush(0, tag);
                driver.kick(0);
                driver.write_now(1, 10 + tag, 0, &[1; 512]);
                control.status();
            }
            driver.wait_ok(0, 0..8);
        }
        assert_eq!(control.status().total.completed, 160);
        if spin != "auto" {
            assert_eq!(daemon.log().matches(said).count(), 1, "{}", daemon.log());
        }
    }
}
