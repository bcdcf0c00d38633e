// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Drivers that come and go, devices that end, and what is left of each.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::Child;

use irqstorm_core::control::Selection;
use rustix::io::FdFlags;
use rustix::process::Signal;

use crate::support::{
    Daemon, Driver, PATIENCE, Scratch, eventually, eventually_is, is_gone, program,
};

#[test]
fn a_driver_that_goes_with_requests_held_leaves_nothing_behind() {
    let daemon = Daemon::follow("hold = true", &[]);
    let mut control = daemon.control();
    let mut driver = daemon.driver(2);
    driver.write(0, 0, 0, &[1; 512]);
    driver.write(1, 1, 512, &[2; 512]);
    driver.flush(1, 2);
    driver.kick(0);
    driver.kick(1);
    control.held(3);
    assert!(control.status().connected);
    drop(driver);
    let status = control.until("the driver's end", |status| !status.connected);
    assert_eq!(status.total.abandoned, 3);
    assert_eq!((status.total.held, status.total.in_flight), (0, 0));
    assert_eq!(control.list().total, 0);
    assert_eq!(control.release(Selection::default()), 0);

    let mut driver = daemon.driver(1);
    driver.read(0, 5, 0, 1024);
    driver.kick(0);
    assert_eq!(control.held(1).held.len(), 1);
    control.release(Selection::default());
    driver.wait_ok(0, [5]);
    assert_eq!(
        driver.data(5, 512),
        [1; 512],
        "the disk outlives its driver"
    );
    assert_eq!(driver.data(5, 1024)[512..], [2; 512]);
}

#[test]
fn a_device_whose_driver_is_gone_has_no_fd_and_no_memory_of_it() {
    let daemon = Daemon::follow("hold = true", &[]);
    let mut control = daemon.control();
    // Answered by the last of the threads to have its fds.
    control.status();
    let before = daemon.holds();
    for queues in [1, 16] {
        let mut driver = daemon.driver(queues);
        driver.flush(queues - 1, 0);
        driver.kick(queues - 1);
        control.held(1);
        // A kick and a call fd of each queue; mappings of rings and of data.
        assert!(daemon.holds().len() >= before.len() + 2 * queues + 2);
        drop(driver);
        eventually_is(&before, || daemon.holds());
    }
}

#[test]
fn drivers_come_and_go_many_times() {
    let daemon = Daemon::follow("latency = { fixed = '300us' }", &[]);
    for round in 0..20u8 {
        let mut driver = daemon.driver(4);
        driver.write_now(round as usize % 4, 0, 0, &[round; 512]);
        for tag in 0..16 {
            driver.flush(tag % 4, tag);
        }
        (0..4).for_each(|queue| driver.kick(queue));
        // Gone with whatever is in flight.
    }
    let mut driver = daemon.driver(1);
    assert_eq!(driver.read_now(0, 0, 0, 512), [19; 512]);
    let status = daemon.control().status();
    let total = status.total;
    assert_eq!(
        total.requests,
        total.completed + total.abandoned + total.in_flight
    );
}

