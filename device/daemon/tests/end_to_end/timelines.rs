// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The interrupt's own timeline: before its completion, after it, not at all,
//! or more than once. Times that a test must not see pass are 600 s away.

use irqstorm_core::control::Selection;
use irqstorm_core::event::{Cause, Event, What};
use irqstorm_core::units::Nanos;

use crate::support::raw::{self, header};
use crate::support::{Daemon, Driver, EVENT_IDX, FEATURES, OK};

const VIRTIO_BLK_T_FLUSH: u32 = 4;

/// A driver that wants every interrupt, for want of a way to say otherwise.
fn plain(daemon: &Daemon) -> Driver {
    Driver::connect_with(&daemon.scratch.socket(), 1, FEATURES & !EVENT_IDX)
}

fn flush(driver: &mut Driver, tag: usize) {
    driver.flush(0, tag);
    driver.kick(0);
}

#[test]
fn an_early_interrupt_comes_before_the_used_index_moves() {
    let daemon = Daemon::follow(
        "latency = { fixed = '600s' }\ninterrupt = { early = { by = '600s' } }",
        &[],
    );
    let mut driver = raw::Driver::connect(&daemon.scratch.socket(), 1, 0);
    driver.request(0, 0, &header(VIRTIO_BLK_T_FLUSH, 0), None);
    driver.kick(0);
    driver.wait_for_call(0);
    assert_eq!(driver.used_index(0), 0);
    let total = daemon.control().status().total;
    assert_eq!((total.early, total.signalled, total.completed), (1, 0, 0));
    // A stopped ring is given its completions.
    driver.stop(0);
    assert_eq!(driver.used_index(0), 1);
}

#[test]
fn a_late_interrupt_comes_after_the_completion_is_seen() {
    let daemon = Daemon::follow("interrupt = { late = { by = '600s' } }", &[]);
    let mut control = daemon.control();
    let mut driver = plain(&daemon);
    flush(&mut driver, 0);
    driver.wait_ok(0, [0]);
    assert_eq!(control.status().total.signalled, 0);
    assert_eq!(driver.interrupts(0), 0);
    let quicker = "interrupt = { late = { by = '1ms' } }";
    control.replace_scenario(quicker, "quicker");
    flush(&mut driver, 1);
    control.until("the late interrupt", |status| status.total.signalled == 1);
    assert_eq!(driver.wait(0, 1), [(1, OK)]);
    assert_eq!(driver.interrupts(0), 1);
}

#[test]
fn a_dropped_interrupt_is_rescued() {
    let daemon = Daemon::follow("interrupt = { dropped = { rescue = '3ms' } }", &[]);
    let mut driver = plain(&daemon);
    flush(&mut driver, 0);
    let status = daemon
        .control()
        .until("the rescue", |status| status.total.rescued == 1);
    assert_eq!((status.total.dropped, status.total.signalled), (1, 0));
    assert_eq!(driver.wait(0, 1), [(0, OK)]);
    assert_eq!(driver.interrupts(0), 1);
}

#[test]
fn any_interrupt_makes_a_rescue_needless() {
    let scenario = "hold = true
        [[rule]]
        operation = 'flush'
        interrupt = { dropped = { rescue = '2ms' } }";
    let daemon = Daemon::follow(scenario, &[]);
    let mut control = daemon.control();
    let mut driver = plain(&daemon);
    driver.flush(0, 0);
    driver.read(0, 1, 0, 512);
    driver.kick(0);
    control.held(2);
    // Its own interrupt is dropped, that of what is visible with it is not.
    assert_eq!(control.release(Selection::default()), 2);
    let released = control.status().at;
    control.until("the time of the rescue", |status| {
        status.at > released + Nanos::from_millis(4)
    });
    let total = control.status().total;
    assert_eq!((total.rescued, total.signalled), (0, 1));
    driver.wait_ok(0, [0, 1]);
    assert_eq!(driver.interrupts(0), 1);
}

