// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The configuration vector against a front-end that does what QEMU does with
//! it: takes a message, and reads the config.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use irqstorm_vhost_blk::ConfigChange;
use vhost::vhost_user::{
    FrontendReqHandler, HandlerResult, VhostUserFrontend, VhostUserFrontendReqHandler,
};

use super::support::{Device, Driver, options, wait_readable};
use super::write_and_read_back;

/// Where the capacity lies in the config space, and its length.
const CAPACITY: (u32, u32) = (0, 8);

/// Counts what it is told.
#[derive(Default)]
struct Changes(AtomicU64);

impl VhostUserFrontendReqHandler for Changes {
    fn handle_config_change(&self) -> HandlerResult<u64> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(0)
    }
}

/// The front-end's end of the channel.
struct Channel {
    changes: Arc<Changes>,
    handler: FrontendReqHandler<Changes>,
}

impl Channel {
    /// Hands a channel over, and waits until the device has it.
    fn open(driver: &mut Driver) -> Channel {
        let changes = Arc::new(Changes::default());
        let handler = FrontendReqHandler::new(Arc::clone(&changes)).unwrap();
        let fd = handler.get_tx_raw_fd();
        driver.frontend.set_backend_request_fd(&fd).unwrap();
        driver.sync();
        Channel { changes, handler }
    }

    /// Waits for one message and takes it; how many there have been.
    fn take(&mut self) -> u64 {
        wait_readable(&self.handler);
        self.handler.handle_request().unwrap();
        self.changes.0.load(Ordering::SeqCst)
    }
}

fn capacity(driver: &mut Driver) -> u64 {
    let (offset, len) = CAPACITY;
    let bytes = driver.config(offset, len).unwrap();
    u64::from_le_bytes(bytes.try_into().unwrap())
}

#[test]
fn each_signal_is_a_message_on_the_channel_of_the_front_end() {
    let device = Device::listening(options());
    let mut driver = Driver::connect(&device.socket(), 1, 0);
    assert!(!device.config_line().signal(), "it gave no channel yet");
    let mut channel = Channel::open(&mut driver);
    for told in 1..=20 {
        assert!(device.config_line().signal());
        assert_eq!(channel.take(), told);
        assert_eq!(capacity(&mut driver), 2049);
    }
    write_and_read_back(&mut driver, 0);
}

#[test]
fn a_connection_that_was_handed_over_has_its_channel_as_well() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let device = Device::connected(options(), theirs);
    let mut driver = Driver::over(ours, 1, 0);
    let mut channel = Channel::open(&mut driver);
    assert!(device.config_line().signal());
    assert_eq!(channel.take(), 1);
}

#[test]
fn a_front_end_that_takes_no_message_does_not_hold_the_device_up() {
    let device = Device::listening(options());
    let mut driver = Driver::connect(&device.socket(), 1, 0);
    let mut channel = Channel::open(&mut driver);
    let written = (0..10_000)
        .filter(|_| device.config_line().signal())
        .count();
    assert!(written < 64, "{written} messages wait");
    write_and_read_back(&mut driver, 0);
    for told in 1..=written {
        assert_eq!(channel.take(), told as u64);
    }
    assert!(device.config_line().signal());
    assert_eq!(channel.take(), written as u64 + 1);
}

#[test]
fn the_handle_goes_from_one_connection_to_the_next() {
    let device = Device::listening(options());
    let mut first = Driver::connect(&device.socket(), 1, 0);
    let mut channel = Channel::open(&mut first);
    assert!(device.config_line().signal());
    assert_eq!(channel.take(), 1);
    drop(first);

    let mut next = Driver::connect(&device.socket(), 1, 0);
    assert!(
        !device.config_line().signal(),
        "the old channel is forgotten"
    );
    let mut channel = Channel::open(&mut next);
    assert!(device.config_line().signal());
    assert_eq!(channel.take(), 1);
}

#[test]
fn resized_shows_another_capacity_after_a_message_and_then_the_right_one() {
    let mut options = options();
    options.config_change = ConfigChange::Resized;
    let device = Device::listening(options);
    let mut driver = Driver::connect(&device.socket(), 1, 0);
    let mut channel = Channel::open(&mut driver);
    assert_eq!(capacity(&mut driver), 2049);
    assert!(device.config_line().signal());
    assert_eq!(channel.take(), 1);
    assert_eq!(capacity(&mut driver), 2050);
    write_and_read_back(&mut driver, 0);
    assert_eq!(channel.take(), 2, "the device wants to be read again");
    assert_eq!(capacity(&mut driver), 2049);
}