#[test]
fn clients_that_speak_no_vhost_user_are_survived() {
    let daemon = Daemon::start(&[]);
    for garbage in [
        &b"GET / HTTP/1.0\r\n\r\n"[..],
        &[0xff; 4096],
        &[0; 12],
        b"x",
        b"",
    ] {
        let mut stream = UnixStream::connect(daemon.scratch.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The device may have closed before it has read all of it.
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read(&mut [0; 64]);
    }
    daemon.driver(1).write_now(0, 0, 0, &[1; 512]);
    let log = daemon.log();
    assert!(!log.contains("panicked"), "{log}");
    daemon.terminate();
}

#[test]
fn a_second_driver_waits_for_the_first_to_go() {
    let daemon = Daemon::start(&[]);
    let mut first = daemon.driver(1);
    let socket = daemon.scratch.socket();
    let second = std::thread::spawn(move || {
        let mut driver = Driver::connect(&socket, 1);
        driver.read_now(0, 0, 0, 512)
    });
    first.write_now(0, 0, 0, &[9; 512]);
    drop(first);
    assert_eq!(second.join().unwrap(), [9; 512]);
}

#[test]
fn a_signal_ends_the_device_in_order_whatever_it_holds() {
    for signal in [Signal::TERM, Signal::INT] {
        let storm = "hold = true\n[[storm]]\nrate = '10kHz'";
        let mut daemon = Daemon::follow(storm, &[]);
        let (mut control, mut driver) = (daemon.control(), daemon.driver(2));
        driver.write(0, 0, 0, &[1; 512]);
        driver.kick(0);
        control.held(1);
        daemon.signal(signal);
        assert_eq!(daemon.ended(), Ok(0), "{}", daemon.log());
        assert!(is_gone(&daemon.scratch.socket()));
        assert!(is_gone(&daemon.scratch.control()));
        assert_eq!(control.line(), None);
        assert!(driver.completions(0).is_empty(), "given up, not completed");
    }
}

#[test]
fn a_socket_left_by_a_killed_device_is_replaced() {
    let mut first = Daemon::start(&[]);
    first.signal(Signal::KILL);
    assert_eq!(first.ended(), Err(9));
    let scratch = std::mem::replace(&mut first.scratch, Scratch::new());
    assert!(!is_gone(&scratch.socket()));
    let second = Daemon::start_in(scratch, &["--ram", "8M"]);
    second.driver(1).write_now(0, 0, 0, &[1; 512]);
    second.control().status();
    second.terminate();
}

#[test]
fn a_socket_that_is_no_longer_its_own_is_not_removed() {
    let daemon = Daemon::start(&[]);
    let socket = daemon.scratch.socket();
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "somebody else's").unwrap();
    let scratch = daemon.terminate();
    assert_eq!(std::fs::read(scratch.socket()).unwrap(), b"somebody else's");
    assert!(is_gone(&scratch.control()));
}

/// A process that is not left behind, however its test ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already, or its test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a device on a connection that is made already, and a driver at the
/// other end.
fn handed_over(scratch: &Scratch) -> (Process, Driver) {
    let path = scratch.path("front");
    let listener = UnixListener::bind(&path).unwrap();
    let connecting = std::thread::spawn(move || Driver::connect(&path, 2));
    let (stream, _) = listener.accept().unwrap();
    let fd = stream.as_raw_fd();
    let mut command = program();
    command.args(["--ram", "1M", "--fd", &fd.to_string(), "--control"]);
    command.arg(scratch.control());
    command.stderr(File::create(scratch.path("log")).unwrap());
    let inherit = move || {
        // SAFETY: the fd is open in the child as it is here.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        rustix::io::fcntl_setfd(fd, FdFlags::empty()).map_err(std::io::Error::from)
    };
    // SAFETY: between fork and exec it makes one system call and nothing else.
    let child = unsafe { command.pre_exec(inherit) }.spawn().unwrap();
    let child = Process(child);
    drop(stream);
    (child, connecting.join().unwrap())
}

#[test]
fn a_connection_handed_over_is_served_and_its_end_is_the_devices() {
    let scratch = Scratch::new();
    let (mut child, mut driver) = handed_over(&scratch);
    driver.write_now(0, 0, 4096, &[3; 512]);
    assert_eq!(driver.read_now(1, 0, 4096, 512), [3; 512]);
    drop(driver);
    let status = eventually("the device's end", || child.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert!(is_gone(&scratch.control()));
}

#[test]
fn a_signal_ends_a_device_with_a_connection_handed_over() {
    let scratch = Scratch::new();
    let (mut child, mut driver) = handed_over(&scratch);
    driver.write_now(0, 0, 0, &[3; 512]);
    let pid = rustix::process::Pid::from_child(&child.0);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let status = eventually("the device's end", || child.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}