#[test]
fn a_duplicated_interrupt_comes_so_often_again() {
    for gap in ["0us", "1ms"] {
        let scenario = format!("interrupt = {{ duplicated = {{ count = 3, gap = '{gap}' }} }}");
        let daemon = Daemon::follow(&scenario, &[]);
        let mut driver = plain(&daemon);
        flush(&mut driver, 0);
        let status = daemon
            .control()
            .until("the duplicates", |status| status.total.duplicated == 3);
        assert_eq!(status.total.signalled, 1);
        driver.wait_ok(0, [0]);
        assert_eq!(driver.interrupts(0), 4);
    }
}

#[test]
fn a_completion_without_interrupt_is_found_by_a_fired_one() {
    let scenario = "interrupt = { never = { recovered_by = 'control' } }";
    let daemon = Daemon::follow(scenario, &[]);
    let mut control = daemon.control();
    let mut driver = plain(&daemon);
    flush(&mut driver, 0);
    control.until("the completion", |status| status.total.published == 1);
    assert_eq!(driver.interrupts(0), 0);
    assert_eq!(control.fire(Some(0), 1).fired, 1);
    assert_eq!(driver.interrupts(0), 1);
    driver.wait_ok(0, [0]);
    let total = control.status().total;
    assert_eq!((total.signalled, total.spurious, total.wanted), (0, 1, 0));
}

#[test]
fn every_step_keeps_its_distance_from_the_one_before() {
    let scratch = crate::support::Scratch::new();
    let scenario = "latency = { fixed = '700us' }
        [[rule]]
        operation = 'flush'
        interrupt = { late = { by = '300us' } }
        [[rule]]
        operation = 'read'
        interrupt = { early = { by = '200us', rescue = '2ms' } }";
    let file = scratch.write("scenario.toml", scenario);
    let events = scratch.path("events");
    let args = [
        "--ram",
        "8M",
        "--scenario",
        file.to_str().unwrap(),
        "--events",
        events.to_str().unwrap(),
    ];
    let daemon = Daemon::start_in(scratch, &args);
    let mut driver = plain(&daemon);
    flush(&mut driver, 0);
    driver.wait_ok(0, [0]);
    let mut control = daemon.control();
    control.until("the late interrupt", |status| status.total.signalled == 1);
    driver.read(0, 1, 0, 512);
    driver.kick(0);
    control.until("the rescue", |status| status.total.rescued == 1);
    driver.wait_ok(0, [1]);
    let events = daemon.terminate().events("events");
    let planned = |wanted: &dyn Fn(&What) -> Option<Nanos>| -> Vec<(Nanos, Nanos)> {
        let found = |event: &Event| wanted(&event.what).map(|planned| (planned, event.at));
        events.iter().filter_map(found).collect()
    };
    let arrived = planned(&|what| match what {
        What::Arrived { due, .. } => *due,
        _ => None,
    });
    let published = planned(&|what| match what {
        What::Published { planned, .. } => Some(*planned),
        _ => None,
    });
    let signalled = |wanted: Cause| {
        let found = planned(&|what| match what {
            What::Signalled { cause, planned, .. } if *cause == wanted => Some(*planned),
            _ => None,
        });
        assert_eq!(found.len(), 1, "{wanted:?}");
        found[0]
    };
    let [(flushed, _), (read, _)] = arrived[..] else {
        panic!("{arrived:?}");
    };
    let dues: Vec<Nanos> = published.iter().map(|&(planned, _)| planned).collect();
    assert_eq!(dues, [flushed, read]);
    let late = signalled(Cause::Completion);
    assert_eq!(late.0, flushed + Nanos::from_micros(300));
    let early = signalled(Cause::Early);
    assert_eq!(early.0, read - Nanos::from_micros(200));
    let rescue = signalled(Cause::Rescue);
    assert_eq!(rescue.0, read + Nanos::from_millis(2));
    let all = [&published[..], &[late, early, rescue]].concat();
    assert!(all.iter().all(|&(planned, at)| at >= planned), "{all:?}");
}
