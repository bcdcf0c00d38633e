// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Memory for what is in flight: front-ends that come back, and regions that
//! cannot be.

use vhost::vhost_user::VhostUserFrontend;
use vhost::vhost_user::message::VhostUserInflight;

use crate::support::{Device, Driver, RING_LEN, Used, header, options};

const FLUSH: u32 = 4;

/// A device that holds three requests of a front-end that has gone.
fn left_behind() -> (Device, Driver) {
    let device = Device::listening(options());
    let mut driver = Driver::lasting(&device.socket(), 1);
    device.hold(true);
    for head in [8, 0, 4] {
        driver.request(0, head, &header(FLUSH, 0), None);
    }
    driver.kick(0);
    device.wait_until(|counts| counts.taken == 3);
    driver.disconnect();
    device.wait_until(|counts| counts.abandoned == 3);
    (device, driver)
}

#[test]
fn a_front_end_that_comes_back_finds_its_requests_in_their_order() {
    let (device, mut driver) = left_behind();
    assert_eq!(driver.used_index(0), 0);
    device.hold(false);
    driver.reconnect(&device.socket());
    for head in [8, 0, 4] {
        assert_eq!(driver.next_used(0), Used { head, len: 1 });
    }
    driver.request(0, 0, &header(FLUSH, 0), None);
    driver.kick(0);
    assert_eq!(driver.next_used(0), Used { head: 0, len: 1 });
    assert_eq!(driver.used_index(0), 4);
}

#[test]
fn a_ring_that_goes_on_interrupts_for_what_was_visible_before() {
    let (device, mut driver) = left_behind();
    driver.reconnect(&device.socket());
    device.wait_until(|counts| counts.taken == 6);
    driver.wait_for_call(0);
    // QEMU has the guest's own fd follow the start.
    driver.replace_call(0);
    driver.wait_for_call(0);
    assert_eq!(driver.used_index(0), 0, "held");
    let old = driver.replace_call(0);
    assert_eq!(count(&old), 0, "and no more than once");
}

/// Signals of an fd that were not taken.
fn count(fd: &vmm_sys_util::eventfd::EventFd) -> u64 {
    fd.write(1).unwrap();
    fd.read().unwrap() - 1
}

#[test]
fn a_front_end_with_another_region_starts_with_nothing_in_flight() {
    let device = Device::listening(options());
    let mut driver = Driver::lasting(&device.socket(), 1);
    device.hold(true);
    driver.request(0, 0, &header(FLUSH, 0), None);
    driver.kick(0);
    device.wait_until(|counts| counts.taken == 1);
    driver.ask_for_inflight();
    driver.disconnect();
    device.wait_until(|counts| counts.abandoned == 1);
    driver.request(0, 4, &header(FLUSH, 0), None);
    driver.reconnect(&device.socket());
    // Both, from the used index on, as it is without any region.
    device.wait_until(|counts| counts.taken == 3);
}

#[test]
fn a_region_of_smaller_rings_is_refused_with_the_ring() {
    let device = Device::listening(options());
    let mut driver = Driver::lasting(&device.socket(), 1);
    let error = driver.watch_errors(0);
    driver.stop(0);
    let asked = VhostUserInflight::new(0, 0, 1, RING_LEN / 2);
    let (shape, file) = driver.frontend.get_inflight_fd(&asked).unwrap();
    driver.hand_over(&shape, &file);
    driver.start(0);
    crate::support::wait_readable(&error);
    assert_eq!(device.counts().attached, 1);
}
