// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A device that looks for requests instead of waiting for kicks.

use irqstorm_core::control::Selection;

use crate::support::{Daemon, Driver, EVENT_IDX, FEATURES};

#[test]
fn requests_are_found_without_a_kick_after_the_first() {
    for features in [FEATURES, FEATURES & !EVENT_IDX] {
        let daemon = Daemon::start(&["--poll", "1s"]);
        let mut driver = Driver::connect_with(&daemon.scratch.socket(), 2, features);
        driver.write_now(0, 0, 0, &[7; 512]);
        for tag in 1..20 {
            // On a queue that was never kicked as well.
            driver.read(tag % 2, tag, 0, 512);
            driver.wait_ok(tag % 2, [tag]);
            assert_eq!(driver.data(tag, 512), [7; 512]);
        }
        daemon.terminate();
    }
}

#[test]
fn a_driver_that_kicks_is_heard_whenever_the_looking_ends() {
    // So short that it ends between two requests, before, and amid them.
    for time in ["1us", "20us", "100us"] {
        let daemon = Daemon::start(&["--poll", time]);
        let mut driver = daemon.driver(1);
        for round in 0..500u64 {
            driver.write_now(0, 0, round * 512, &[round.to_le_bytes()[0]; 512]);
        }
        assert_eq!(daemon.control().status().total.completed, 500);
    }
}

#[test]
fn what_is_held_and_what_is_said_is_seen_while_looking() {
    let daemon = Daemon::follow("hold = true", &["--poll", "1s"]);
    let mut control = daemon.control();
    let mut driver = daemon.driver(1);
    driver.flush(0, 0);
    driver.kick(0);
    control.held(1);
    control.release(Selection::default());
    driver.wait_ok(0, [0]);
    drop(driver);
    control.until("the driver's end", |status| !status.connected);
    let mut driver = daemon.driver(1);
    driver.flush(0, 1);
    driver.kick(0);
    control.held(1);
    daemon.terminate();
}

#[test]
fn a_flood_keeps_nothing_that_is_said_from_being_heard_while_looking() {
    let scenario = "hostile = true
        [[storm]]
        rate = 'max'
        cross_kill_line = true";
    let daemon = Daemon::follow(scenario, &["--poll", "1s"]);
    let (mut control, mut driver) = (daemon.control(), daemon.driver(1));
    for round in 0..20u8 {
        driver.write_now(0, 0, 0, &[round; 512]);
        assert_eq!(control.status().total.completed, u64::from(round) + 1);
    }
    daemon.terminate();
}
