// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Interrupts, counted where the guest's side would be told of them.

use irqstorm_core::control::{Command, StormReply};

use crate::support::{Daemon, Driver, EVENT_IDX, FEATURES};

/// A driver that wants every interrupt, for want of a way to say otherwise.
fn plain(daemon: &Daemon, queues: usize) -> Driver {
    Driver::connect_with(&daemon.scratch.socket(), queues, FEATURES & !EVENT_IDX)
}

fn flush(driver: &mut Driver, queue: usize, tags: std::ops::Range<usize>) {
    for tag in tags.clone() {
        driver.flush(queue, tag);
    }
    driver.kick(queue);
    driver.wait_ok(queue, tags);
}

#[test]
fn every_completion_has_an_interrupt_of_its_own() {
    let daemon = Daemon::follow("interrupt = 'per-completion'", &[]);
    let mut driver = daemon.driver(2);
    flush(&mut driver, 0, 0..8);
    flush(&mut driver, 1, 0..3);
    // Answered by the thread that interrupts, and after it has.
    let status = daemon.control().status();
    assert_eq!((driver.interrupts(0), driver.interrupts(1)), (8, 3));
    assert_eq!(
        (status.queues[0].signalled, status.queues[1].signalled),
        (8, 3)
    );
    assert_eq!(status.total.published, 11);
}

#[test]
fn completions_published_together_share_an_interrupt() {
    let daemon = Daemon::follow("latency = { fixed = '1ms' }\nhold = true", &[]);
    let (mut control, mut driver) = (daemon.control(), plain(&daemon, 1));
    for tag in 0..5 {
        driver.flush(0, tag);
    }
    driver.kick(0);
    control.held(5);
    control.release(Default::default());
    driver.wait_ok(0, 0..5);
    assert_eq!(driver.interrupts(0), 1);
    let total = control.status().total;
    assert_eq!((total.published, total.wanted, total.signalled), (1, 1, 1));
}

#[test]
fn a_driver_that_wants_no_interrupt_gets_none() {
    for features in [FEATURES, FEATURES & !EVENT_IDX] {
        let daemon = Daemon::start(&[]);
        let mut driver = Driver::connect_with(&daemon.scratch.socket(), 1, features);
        // With EVENT_IDX the driver names an index, and this one is passed once.
        flush(&mut driver, 0, 0..1);
        let before = daemon.control().status().total;
        driver.interrupts(0);
        if features & EVENT_IDX == 0 {
            driver.want_interrupts(0, false);
        }
        flush(&mut driver, 0, 0..6);
        let total = daemon.control().status().total;
        assert_eq!(driver.interrupts(0), 0);
        assert_eq!(total.signalled, before.signalled);
        assert_eq!(
            total.suppressed,
            before.suppressed + total.published - before.published
        );

        driver.want_interrupts(0, true);
        flush(&mut driver, 0, 0..1);
        assert_eq!(
            daemon.control().status().total.signalled,
            before.signalled + 1
        );
        assert_eq!(driver.interrupts(0), 1);
    }
}

#[test]
fn coalesced_completions_interrupt_by_count() {
    let scenario = "interrupt = { coalesced = { count = 4, time = '600s' } }";
    let daemon = Daemon::follow(scenario, &[]);
    let (mut control, mut driver) = (daemon.control(), plain(&daemon, 1));
    for tag in 0..3 {
        flush(&mut driver, 0, tag..tag + 1);
    }
    control.status();
    assert_eq!(driver.interrupts(0), 0);
    flush(&mut driver, 0, 3..4);
    control.status();
    assert_eq!(driver.interrupts(0), 1);
}

#[test]
fn coalesced_completions_interrupt_by_time() {
    let scenario = "interrupt = { coalesced = { count = 1000, time = '1ms' } }";
    let daemon = Daemon::follow(scenario, &[]);
    let (mut control, mut driver) = (daemon.control(), plain(&daemon, 1));
    flush(&mut driver, 0, 0..3);
    control.until("the coalesced interrupt", |status| {
        status.total.signalled > 0
    });
    let interrupts = driver.interrupts(0);
    assert!((1..=3).contains(&interrupts), "{interrupts}");
}

#[test]
fn interrupts_are_fired_on_demand_where_asked() {
    let daemon = Daemon::start(&[]);
    let (mut control, mut driver) = (daemon.control(), daemon.driver(3));
    let reply = control.fire(Some(1), 3);
    assert_eq!((reply.fired, reply.withheld), (3, 0));
    let counted = [0, 1, 2].map(|queue| driver.interrupts(queue));
    assert_eq!(counted, [0, 3, 0]);
    assert_eq!(control.fire(None, 2).fired, 6);
    assert_eq!(control.status().total.spurious, 9);
    flush(&mut driver, 0, 0..4);
}

#[test]
fn the_guard_withholds_what_would_cost_the_guest_its_interrupt() {
    let daemon = Daemon::start(&[]);
    let (mut control, driver) = (daemon.control(), daemon.driver(1));
    let reply = control.fire(Some(0), 120_000);
    assert_eq!(reply.fired + reply.withheld, 120_000);
    assert!(reply.fired < 100_000, "{reply:?}");
    assert_eq!(driver.interrupts(0), reply.fired);
}

#[test]
fn a_storm_is_written_counted_paused_by_the_guard_and_stopped() {
    let storm = "[[storm]]\nqueues = [1]\nrate = '1MHz'\nburst = 1000";
    let daemon = Daemon::follow(storm, &[]);
    let (mut control, mut driver) = (daemon.control(), daemon.driver(2));
    control.until("a pause of the guard", |status| {
        status.guard_pauses >= 2 && status.total.spurious > 50_000
    });
    flush(&mut driver, 0, 0..8);
    flush(&mut driver, 1, 0..8);
    let reply: StormReply = control.ask(&Command::Storm {
        on: false,
        name: None,
    });
    assert_eq!((reply.storms, reply.storming), (1, false));
    let status = control.status();
    assert!(!status.storming);
    let [calm, struck] = [&status.queues[0], &status.queues[1]];
    assert_eq!(calm.spurious, 0);
    assert_eq!(driver.interrupts(0), calm.signalled);
    assert_eq!(driver.interrupts(1), struck.signalled + struck.spurious);
    assert_eq!(control.status().total.spurious, struck.spurious);
}
