// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a scenario lets go wrong, as a driver sees it.

use irqstorm_core::control::Selection;

use crate::support::raw::{self, Descriptor, Used, header};
use crate::support::{Daemon, IO_ERROR, OK};

const VIRTIO_BLK_T_IN: u32 = 0;

/// What the client library makes of VIRTIO_BLK_S_UNSUPP (a negative errno).
const UNSUPPORTED: i32 = -95;

#[test]
fn a_faulty_request_ends_as_its_rule_says_and_the_store_is_not_asked() {
    let scenario = "
        [[rule]]
        operation = 'write'
        lba = '8..16'
        fault = 'io-error'
        [[rule]]
        operation = 'flush'
        fault = 'unsupported'";
    let daemon = Daemon::follow(scenario, &[]);
    let mut driver = daemon.driver(1);
    driver.write(0, 0, 8 * 512, &[7; 512]);
    driver.write(0, 1, 7 * 512, &[7; 512]);
    driver.flush(0, 2);
    driver.kick(0);
    let mut ended = driver.wait(0, 3);
    ended.sort_unstable();
    assert_eq!(ended, [(0, IO_ERROR), (1, OK), (2, UNSUPPORTED)]);
    assert_eq!(driver.read_now(0, 3, 8 * 512, 512), [0; 512]);
    assert_eq!(driver.read_now(0, 3, 7 * 512, 512), [7; 512]);
    assert_eq!(daemon.control().status().total.failed, 2);
}

#[test]
fn a_lost_completion_comes_back_by_itself_or_by_release() {
    let scenario = "
        [[rule]]
        operation = 'flush'
        fault = { lost = { back = '1ms' } }
        [[rule]]
        operation = 'read'
        fault = { lost = {} }";
    let daemon = Daemon::follow(scenario, &[]);
    let mut control = daemon.control();
    let mut driver = daemon.driver(1);
    driver.flush(0, 0);
    driver.read(0, 1, 0, 512);
    driver.kick(0);
    driver.wait_ok(0, [0]);
    let held = control.held(1).held;
    assert_eq!(control.release(Selection::default()), 1);
    driver.wait_ok(0, [1]);
    assert_eq!(held[0].bytes, 512);
}

/// What a driver finds in its ring for one read whose completion is a lie.
fn lied(fault: &str, elements: usize) -> (Daemon, Vec<Used>) {
    let scenario = format!(
        "hostile = true\nlatency = {{ fixed = '1us' }}\n[[rule]]\nevery = 2\nfault = {fault}"
    );
    let daemon = Daemon::follow(&scenario, &[]);
    let mut driver = raw::Driver::connect(&daemon.scratch.socket(), 1, 0);
    let data = Descriptor {
        at: 0x8000,
        len: 512,
        writable: true,
    };
    for head in [3, 9] {
        driver.request(0, head, &header(VIRTIO_BLK_T_IN, 0), Some(data));
        driver.kick(0);
    }
    let used: Vec<Used> = (0..elements).map(|_| driver.next_used(0)).collect();
    assert_eq!(usize::from(driver.used_index(0)), elements);
    (daemon, used)
}

/// A completion as it should be: the data, and the status byte.
fn honest(head: u32) -> Used {
    Used { head, len: 513 }
}

#[test]
fn a_duplicate_id_stands_in_the_ring_twice() {
    let (daemon, used) = lied("'duplicate-id'", 3);
    assert_eq!(used, [honest(3), honest(9), honest(9)]);
    let total = daemon.control().status().total;
    assert_eq!((total.lied, total.completed), (1, 2));
}

#[test]
fn an_id_that_no_request_has_stands_before_the_completion() {
    let (_daemon, used) = lied("'out-of-range-id'", 3);
    assert_eq!([used[0], used[2]], [honest(3), honest(9)]);
    assert!(used[1].head >= u32::from(raw::RING_LEN), "{used:?}");
}

#[test]
fn a_used_length_is_whatever_the_scenario_says() {
    let (_daemon, used) = lied("{ used-length = 4294967295 }", 2);
    let lie = Used {
        head: 9,
        len: u32::MAX,
    };
    assert_eq!(used, [honest(3), lie]);
}
