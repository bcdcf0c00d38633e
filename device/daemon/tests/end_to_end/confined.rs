// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A device in its sandbox does all that it does without; and none keeps
//! anything of those who have gone.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use irqstorm_core::control::Selection;
use irqstorm_core::event::What;

use crate::support::{Daemon, Driver, PIECE, Scratch, eventually, eventually_is};

/// Drivers that come and go.
const DRIVERS: usize = 50;

/// Memory that the allocator may keep for later, in KiB: a tenth of what the
/// rings of these drivers take.
const SLACK: u64 = 2048;

const SCENARIO: &str = "\
    latency = { uniform = { min = '0us', max = '300us' } }\n\
    order = { shuffle = { window = 4, time = '1ms' } }\n\
    [[storm]]\n\
    rate = '2kHz'\n";

/// A device in its sandbox, with everything that it can have open.
pub(crate) fn confined(mode: &str, more: &[&str]) -> Daemon {
    let scratch = Scratch::new();
    let disk = scratch.write("disk", vec![0; 1 << 20]);
    let scenario = scratch.write("scenario.toml", SCENARIO);
    let (events, decisions) = (scratch.path("events"), scratch.path("decisions"));
    let of = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let args = [
        "--sandbox".to_owned(),
        mode.to_owned(),
        "--blk-file".to_owned(),
        of(&disk),
        "--scenario".to_owned(),
        of(&scenario),
        "--events".to_owned(),
        of(&events),
        "--record".to_owned(),
        of(&decisions),
    ];
    let args = args.iter().map(String::as_str);
    let args: Vec<&str> = args.chain(more.iter().copied()).collect();
    Daemon::start_in(scratch, &args)
}

/// Every kind of request, and a driver that goes with some in flight.
fn use_all(daemon: &Daemon) {
    let mut driver = daemon.driver(3);
    let data: Vec<u8> = (0..PIECE).map(|n| (n % 251).to_le_bytes()[0]).collect();
    driver.write_now(0, 0, 0, &data);
    driver.write_zeroes(1, 1, 4096, 8192);
    driver.discard(1, 2, 16_384, 4096);
    driver.flush(1, 3);
    driver.kick(1);
    driver.wait_ok(1, [1, 2, 3]);
    assert!(driver.read_now(2, 4, 0, 4096) == data[..4096]);
    daemon.control().hold(true);
    driver.flush(0, 5);
    driver.kick(0);
    daemon.control().held(1);
    drop(driver);
    daemon
        .control()
        .until("the driver's end", |status| !status.connected);
    daemon.control().hold(false);
}

/// Every command of the control socket.
pub(crate) fn steer(daemon: &Daemon) {
    let mut control = daemon.control();
    control.status();
    control.fire(None, 1);
    control.release(Selection::default());
    control.replace_scenario(SCENARIO, "again");
    control.list();
}

#[test]
fn a_confined_device_does_all_that_it_does_without() {
    for mode in ["enforce", "log"] {
        let daemon = confined(mode, &[]);
        for _ in 0..3 {
            use_all(&daemon);
            steer(&daemon);
        }
        let scratch = daemon.terminate();
        let events = scratch.events("events");
        let completed = |what: &What| matches!(what, What::Completed { .. });
        let count = events.iter().filter(|event| completed(&event.what)).count();
        assert_eq!(count, 3 * 5, "{mode}");
        assert!(fs::metadata(scratch.path("decisions")).unwrap().len() > 0);
    }
}

#[test]
fn every_thread_is_confined() {
    let daemon = confined("enforce", &[]);
    let _driver: Driver = daemon.driver(2);
    let filtered = || {
        let all = daemon.threads();
        all.iter().all(|(_, status)| status.contains("Seccomp:\t2"))
    };
    // Those of the connection, too, and the writers of two files.
    eventually("threads", || (daemon.threads().len() >= 7).then_some(()));
    assert!(filtered(), "{:?}", daemon.threads());
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"));
}

#[test]
fn a_device_that_is_not_confined_has_no_filter() {
    let daemon = confined("off", &[]);
    let all = daemon.threads();
    assert!(all.iter().all(|(_, status)| status.contains("Seccomp:\t0")));
}

#[test]
fn the_control_socket_is_its_users_alone() {
    let daemon = Daemon::start(&[]);
    let mode = fs::metadata(daemon.scratch.control())
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn fifty_drivers_leave_neither_fds_nor_threads_nor_memory() {
    let daemon = Daemon::follow("hold = true", &[]);
    let mut control = daemon.control();
    // Answered by the last of the threads to have its fds.
    control.status();
    let threads = || daemon.threads().len();
    let (held, count) = (daemon.holds(), threads());
    let mut come_and_go = || {
        let mut driver = daemon.driver(16);
        driver.flush(15, 0);
        driver.kick(15);
        control.held(1);
        drop(driver);
        control.until("the driver's end", |status| !status.connected);
    };
    let mut memory = || {
        (0..DRIVERS).for_each(|_| come_and_go());
        eventually_is(&held, || daemon.holds());
        eventually_is(&count, threads);
        daemon.memory()
    };
    // What the allocator keeps for later is there after the first.
    let before = memory();
    let grown = memory().saturating_sub(before);
    assert!(grown <= SLACK, "{grown} KiB more than before");
}
